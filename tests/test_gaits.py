"""The gaits of the walking controller: who swings when, what it costs, and that each of them takes a push."""

import gait_walkers
import numpy as np
import pytest

from rfx.errors import DTypeError, InvalidValueError
from rfx.sim import GaitController
from rfx.sim.gaits import BY_NAME, NAMES

walker = gait_walkers.walker


def steps_of(walker, name, velocity, seconds):
    """Walk in a gait for so long; which feet were pressed to the floor at each tick, and the velocity that it made."""
    walker.gait.choose(name)
    walker.gait.walk(*velocity)
    walker.go(2.0)
    assert walker.gait.mode == name
    pressed, step = [], walker.plant.step

    def feel(command):
        state = step(command)
        pressed.append(state.foot_force > 5.0)
        return state

    walker.plant.step = feel
    got = walker.go(seconds)
    del walker.plant.step
    assert walker.gait.mode == name
    return np.array(pressed), got


def phases_of(pressed, period):
    """When each foot comes down, as a share of the cycle after FR: the mean direction of its landings on the clock."""
    down = pressed[1:] & ~pressed[:-1]
    clock = np.exp(2j * np.pi * np.arange(len(down)) * 0.002 / period)
    angle = np.array([np.angle(clock[down[:, leg]].sum()) for leg in range(4)])
    return (angle - angle[0]) / (2 * np.pi) % 1.0


def test_a_trot_steps_in_diagonal_pairs_with_a_duty_of_a_little_more_than_half(walker):
    pressed, got = steps_of(walker, "trot", (0.5, 0, 0), 10.0)
    np.testing.assert_allclose(got, (0.5, 0, 0), atol=0.02)
    np.testing.assert_allclose(pressed.mean(axis=0), 0.59, atol=0.04)
    phase = phases_of(pressed, BY_NAME["trot"].period)
    np.testing.assert_allclose(np.exp(2j * np.pi * phase), [1, -1, -1, 1], atol=0.35)
    assert (pressed.sum(axis=1) >= 2).all()


def test_a_run_is_a_faster_trot_with_all_feet_in_the_air_between_steps(walker):
    pressed, got = steps_of(walker, "run", (1.2, 0, 0), 10.0)
    assert got[0] > 1.05
    assert np.abs(got[1:]).max() < 0.03
    assert pressed.mean(axis=0).max() < 0.5
    phase = phases_of(pressed, BY_NAME["run"].period)
    np.testing.assert_allclose(np.exp(2j * np.pi * phase), [1, -1, -1, 1], atol=0.35)
    in_the_air = ~pressed.any(axis=1)
    assert in_the_air.mean() > 0.04
    assert np.count_nonzero(in_the_air[1:] & ~in_the_air[:-1]) >= 1.5 * 10.0 / BY_NAME["run"].period  # twice a cycle


def test_a_static_walk_lifts_one_foot_at_a_time(walker):
    pressed, got = steps_of(walker, "walk", (0.2, 0, 0), 10.0)
    np.testing.assert_allclose(got, (0.2, 0, 0), atol=0.02)
    np.testing.assert_allclose(pressed.mean(axis=0), 0.81, atol=0.03)
    assert (pressed.sum(axis=1) >= 3).mean() > 0.99
    phase = phases_of(pressed, BY_NAME["walk"].period)
    np.testing.assert_allclose(phase, [0.0, 0.5, 0.75, 0.25], atol=0.06)  # a quarter between RR, FR, RL, FL


def test_the_economic_gait_takes_less_work_than_a_trot_at_the_same_speed(walker):
    work = {}
    for name, seconds in (("trot", 4.0), ("economic", 10.0)):
        walker.gait.choose(name)
        walker.gait.walk(0.3, 0, 0)
        walker.go(2.0)
        spent, step = [], walker.plant.step

        def feel(command, step=step, spent=spent):
            state = step(command)
            spent.append(np.abs(state.tau_est * state.dq).sum())
            return state

        walker.plant.step = feel
        got = walker.go(seconds)
        del walker.plant.step
        np.testing.assert_allclose(got, (0.3, 0, 0), atol=0.02)
        work[name] = np.mean(spent)
    assert work["economic"] < 0.7 * work["trot"]


@pytest.mark.parametrize("name", ["run", "walk", "economic"])
@pytest.mark.parametrize("direction", range(2))
def test_every_gait_takes_a_push_and_goes_on(walker, name, direction):
    walker.gait.choose(name)
    walker.gait.walk(0.15, 0, 0)
    walker.go(1.5 + 0.13 * direction)
    angle = 0.4 + direction * np.pi / 2
    walker.plant.push((200 * np.cos(angle), 200 * np.sin(angle), 0.0), 0.1)
    walker.go(0.3)
    assert walker.gait.mode == ("trot" if name == "walk" else name)  # a walk is too slow to catch itself
    walker.go(3.5)
    assert walker.gait.mode == name
    assert walker.go(1.02)[0] == pytest.approx(0.15, abs=0.05)


def test_gaits_change_under_way_and_a_velocity_beyond_the_next_one_is_cut(walker):
    walker.gait.choose("run")
    walker.gait.walk(1.0, 0, 0)
    walker.go(1.5)
    for name in ("walk", "economic", "run", "trot", "walk", "run"):
        walker.gait.choose(name)
        walker.go(2.4)
        assert walker.gait.mode == name
        assert walker.gait.velocity[0] == min(1.0, BY_NAME[name].vx[1])
    walker.gait.walk(0, 0, 0)
    walker.go(2.5)
    assert walker.stands()


def test_a_gait_has_its_own_limits():
    gait = GaitController()
    gait.walk(0.8, 0, 0)
    gait.choose("walk")
    for name in NAMES:
        gait.choose(name)
        assert gait.gait == name
        gait.walk(BY_NAME[name].vx[1], 0, 0)
        with pytest.raises(InvalidValueError, match="vx"):
            gait.walk(BY_NAME[name].vx[1] + 0.01, 0, 0)
    for bad, error in (("gallop", InvalidValueError), (3, DTypeError)):
        with pytest.raises(error):
            gait.choose(bad)
    assert gait.gait == NAMES[-1]
