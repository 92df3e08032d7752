"""A hundred thousand commands from racing threads, many of them nonsense: nothing outside the envelope goes out."""

import contextlib
import json
import math
import random
import threading
import time

import numpy as np
from recording_link import STAND, RecordingLink, damps, standing

from rfx.errors import RfxError
from rfx.go2 import Go2, Go2Config, LowCmd
from rfx.go2.limits import SafetyLimits
from rfx.go2.messages import NO_POSITION
from rfx.go2.sport_client import BODY_HEIGHT, EULER, FOOT_RAISE_HEIGHT, GAITS, TRICKS
from rfx.go2.sport_mode import SportMode
from rfx.go2.topics import SportApi
from rfx.robots import GO2
from rfx.sim import JointCommand, make_plant

COMMANDS, LOW_LEVEL, THREADS = 40_000, 60_000, 4
OWN = 7  # gpio of the commands that the fuzz makes itself, whose positions are its own affair
LIMITS = (0.7, 0.3, 1.1)


def nonsense(rng):
    """A value that nobody should pass as a number, or one that is merely unusual."""
    return rng.choice(
        [math.nan, math.inf, -math.inf, 1e308, -1e30, 5e-324, 10**400, -7, 0, True, None, "1", b"1", [1, 2], {}, 1j]
        + [np.float32(0.2), np.float64("nan"), np.int64(2), np.array(0.1), np.array([1.0, 2.0]), rng.uniform(-1, 1), object()]
    )  # fmt: skip


def vector(rng):
    """Twelve positions, good or bad."""
    q = GO2.pose("stand") + np.array([rng.gauss(0, 0.3) for _ in range(12)])
    if rng.random() < 0.3:
        q[rng.randrange(12)] = rng.choice([math.nan, math.inf, 1e30, -9.0])
    return rng.choice([q, q, q, q.astype(np.float32), q.tolist(), q[:11], q.reshape(3, 4), nonsense(rng)])


def own_command(rng):
    cmd = LowCmd(gpio=OWN)
    for _ in range(rng.randrange(3)):
        slot = cmd.motor_cmd[rng.randrange(20)]
        setattr(slot, rng.choice(["q", "dq", "tau", "kp", "kd"]), rng.choice([math.nan, math.inf, -1.0, 0.5, 3e38]))
    return rng.choice([cmd, cmd, cmd, nonsense(rng)])


def one(go2, rng):
    """One command, chosen by chance."""
    v = [rng.choice([rng.uniform(-3, 3), nonsense(rng)]) for _ in range(3)]
    kind = rng.random()
    if kind < 0.35:
        go2.walk(*v, hold_s=rng.choice([None, 1.0, nonsense(rng)]))
    elif kind < 0.60:
        gains = rng.choice([20.0, 60.0, nonsense(rng)]), rng.choice([0.5, 4.0, nonsense(rng)])
        go2.set_motor_positions(vector(rng), *gains)
    elif kind < 0.75:
        go2.send(own_command(rng))
    elif kind < 0.80:
        go2.euler(*v)
    elif kind < 0.84:
        rng.choice([go2.body_height, go2.foot_raise_height, go2.speed_level, go2.gait, go2.trick])(v[0])
    elif kind < 0.88:
        rng.choice([lambda: go2.trick(rng.choice([*TRICKS])), lambda: go2.gait(rng.choice([*GAITS, 0, 4, 9]))])()
    elif kind < 0.95:
        go2.request(rng.choice([*SportApi, -1, 2**70, nonsense(rng)]), x=v[0], y=v[1], z=v[2])
    else:
        rng.choice([go2.stop, go2.damp, lambda: go2.damp(nonsense(rng)), go2.state, go2.is_connected])()


WILD = [0.0, -0.0, 1.0, -1.0, 30.0, 1e3, -1e3, 1e30, 3.4e38, 2.146e9, 16000.0, 1e-40]


