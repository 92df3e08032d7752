"""Quaternions and poses against numpy-quaternion, pinocchio, scipy and pytransform3d.

Run by ``pytest benchmarks/bench_math.py --benchmark-enable``, each goes through pytest-benchmark, ours beside the peer.
``python benchmarks/bench_math.py`` measures the ratios that count: many interleaved rounds, minimum of each.
"""

import timeit

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import rfx.math as rm
from rfx.math import Quaternion, Transform

RNG = np.random.default_rng(7)


def unit_rows(n):
    q = RNG.normal(size=(n, 4))
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def matrices(poses):
    m = np.zeros((len(poses), 4, 4))
    m[:, :3, :3] = rm.quat_to_matrix(np.ascontiguousarray(poses[:, 3:]))
    m[:, :3, 3] = poses[:, :3]
    m[:, 3, 3] = 1.0
    return m


def need(module):
    return pytest.importorskip(module, reason=f"the peer {module} is not installed: pip install rfx[bench]")


# Each case returns its names, our expression and the peer's over them, and what makes the peer's result comparable.
# Expressions, not functions: the call of a function would cost as much as a product of quaternions.


def product():
    quaternion = need("quaternion")
    a, b = Quaternion(1, 2, 3, 4), Quaternion(0.3, 0.2, -0.1, 0.7)
    p, q = quaternion.quaternion(*a.to_wxyz()), quaternion.quaternion(*b.to_wxyz())
    return {"a": a, "b": b, "p": p, "q": q}, "a * b", "p * q", quaternion.as_float_array


def rotate():
    quaternion = need("quaternion")
    a = Quaternion(1, 2, 3, 4)
    names = {"a": a, "v": np.array([1.0, 2.0, 3.0]), "p": quaternion.quaternion(*a.to_wxyz())}
    names["make"] = quaternion.quaternion
    peer = "p * make(0.0, 1.0, 2.0, 3.0) * p.conjugate()"
    return names, "a.rotate_vector(v)", peer, lambda r: quaternion.as_float_array(r)[1:]


def slerp():
    names, _, _, convert = product()
    names["evaluate"] = need("quaternion").slerp_evaluate
    return names, "a.slerp(b, 0.3)", "evaluate(p, q, 0.3)", convert


def from_euler():
    names = {"Quaternion": Quaternion, "rpy": need("pinocchio").rpy.rpyToMatrix}
    ours, peer = "Quaternion.from_euler(0.1, 0.2, 0.3)", "rpy(0.1, 0.2, 0.3)"
    return names, ours, peer, lambda r: Quaternion.from_rotation_matrix(r).to_wxyz()


def two_poses():
    pin = need("pinocchio")
    a = Transform([1.0, 2.0, 3.0], Quaternion(1, 2, 3, 4))
    b = Transform([0.1, 0.2, 0.3], Quaternion(0.3, 0.2, -0.1, 0.7))
    p, q = (pin.SE3(t.orientation.to_rotation_matrix(), t.position) for t in (a, b))
    return {"a": a, "b": b, "p": p, "q": q, "v": np.array([1.0, 2.0, 3.0])}


def pose_compose():
    return two_poses(), "a * b", "p * q", lambda r: r.homogeneous


def pose_inverse():
    return two_poses(), "a.inverse()", "p.inverse()", lambda r: r.homogeneous


def pose_point():
    return two_poses(), "a.transform_point(v)", "p.act(v)", np.asarray


def many_products():
    quaternion = need("quaternion")
    a, b = unit_rows(10**6), unit_rows(10**6)
    names = {"multiply": rm.quat_multiply, "a": a, "b": b}
    names |= {"p": quaternion.as_quat_array(a), "q": quaternion.as_quat_array(b)}
    return names, "multiply(a, b)", "p * q", quaternion.as_float_array


def one_turns_many():
    q, v = unit_rows(1)[0], RNG.normal(size=(10**6, 3))
    names = {"rotate": rm.quat_rotate, "q": q, "v": v, "p": Rotation.from_quat(np.roll(q, -1))}
    return names, "rotate(q, v)", "p.apply(v)", np.asarray


def many_turn_many():
    q, v = unit_rows(10**6), RNG.normal(size=(10**6, 3))
    names = {"rotate": rm.quat_rotate, "q": q, "v": v, "p": Rotation.from_quat(np.roll(q, -1, axis=1))}
    return names, "rotate(q, v)", "p.apply(v)", np.asarray


