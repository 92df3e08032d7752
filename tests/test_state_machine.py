"""rfx.control.state_machine: what is allowed happens, what is not raises."""

import enum

import pytest
from noted_states import make

from rfx.control import EnumStateMachine, FunctionState, State, StateMachine
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError


def test_callbacks_come_in_order():
    machine, log = make()
    machine.transition_to("stand")
    machine.update(0.1)
    assert log == ["enter lie", "exit lie", "enter stand", "update stand 0.1"]


def test_a_transition_that_is_not_allowed_raises_and_changes_nothing():
    machine, log = make()
    with pytest.raises(InvalidStateError, match="'lie' may not become 'walk', it may become \\['stand'\\]"):
        machine.transition_to("walk")
    assert machine.current_state == "lie"
    assert log == ["enter lie"]
    assert not machine.can_go("walk")


def test_unknown_states_raise():
    machine, _ = make()
    for call in (
        lambda: machine.transition_to("fly"),
        lambda: machine.is_in_state("fly"),
        lambda: machine.can_go("fly"),
        lambda: machine.add_transition("lie", "fly"),
        lambda: machine.add_transition("fly", "lie"),
    ):
        with pytest.raises(ConfigError, match="fly"):
            call()


def test_a_name_can_be_taken_once():
    machine, _ = make()
    with pytest.raises(ConfigError, match="already"):
        machine.add_state("walk")


def test_nothing_happens_before_start():
    machine = StateMachine("a")
    for call in (lambda: machine.update(0.1), lambda: machine.transition_to("a"), lambda: machine.handle_event(1)):
        with pytest.raises(InvalidStateError, match="start"):
            call()
    machine.start()
    with pytest.raises(InvalidStateError, match="already"):
        machine.start()


def test_a_state_may_become_itself_only_where_that_is_allowed():
    machine, log = make()
    with pytest.raises(InvalidStateError):
        machine.transition_to("lie")
    machine.add_transition("lie", "lie")
    machine.transition_to("lie")
    assert log == ["enter lie", "exit lie", "enter lie"]


def test_events_follow_the_table():
    machine, _ = make()
    assert not machine.handle_event("sit")
    assert machine.handle_event("up")
    assert machine.is_in_state("stand")
    assert machine.history[-1].reason == "event 'up'"


def test_a_state_may_answer_an_event_itself():
    machine = StateMachine(FunctionState("a", event=lambda e: "b" if e == 7 else None))
    machine.add_state("b")
    machine.add_transition("a", "b")
    machine.start()
    assert not machine.handle_event(6)
    assert machine.handle_event(7)
    assert machine.current_state == "b"


def test_an_answer_that_is_not_allowed_raises():
    machine = StateMachine(FunctionState("a", event=lambda e: "b"))
    machine.add_state("b")
    machine.start()
    with pytest.raises(InvalidStateError, match="may not"):
        machine.handle_event(1)
    assert machine.current_state == "a"


def test_one_event_leads_to_one_place():
    machine, _ = make()
    with pytest.raises(ConfigError, match="leads from 'lie' to 'stand' already"):
        machine.add_transition("lie", "walk", event="up")


def test_a_timeout_moves_on_and_says_so():
    machine = StateMachine("start")
    machine.add_state("wait", timeout_s=0.5, timeout_to="late")
    machine.add_state("late")
    machine.add_transition("start", "wait")
    machine.start()
    machine.transition_to("wait")
    machine.update(0.3)
    assert machine.current_state == "wait"
    assert machine.time_in_state == pytest.approx(0.3)
    machine.update(0.3)
    assert machine.current_state == "late"
    assert machine.history[-1] == (pytest.approx(0.6), "wait", "late", "timeout of 0.5 s")


def test_a_timeout_that_leads_nowhere_is_found_at_the_start():
    machine = StateMachine("a")
    machine.add_state("b", timeout_s=1.0, timeout_to="c")
    with pytest.raises(ConfigError, match="'c'"):
        machine.start()
    with pytest.raises(ConfigError, match="together"):
        machine.add_state("d", timeout_s=1.0)


