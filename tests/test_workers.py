"""Environments in worker processes: the same bytes as in turn, and nothing that dies, hangs or raises takes others along."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_envs import (
    Count,
    Moody,
    Named,
    Secret,
    Slow,
    Walk,
    cannot_be_made,
    dies_when_made,
    odd_spaces,
    raises_unsendable,
)
from waiting import wait_for

from rfx.envs import PythonEngine, VecEnv, WorkerEngine, worker_engine
from rfx.envs.engine import NEXT_STEP, SAME_STEP
from rfx.errors import ConfigError, EnvError, InvalidStateError, InvalidValueError, RfxError
from rfx.seeding import derive_seed

ROOT = Path(__file__).parent.parent


def outputs(n, d=2):
    return np.empty((n, d), np.float32), np.empty(n), np.empty(n, bool), np.empty(n, bool), np.empty((n, d), np.float32)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        not Path(f"/proc/{pid}/stat").exists() or Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    )


@pytest.fixture
def made():
    """Make engines that are closed, with all their processes, at the end of the test."""
    engines = []

    def make(*args, seed=5, **kwargs):
        engine = WorkerEngine(*args, **kwargs)
        engines.append(engine)
        engine.seed_from(seed)
        engine.reset()
        return engine

    yield make
    pids = [pid for engine in engines if engine._workers for pid in engine.processes]
    for engine in engines:
        engine.close()
    assert wait_for(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize(("workers", "context"), [(1, "spawn"), (2, "forkserver"), (9, None)])
def test_the_bytes_are_those_of_one_process_whatever_the_number_of_workers(made, workers, context):
    n, rng = 5, np.random.default_rng(0)
    ours, plain = made([Walk] * n, workers, context=context), PythonEngine([Walk] * n)
    plain.seed_from(5)
    assert plain.reset().tobytes() == ours.reset(mask=np.zeros(n, bool)).tobytes()
    a, b = outputs(n), outputs(n)
    for t in range(80):
        actions, mode = rng.integers(2, size=n), (NEXT_STEP if t < 40 else SAME_STEP)
        if t == 40:
            np.testing.assert_array_equal(ours.reset(), plain.reset())
        ours.step(actions, *a, mode)
        plain.step(actions, *b, mode)
        assert all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))
        assert (ours.infos, ours.final_infos) == (plain.infos, plain.final_infos)
    assert len(ours.processes) == min(workers, n)
    assert len(set(ours.call("pid"))) == min(workers, n)


def test_a_bad_action_moves_nothing(made):
    engine = made([Walk] * 4, 2)
    before = engine.get_attr("at")
    with pytest.raises(InvalidValueError):
        engine.step([0, 1, 0, 2], *outputs(4), SAME_STEP)
    assert engine.get_attr("at") == before


def test_what_an_environment_raises_comes_with_its_traceback_and_the_others_go_on(made):
    engine = made([Walk, Walk, partial(Moody, when=0), Walk], 2)
    out = outputs(4)
    with pytest.raises(EnvError, match="environment 2 failed: ValueError: a bad day") as caught:
        engine.step([0] * 4, *out, SAME_STEP)
    assert caught.value.environments == (2,)
    assert isinstance(caught.value.__cause__, ValueError)
    assert 'raise self.error("a bad day")' in str(caught.value)
    assert list(out[0][:, 1]) == [1, 1, 0, 1]
    with pytest.raises(InvalidStateError, match="environment 2"):
        engine.step([0] * 4, *out, SAME_STEP)
    engine.set_attr("when", [9], indices=2)
    engine.reset(mask=np.arange(4) == 2)
    engine.step([0] * 4, *out, SAME_STEP)
    assert list(out[4][:, 1]) == [2, 2, 1, 2]


def test_an_exception_that_cannot_be_sent_arrives_as_text(made):
    engine = made([Walk, partial(Moody, error=raises_unsendable, when=0)], 1)
    with pytest.raises(EnvError, match=r"Unsendable: a bad day"):
        engine.step([0, 0], *outputs(2), SAME_STEP)


def test_infos_that_cannot_be_sent_are_an_error_that_says_so(made):
    engine = made([Walk, Secret], 2)
    out = outputs(2)
    with pytest.raises(EnvError, match=r"environment 1 failed: .*pickle"):
        engine.step([0, 0], *out, SAME_STEP)
    assert list(out[4][:, 1]) == [1, 1]


def test_a_killed_worker_is_an_error_and_the_others_are_intact(made):
    n = 6
    engine, twin = made([Walk] * n, 3), PythonEngine([Walk] * n)
    twin.seed_from(5)
    twin.reset()
    a, b = outputs(n), outputs(n)
    engine.step([1] * n, *a, NEXT_STEP)
    twin.step([1] * n, *b, NEXT_STEP)
    os.kill(engine.processes[1], signal.SIGKILL)
    with pytest.raises(EnvError, match=r"worker 1 was killed by SIGKILL: environments 2 to 3 are lost") as caught:
        engine.step([0] * n, *a, NEXT_STEP)
    assert caught.value.environments == (2, 3)
    twin.step([0] * n, *b, NEXT_STEP)
    others = [0, 1, 4, 5]
    assert a[0][others].tobytes() == b[0][others].tobytes()
    with pytest.raises(InvalidStateError):
        engine.step([0] * n, *a, NEXT_STEP)
    with pytest.raises(InvalidStateError, match=r"restart_workers\(\) first: worker 1 was killed"):
        engine.reset()
    new = engine.restart_workers()
    assert list(np.flatnonzero(new)) == [2, 3]
    with pytest.raises(InvalidStateError, match="never reset"):
        engine.step([0] * n, *a, NEXT_STEP)
    obs = engine.reset(mask=new)
    assert obs[others].tobytes() == b[0][others].tobytes()
    for i in (2, 3):
        assert obs[i].tobytes() == Walk().reset(derive_seed(derive_seed(5, i), 1)).tobytes()
    engine.step([1] * n, *a, NEXT_STEP)
    twin.step([1] * n, *b, NEXT_STEP)
    assert a[0][others].tobytes() == b[0][others].tobytes()


def test_a_worker_killed_in_the_middle_of_a_step_does_not_hang_it(made):
    engine = made([Walk, Slow], 2)
    pid = engine.processes[1]
    timer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(EnvError, match="SIGKILL"):
        engine.step([0, 0], *outputs(2), SAME_STEP)
    assert not engine.restart_workers()[0]


def test_environments_that_cannot_be_made_are_an_error_and_leave_no_process():
    with pytest.raises(EnvError, match="environment 2 failed: OSError: no such device"):
        WorkerEngine([Walk, Walk, cannot_be_made], 2)
    with pytest.raises(EnvError, match=r"worker 1 ended with code 7 .*__main__"):
        WorkerEngine([Walk, dies_when_made], 2)
    with pytest.raises(ConfigError, match="same spaces"):
        WorkerEngine([Walk, odd_spaces], 2)
    with pytest.raises(ConfigError, match="no reset"):
        WorkerEngine([dict], 1)
    with pytest.raises(RfxError):
        WorkerEngine([Walk], 0)
    with pytest.raises(ConfigError, match="context"):
        WorkerEngine([Walk], 1, context="fork")
    lock = threading.Lock()
    with pytest.raises(ConfigError, match="pickled"):
        WorkerEngine([lambda: lock], 1)


def test_a_closed_engine_has_no_processes_and_says_so(made):
    engine = made([Walk] * 2, 2)
    pids = engine.processes
    engine.close()
    engine.close()
    assert not any(map(alive, pids))
    for call in (engine.reset, engine.restart_workers, lambda: engine.get_attr("at")):
        with pytest.raises(InvalidStateError, match="closed"):
            call()


def test_workers_under_a_vec_env():
    with VecEnv(Named, 3, seed=2, workers=2) as envs:
        batch = envs.step_all([[1, 3], [0, 0], [1, 1]])
        assert list(batch.rewards) == [4.0, 0.0, 2.0]
        assert envs.observation_space.shape == (14,)


def script(body):
    code = textwrap.dedent(body)
    path = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
    return subprocess.Popen(
        [sys.executable, "-c", path + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_workers_end_when_their_parent_is_killed_even_in_a_step():
    parent = script("""
        from python_envs import Slow, Walk
        from rfx.envs import VecEnv
        envs = VecEnv([Slow, Walk], 2, workers=2)
        print(*envs.engine.processes, flush=True)
        envs.step_all([0, 0])
    """)
    try:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
    finally:
        parent.kill()
        parent.communicate()
    assert wait_for(lambda: not any(map(alive, pids)))


def test_ctrl_c_gets_through_a_step_that_hangs_and_close_ends_it():
    parent = script("""
        from python_envs import Slow, Walk
        from rfx.envs import VecEnv
        envs = VecEnv([Slow, Walk], 2, workers=2)
        print(*envs.engine.processes, flush=True)
        try:
            envs.step_all([0, 0])
        except KeyboardInterrupt:
            envs.close()
            print("interrupted", flush=True)
    """)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert not wait_for(lambda: parent.poll() is not None, 0.3)
    parent.send_signal(signal.SIGINT)
    out, err = parent.communicate(timeout=60)
    assert (out.strip(), parent.returncode, err) == ("interrupted", 0, "")
    assert not any(map(alive, pids))


def test_an_interrupted_step_is_over_before_the_next_begins(made, monkeypatch):
    engine = made([Walk] * 2, 2)
    monkeypatch.setattr(engine._workers[1], "receive", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        engine.step([0, 0], *outputs(2), SAME_STEP)
    monkeypatch.undo()
    out = outputs(2)
    engine.step([0, 0], *out, SAME_STEP)
    assert list(out[4][:, 1]) == [2, 2]


@pytest.fixture(scope="module")
def pair():
    engines = WorkerEngine([Walk] * 3, 2), PythonEngine([Walk] * 3)
    yield engines
    for engine in engines:
        engine.close()


@given(
    st.integers(0, 2**64 - 1),
    st.lists(
        st.one_of(
            st.tuples(st.just("step"), st.lists(st.integers(0, 2), min_size=3, max_size=3), st.integers(0, 2)),
            st.tuples(st.just("reset"), st.lists(st.booleans(), min_size=3, max_size=3)),
            st.tuples(st.just("seed"), st.lists(st.integers(0, 99), min_size=3, max_size=3)),
        ),
        max_size=25,
    ),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_calls_do_the_same_in_workers_and_in_turn(pair, seed, calls):
    said = []
    for engine in pair:
        said.append([])
        engine.seed_from(seed)
        said[-1].append(engine.reset().tobytes())
        for name, *told in calls:
            out = outputs(3)
            for array in out:
                array[:] = 0
            try:
                if name == "step":
                    engine.step(told[0], *out, told[1])
                elif name == "reset":
                    out[0][:] = engine.reset(mask=np.array(told[0]))
                else:
                    engine.seed(told[0])
            except RfxError as error:
                said[-1].append((type(error), str(error)))
            said[-1].append([array.tobytes() for array in out])
            said[-1].append([engine.infos, engine.final_infos])
    assert said[0] == said[1]


def test_workers_that_are_killed_again_and_again_are_replaced_again_and_again(made):
    n, rng = 4, np.random.default_rng(0)
    engine, out = made([Walk] * n, 2), outputs(n)
    for _ in range(4):
        victim = engine.processes[rng.integers(2)]
        timer = threading.Timer(rng.uniform(0.0, 0.02), os.kill, (victim, signal.SIGKILL))
        timer.start()
        lost = ()
        while not lost:
            try:
                engine.step(rng.integers(2, size=n), *out, SAME_STEP)
            except EnvError as error:
                lost = error.environments
        timer.join()
        new = engine.restart_workers()
        assert tuple(np.flatnonzero(new)) == lost
        assert np.isfinite(engine.reset(mask=new)).all()
        engine.step(rng.integers(2, size=n), *out, SAME_STEP)
        assert not alive(victim)


@pytest.mark.parametrize("where", ["_start", "_told", "_hand_memory"])
def test_a_restart_that_is_interrupted_may_be_done_again(made, monkeypatch, where):
    monkeypatch.setattr(worker_engine, "GRACE_S", 0.3)
    n = 6
    engine, twin = made([Walk] * n, 3), PythonEngine([Walk] * n)
    twin.seed_from(5)
    twin.reset()
    os.kill(engine.processes[0], signal.SIGKILL)
    a, b = outputs(n), outputs(n)
    with pytest.raises(EnvError, match="worker 0 was killed"):
        engine.step([1] * n, *a, NEXT_STEP)
    twin.step([1] * n, *b, NEXT_STEP)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, where, interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.restart_workers()
    with pytest.raises(InvalidStateError, match=r"restart_workers\(\) first"):
        engine.reset()
    assert list(np.flatnonzero(engine.restart_workers())) == [0, 1]
    engine.reset(mask=np.arange(n) < 2)
    for action in (0, 1):
        engine.step([action] * n, *a, NEXT_STEP)
        twin.step([action] * n, *b, NEXT_STEP)
    assert a[0][2:].tobytes() == b[0][2:].tobytes()


def test_close_ends_the_step_of_another_thread(made, monkeypatch):
    monkeypatch.setattr(worker_engine, "GRACE_S", 0.3)
    engine = made([Slow, Walk], 2)
    caught = []

    def step():
        try:
            engine.step([0, 0], *outputs(2), SAME_STEP)
        except RfxError as error:
            caught.append(error)

    thread = threading.Thread(target=step)
    thread.start()
    assert wait_for(lambda: engine._settled is False)
    engine.close()
    thread.join(20.0)
    assert not thread.is_alive()
    assert "closed" in str(caught[0])


def test_threads_take_turns(made):
    engine = made([Count] * 2, 2)

    def run():
        for _ in range(50):
            engine.step([0, 1], *outputs(2), SAME_STEP)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.get_attr("steps") == [150, 150]


def test_a_program_that_forgets_to_close_ends_all_the_same_and_quietly():
    parent = script("""
        from python_envs import Walk
        from rfx.envs import VecEnv
        envs = VecEnv(Walk, 2, workers=2)
        print(*envs.engine.processes, flush=True)
    """)
    out, err = parent.communicate(timeout=60)
    assert (parent.returncode, err) == (0, "")
    assert not any(alive(int(word)) for word in out.split())
