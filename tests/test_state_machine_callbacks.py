"""Callbacks of a state machine: what they may ask for, and what an error in one of them leaves."""

import pytest
from noted_states import make

from rfx.control import FunctionState, StateMachine
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError


def test_a_transition_asked_for_inside_a_callback_follows_it():
    log = []
    machine = StateMachine("a")
    machine.add_state(
        FunctionState(
            "b", enter=lambda: (machine.transition_to("c"), log.append("b entered")), exit=lambda: log.append("b left")
        )
    )
    machine.add_state(FunctionState("c", enter=lambda: log.append("c entered")))
    machine.add_transition("a", "b")
    machine.add_transition("b", "c")
    machine.start()
    machine.transition_to("b")
    assert log == ["b entered", "b left", "c entered"]


def test_a_second_transition_inside_one_callback_is_refused():
    machine = StateMachine("a")
    machine.add_state(FunctionState("b", enter=lambda: (machine.transition_to("a"), machine.transition_to("a"))))
    machine.add_transition("a", "b")
    machine.add_transition("b", "a")
    machine.start()
    with pytest.raises(InvalidStateError, match="waits already"):
        machine.transition_to("b")
    assert machine.current_state == "b"
    machine.transition_to("a")


def test_updating_inside_a_callback_is_refused():
    machine = StateMachine(FunctionState("a", update=lambda dt: machine.update(dt)))
    machine.start()
    with pytest.raises(InvalidStateError, match="callback"):
        machine.update(0.1)


@pytest.mark.parametrize("call", [lambda m: m.update(0.1), lambda m: m.handle_event("e"), lambda m: m.reset()])
def test_a_callback_may_not_drive_the_machine(call):
    machine = StateMachine("a")
    machine.add_state(FunctionState("b", exit=lambda: call(machine)))
    machine.add_transition("a", "b")
    machine.add_transition("b", "a")
    machine.start()
    machine.transition_to("b")
    with pytest.raises(InvalidStateError, match="callback"):
        machine.transition_to("a")
    assert machine.current_state == "b"
    assert machine.time_in_state == 0.0


def test_a_state_that_is_left_may_not_ask_for_another_transition():
    machine = StateMachine(FunctionState("a", exit=lambda: machine.transition_to("c")))
    for name in ("b", "c"):
        machine.add_state(name)
        machine.add_transition("a", name)
    machine.start()
    with pytest.raises(InvalidStateError, match="being left"):
        machine.transition_to("b")
    assert machine.current_state == "a"
    assert machine.history == ()


def test_transitions_that_ask_for_each_other_for_ever_are_ended():
    entered = []

    def ping(name, other):
        return FunctionState(name, enter=lambda: (entered.append(name), machine.transition_to(other)))

    machine = StateMachine("start")
    machine.add_state(ping("x", "y"))
    machine.add_state(ping("y", "x"))
    for source, target in (("start", "x"), ("x", "y"), ("y", "x")):
        machine.add_transition(source, target)
    machine.start()
    with pytest.raises(InvalidStateError, match="in a row"):
        machine.transition_to("x")
    assert machine.current_state == entered[-1]
    assert len(entered) == len(machine.history) == 100
    machine.update(0.5)
    assert machine.time_in_state == 0.5


def test_an_error_at_the_start_leaves_the_machine_started():
    machine = StateMachine(FunctionState("a", enter=failing))
    machine.add_state("b")
    machine.add_transition("a", "b")
    with pytest.raises(OSError, match="broken"):
        machine.start()
    machine.transition_to("b")
    assert machine.current_state == "b"


def test_an_error_drops_the_transition_that_waited():
    def ask_and_fail(dt):
        machine.transition_to("b")
        failing()

    machine = StateMachine(FunctionState("a", update=ask_and_fail))
    machine.add_state("b")
    machine.add_transition("a", "b")
    machine.start()
    with pytest.raises(OSError, match="broken"):
        machine.update(0.1)
    assert machine.current_state == "a"
    assert machine.time_in_state == 0.1
    machine.transition_to("b")


def test_a_timeout_given_after_the_start_must_lead_somewhere():
    machine, _ = make()
    with pytest.raises(ConfigError, match="'nowhere'"):
        machine.add_state("late", timeout_s=1.0, timeout_to="nowhere")
    with pytest.raises(DTypeError, match="timeout_to"):
        machine.add_state("late", timeout_s=1.0, timeout_to=["lie"])
    assert "late" not in machine.states
    machine.add_state("late", timeout_s=1.0, timeout_to="lie")


def failing():
    raise OSError("broken")


def test_an_error_on_exit_leaves_the_machine_where_it_was():
    machine = StateMachine(FunctionState("a", exit=failing))
    machine.add_state("b")
    machine.add_transition("a", "b")
    machine.start()
    with pytest.raises(OSError, match="broken"):
        machine.transition_to("b")
    assert machine.current_state == "a"
    assert machine.history == ()


def test_an_error_on_enter_leaves_the_machine_in_the_new_state():
    machine = StateMachine("a")
    machine.add_state(FunctionState("b", enter=failing))
    machine.add_transition("a", "b")
    machine.add_transition("b", "a")
    machine.start()
    with pytest.raises(OSError, match="broken"):
        machine.transition_to("b")
    assert machine.current_state == "b"
    machine.transition_to("a")
    assert machine.current_state == "a"


@pytest.mark.parametrize("dt", [-0.1, float("nan"), float("inf"), 1.7e308])
def test_time_does_not_run_backwards(dt):
    machine, _ = make()
    with pytest.raises(InvalidValueError, match="dt"):
        machine.update(dt)
    assert machine.time_in_state == 0.0
