"""Simulations behind one small interface."""

import numpy as np
import pytest

from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, MissingDependencyError, ShapeError
from rfx.robots import GO2
from rfx.sim import MockSimBackend, PhysicsConfig, PlantSimBackend, SimBackend, SimConfig, SimState, make_backend

STAND, LIE = GO2.pose("stand"), GO2.pose("lie")


@pytest.mark.parametrize(("steps", "q"), [(1, 2.49936e-05), (10, 0.00204196), (100, 0.181455), (201, 0.576388)])
def test_the_mock_moves_like_the_one_of_the_existing_framework(steps, q):
    backend = MockSimBackend()
    for _ in range(steps):
        state, over = backend.step(np.full(12, 0.5))
        assert not over
    assert state.joint_positions() == pytest.approx([q] * 12, rel=2e-5)
    assert state.sim_time == backend.sim_time() == pytest.approx(0.002 * steps)


def test_a_reset_begins_the_mock_anew():
    backend = MockSimBackend()
    backend.step(np.full(12, 1e30))
    assert (np.abs(backend.state().joint_velocities()) <= 20.0).all()
    state = backend.reset()
    assert state.sim_time == 0.0
    assert not state.q.any()


def test_physics_has_its_presets():
    assert (PhysicsConfig().dt, PhysicsConfig().substeps) == (0.002, 4)
    assert PhysicsConfig.fast() == PhysicsConfig(0.005, 2)
    assert PhysicsConfig.accurate() == PhysicsConfig(0.001, 8)
    backend = MockSimBackend(SimConfig(physics=PhysicsConfig.fast()))
    backend.step(np.zeros(12))
    assert backend.sim_time() == 0.005


@pytest.mark.parametrize("name", ["mock", "joint", "mujoco"])
def test_a_backend_is_the_one_that_was_asked_for(name):
    if name == "mujoco":
        pytest.importorskip("mujoco")
    backend = make_backend(getattr(SimConfig, name)())
    assert isinstance(backend, SimBackend)
    assert backend.name() == backend.config.backend == name
    state, over = backend.step(STAND)
    assert isinstance(state, SimState)
    assert not over
    assert state.sim_time == backend.sim_time() == pytest.approx(backend.config.steps.dt)
    assert backend.render(32, 24).shape == (24, 32, 3)
    backend.close()


@pytest.mark.parametrize("name", ["isaac_sim", "genesis"])
def test_a_backend_that_is_not_there_is_an_error(name):
    with pytest.raises(MissingDependencyError, match=name):
        make_backend(getattr(SimConfig, name)())
    with pytest.raises(ConfigError, match=name):
        MockSimBackend(SimConfig(name))


def test_the_mock_is_no_stand_in_for_others():
    with pytest.raises(ConfigError, match="mujoco"):
        MockSimBackend(SimConfig.mujoco())
    with pytest.raises(ConfigError, match="mock"):
        PlantSimBackend(SimConfig.mock())
    with pytest.raises(ConfigError, match="Go2VecEnv"):
        make_backend(SimConfig.mock().with_num_envs(4))


def test_configs_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="gazebo"):
        SimConfig("gazebo")
    with pytest.raises(ValueError, match="num_envs"):
        SimConfig("mock", 0)
    with pytest.raises(InvalidValueError, match="dt"):
        PhysicsConfig(0.0)
    with pytest.raises(DTypeError, match="PhysicsConfig"):
        SimConfig("mock", 1, 0.002)
    with pytest.raises(DTypeError, match="SimConfig"):
        make_backend("mock")
    with pytest.raises(ConfigError, match="of the plant"):
        PlantSimBackend(SimConfig("joint", physics=PhysicsConfig.accurate()))


@pytest.mark.parametrize("make", [MockSimBackend, lambda: PlantSimBackend(SimConfig.joint())])
def test_bad_targets_move_nothing(make):
    backend = make()
    before = backend.step(STAND)[0]
    for bad, error in ((np.zeros(11), ShapeError), (np.full(12, np.nan), InvalidValueError), (["a"] * 12, DTypeError)):
        with pytest.raises(error):
            backend.step(bad)
    assert np.array_equal(backend.state().q, before.q)
    assert backend.sim_time() == before.sim_time


def test_the_robot_of_mujoco_stands_and_falls():
    pytest.importorskip("mujoco")
    backend = make_backend(SimConfig("mujoco", physics=PhysicsConfig(0.02, 10)))
    for _ in range(50):
        assert not backend.step(STAND)[1]
    assert backend.state().q == pytest.approx(STAND, abs=0.15)
    tipping = np.where([name.startswith(("FL", "RL")) for name in GO2.joint_names], STAND, LIE)
    tipping[GO2.index_of("FL_thigh")] = tipping[GO2.index_of("RL_thigh")] = 0.0
    tipping[GO2.index_of("FL_hip")] = tipping[GO2.index_of("RL_hip")] = -1.0
    tipping[GO2.index_of("FL_calf")] = tipping[GO2.index_of("RL_calf")] = -0.9
    fallen = any(backend.step(tipping if k % 50 > 12 else STAND)[1] for k in range(200))
    if fallen:
        with pytest.raises(InvalidStateError, match="reset"):
            backend.step(STAND)
        assert not backend.reset().terminated
    assert fallen