def wild_columns(rng):
    """q, dq, tau, kp and kd of twelve motors: by chance near the stance, or anything at all."""
    rows = np.array([STAND, *np.zeros((4, 12))]) + rng.normal(0, [[0.3], [1.0], [5.0], [1.0], [0.1]], (5, 12))
    rows[3:] = np.abs(rows[3:]) * [[40.0], [10.0]]
    wild = rng.random((5, 12)) < rng.choice([0.0, 0.0, 0.02, 0.5])
    rows[wild] = rng.choice(WILD, wild.sum())
    if rng.random() < 0.9:
        rows[3:] = np.abs(rows[3:])
    if rng.random() < 0.02:
        rows[rng.integers(5), rng.integers(12)] = rng.choice([np.nan, np.inf, -np.inf])
    return rows.astype(np.float32)


def wild_command(rng):
    cmd = LowCmd()
    for i, column in enumerate(wild_columns(rng).T.tolist()):
        slot = cmd.motor_cmd[i]
        slot.q, slot.dq, slot.tau, slot.kp, slot.kd = column
    return cmd


def test_racing_low_level_commands_never_leave_the_envelope():
    link = RecordingLink()
    limits = SafetyLimits(stale_s=60.0, step=0.1, kp=100.0)
    go2 = Go2(Go2Config.loopback(1).with_limits(limits), link)
    go2._keep(link.latest())
    done, failures = [0] * THREADS, []

    def work(index):
        rng = np.random.default_rng(index)
        commands = [wild_command(rng) for _ in range(200)]
        try:
            for i in range(LOW_LEVEL // THREADS):
                with contextlib.suppress(RfxError):
                    go2.send(commands[i % 200])
                if index == 0 and i % 50 == 0:  # meanwhile the robot tips over and is set up again
                    link.shown.imu_state.quaternion = (0.5, 0.8, 0.0, 0.0) if i % 200 == 0 else (1.0, 0.0, 0.0, 0.0)
                if i % 20 == 0:
                    go2.safety.reset()
                done[index] += 1
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sum(done) == LOW_LEVEL
    placed, damped = check_commands(link.sent(), limits)
    assert placed > LOW_LEVEL / 20
    assert damped > LOW_LEVEL / 20
    go2.disconnect()


def test_commands_in_turn_are_damped_exactly_while_there_is_a_reason():
    link = RecordingLink()
    go2 = Go2(Go2Config.loopback(1), link)
    go2._keep(link.latest())
    rng, latched = np.random.default_rng(9), False
    reasons = {"well": False, "tilted": True, "hot": True, "fast": True, "silent": True}
    for i in range(3000):
        if i % 7 == 0:
            kind = rng.choice([*reasons], p=[0.6, 0.1, 0.1, 0.1, 0.1])
            link.shown = shown(kind)
            link.silent = kind == "silent"
        if rng.random() < 0.05:
            go2.safety.reset()
            latched = False
        go2._received_s = time.monotonic() - (1.0 if kind == "silent" else 0.0)
        cmd = wild_command(rng)
        before = len(link.commands)
        with contextlib.suppress(RfxError):
            go2.send(cmd)
        if not cmd.is_safe:
            assert len(link.commands) == before  # refused, nothing was sent
            continue
        latched = latched or kind in ("tilted", "hot", "silent")
        sent = LowCmd.from_cdr(link.commands[-1])
        assert len(link.commands) == before + 1
        assert damps(sent) == (reasons[kind] or latched)
    assert set(go2.safety.counts) >= {"tilt", "temperature", "overspeed", "stale", "torque", "position", "step", "gain"}
    go2.disconnect()


def shown(kind):
    """The robot at its stance, or in trouble."""
    low = standing()
    if kind == "tilted":
        low.imu_state.quaternion = (0.6, 0.0, 0.8, 0.0)
    elif kind == "hot":
        low.motor_state[7].temperature = 95
    elif kind == "fast":
        low.motor_state[3].dq = -40.0
    return low


def test_commands_of_all_kinds_publish_nothing_outside_the_envelope():
    backend = RecordingLink()
    config = Go2Config.loopback(1).with_walk_limits(*LIMITS).with_limits(stale_s=60.0)
    go2 = Go2(config, backend)
    go2._keep(backend.latest())
    done, failures = [0] * THREADS, []

    def work(index):
        rng = random.Random(index)
        try:
            for _ in range(COMMANDS // THREADS):
                with contextlib.suppress(RfxError):  # refused, as it should be
                    one(go2, rng)
                done[index] += 1
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    go2.disconnect()
    assert not failures
    assert sum(done) == COMMANDS
    assert not [t for t in threading.enumerate() if "keeper" in t.name]
    assert len(backend.commands) > 5000
    check_commands(backend.sent(), config.limits)
    check_requests(backend.requests)


def check_commands(sent, limits):
    """Every command is whole and inside of the limits at the stance, by their definition, or is damping."""
    assert all(cmd.crc_ok and cmd.is_safe for cmd in sent)
    q, dq, tau, kp, kd = (np.array([getattr(cmd, n) for cmd in sent], float) for n in ("q", "dq", "tau", "kp", "kd"))
    low, high = (np.float32(row) for row in np.array(limits.position).T)
    some, stance = q < NO_POSITION, np.float32(STAND).astype(float)
    speed = np.where(dq < 16000, dq, 0.0)
    assert not kp[~some].any()
    assert not kd[dq >= 16000].any()
    assert (((q >= low) & (q <= high)) | ~some).all()
    assert (np.abs(speed) <= np.float32(limits.velocity)).all()
    assert kp.max() <= limits.kp[0]
    assert kd.max() <= limits.kd[0]
    law = kp * np.where(some, q - stance, 0.0) + kd * speed + tau
    damped = np.array([damps(cmd) for cmd in sent])
    assert (np.abs(law) <= limits.torque)[~damped].all()
    assert (np.abs(tau) <= limits.torque).all()
    stiff = some & (kp > 0)
    last = np.vstack([stance, np.where(stiff, q, stance)[:-1]])
    near = (
        np.minimum(np.abs(q - last), np.abs(q - stance)) <= np.array(limits.step) + 1e-6
    )  # a reset starts at the stance
    pulled = (q - stance) * (q - last) <= 0  # a torque limit may take a target back to where the joint is at once
    assert (near | pulled | ~stiff).all()
    return int((~damped).sum()), int(damped.sum())


def check_requests(sent):
    """Every request carries JSON without NaN; velocities and postures stay within their limits."""
    moves = 0
    for service, api_id, parameter in sent:
        given = json.loads(parameter or "{}", parse_constant=refuse)
        if service != "sport":
            continue
        if api_id == SportApi.MOVE:
            moves += 1
            assert all(abs(given[axis]) <= most for axis, most in zip("xyz", LIMITS, strict=True))
        elif api_id == SportApi.EULER:
            assert all(abs(given[axis]) <= most for axis, most in zip("xyz", EULER, strict=True))
        elif api_id in (SportApi.BODY_HEIGHT, SportApi.FOOT_RAISE_HEIGHT):
            low, high = BODY_HEIGHT if api_id == SportApi.BODY_HEIGHT else FOOT_RAISE_HEIGHT
            assert low <= given["data"] <= high
        elif api_id == SportApi.SPEED_LEVEL:
            assert given["data"] in (-1, 0, 1)
    assert moves > 1000


def refuse(word):
    raise AssertionError(f"{word} was published")


def test_the_robots_sport_mode_takes_any_request_and_commands_finite_numbers():
    plant, sport, command, rng = make_plant("joint"), SportMode(), JointCommand(), random.Random(1)
    plant.reset("stand")
    state, limit = plant.state, 1e3
    sport.begin(state)
    for _ in range(3000):
        texts = ["", "{", "null", "[]", "NaN", '{"data": 1e999}', '{"data": "x"}', "\\u0000", '{"x": {}}']
        values = json.dumps({key: rng.choice([rng.uniform(-2, 2), 1e9, 0, True]) for key in ("x", "y", "z", "data")})
        code, data = sport.handle(rng.choice([*SportApi, 0, -5, 2**62]), rng.choice([*texts, values, values, values]))
        assert isinstance(int(code), int)
        assert isinstance(data, str)
        sport.sticks(*(rng.choice([0.0, 0.5, math.nan, 1e30]) for _ in range(3)), rng.randrange(2**16))
        for _ in range(2):
            sport.update(state, command)
            for row in (command.q[command.q < 2e9], command.tau, command.kp, command.kd):
                assert (np.abs(row) < limit).all()
            state = plant.step(command)
    assert np.isfinite(state.q).all()