def test_an_update_that_moves_on_itself_has_no_timeout_besides():
    machine = StateMachine("a")
    machine.add_state(FunctionState("b", update=lambda dt: machine.transition_to("c")), timeout_s=0.1, timeout_to="d")
    machine.add_state("c")
    machine.add_state("d")
    for source, target in (("a", "b"), ("b", "c")):
        machine.add_transition(source, target)
    machine.start()
    machine.transition_to("b")
    machine.update(5.0)
    assert machine.current_state == "c"


def test_history_keeps_the_last_transitions():
    machine = StateMachine("a", history=2)
    machine.add_state("b")
    machine.add_transition("a", "b")
    machine.add_transition("b", "a")
    machine.start()
    for target in ("b", "a", "b"):
        machine.transition_to(target, reason=f"to {target}")
    assert [(t.source, t.target, t.reason) for t in machine.history] == [("b", "a", "to a"), ("a", "b", "to b")]


def test_an_event_may_be_anything_for_the_state_but_needs_a_hash_for_the_table():
    machine = StateMachine(FunctionState("a", event=lambda e: e.get("to")))
    machine.add_state("b")
    machine.add_transition("a", "b")
    with pytest.raises(DTypeError, match="hashable"):
        machine.add_transition("a", "b", event={})
    machine.start()
    assert not machine.handle_event({"speed": 1})
    assert machine.handle_event({"to": "b"})
    assert machine.current_state == "b"


@pytest.mark.parametrize("name", [5, None, ["lie"]])
def test_what_is_not_a_name_is_refused(name):
    machine, _ = make()
    for call in (machine.transition_to, machine.is_in_state, machine.can_go):
        with pytest.raises(DTypeError, match="name"):
            call(name)


def test_reset_goes_back_to_before_the_start():
    machine, log = make()
    machine.transition_to("stand")
    machine.reset()
    assert machine.current_state == "lie"
    machine.start()
    assert log[-1] == "enter lie"


def test_wrong_kinds_are_refused():
    with pytest.raises(DTypeError):
        StateMachine(5)
    with pytest.raises(DTypeError):
        State("")
    with pytest.raises(InvalidValueError):
        StateMachine("a", history=-1)


# -- over an enum


class Mode(enum.Enum):
    LYING = 1
    STANDING = 2
    WALKING = 3


def test_an_enum_machine_enforces_its_table():
    log = []
    machine = EnumStateMachine(
        Mode.LYING,
        {Mode.LYING: {Mode.STANDING}, Mode.STANDING: {Mode.LYING, Mode.WALKING}},
        on_enter={Mode.STANDING: lambda: log.append("up")},
        on_update={Mode.STANDING: log.append},
        on_exit={Mode.LYING: lambda: log.append("off the floor")},
    )
    with pytest.raises(InvalidStateError):
        machine.set_state(Mode.WALKING)
    machine.set_state(Mode.STANDING)
    machine.update(0.25)
    assert machine.current is Mode.STANDING
    assert log == ["off the floor", "up", 0.25]
    assert machine.history[0].target == "STANDING"


def test_an_enum_machine_takes_only_its_own_members():
    other = enum.Enum("other", "A")
    machine = EnumStateMachine(Mode.LYING, {})
    with pytest.raises(ConfigError, match="Mode"):
        machine.set_state(other.A)
    with pytest.raises(ConfigError, match="Mode"):
        EnumStateMachine(Mode.LYING, {other.A: set()})
    with pytest.raises(DTypeError, match="enum"):
        EnumStateMachine("lying", {})


def test_reprs():
    machine, _ = make()
    assert repr(machine) == "StateMachine(current='lie', states=3, started=True)"
    assert "LYING" in repr(EnumStateMachine(Mode.LYING, {}))