def many_slerps():
    quaternion = need("quaternion")
    a, b = unit_rows(10**5), unit_rows(10**5)
    names = {"ours": rm.quat_slerp, "peer": np.slerp_vectorized, "a": a, "b": b}
    names |= {"p": quaternion.as_quat_array(a), "q": quaternion.as_quat_array(b)}
    return names, "ours(a, b, 0.3)", "peer(p, q, 0.3)", quaternion.as_float_array


def many_composed():
    a, b = (np.concatenate([RNG.normal(size=(10**5, 3)), unit_rows(10**5)], axis=1) for _ in range(2))
    names = {"compose": rm.pose_compose, "a": a, "b": b, "p": matrices(a), "q": matrices(b)}
    return names, "compose(a, b)", "p @ q", np.asarray


def many_points():
    peer = need("pytransform3d.transformations")
    pose, v = np.concatenate([RNG.normal(size=3), unit_rows(1)[0]]), RNG.normal(size=(10**6, 3))
    names = {"move": rm.pose_transform_points, "pose": pose, "v": v, "transform": peer.transform}
    names |= {"matrix": matrices(pose[None])[0], "homogeneous": peer.vectors_to_points(v)}
    return names, "move(pose, v)", "transform(matrix, homogeneous)", lambda r: r[:, :3]


# row of the list of targets, what, case, largest ratio wanted
CASES = [
    ("14", "product, one call", product, 0.90),
    ("14", "rotate, one call", rotate, 0.65),
    ("14", "slerp, one call", slerp, 0.65),
    ("15", "from_euler, one call", from_euler, 0.50),
    ("16", "SE(3) compose, one call", pose_compose, 0.12),
    ("16", "SE(3) inverse, one call", pose_inverse, 0.40),
    ("16", "SE(3) point, one call", pose_point, 0.40),
    ("17", "1e6 products", many_products, 1.0),
    ("17b", "one quaternion, 1e6 vectors", one_turns_many, 1.1),
    ("17b", "1e6 quaternions, 1e6 vectors", many_turn_many, 0.12),
    ("17c", "1e5 slerps", many_slerps, 0.12),
    ("17c", "1e5 poses composed", many_composed, 0.40),
    ("17c", "1e6 points, one pose", many_points, 0.55),
]


def comparable(result):
    """Our result as the array that the peer's is compared with."""
    if isinstance(result, Quaternion):
        return result.to_wxyz()
    if isinstance(result, Transform):
        return result.to_matrix()
    return matrices(result) if result.ndim == 2 and result.shape[1] == 7 else result


def agree(names, ours, peer, convert):
    mine, theirs = comparable(eval(ours, names)), np.asarray(convert(eval(peer, names)))
    assert np.abs(mine - theirs).max() < 1e-12


@pytest.mark.parametrize("who", ["rfx", "peer"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c[1])
def test_speed(benchmark, case, who):
    names, ours, peer, convert = case[2]()
    agree(names, ours, peer, convert)
    benchmark.group = f"{case[0]}: {case[1]} (target {case[3]})"
    benchmark(eval(f"lambda: {ours if who == 'rfx' else peer}", names))


def best_of(expressions, names, rounds):
    """Return the least seconds per run of each, measured in turns."""
    timers = [timeit.Timer(e, globals=names) for e in expressions]
    number = max(1, int(2e-4 / min(t.timeit(10) / 10 for t in timers)))
    best = [float("inf")] * len(timers)
    for _ in range(rounds):
        for i, timer in enumerate(timers):
            best[i] = min(best[i], timer.timeit(number) / number)
    return best


def main():
    print("row  ours / peer  target        ours        peer  what")
    for row, what, case, target in CASES:
        try:
            names, ours, peer, convert = case()
        except pytest.skip.Exception as reason:
            print(f"{row:4} skipped: {reason}")
            continue
        agree(names, ours, peer, convert)
        mine, theirs = best_of((ours, peer), names, 400 if "one call" in what else 25)
        note = "" if mine <= target * theirs else "  MISSED"
        print(f"{row:4} {mine / theirs:11.3f} {target:7.2f} {mine * 1e6:9.3f} us {theirs * 1e6:9.3f} us  {what}{note}")


if __name__ == "__main__":
    main()
