"""rfx.control.state_machine: what is allowed happens, what is not raises."""

import enum

import pytest

from rfx.control import EnumStateMachine, FunctionState, State, StateMachine
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError


class Noted(State):
    """Writes down what is called."""

    def __init__(self, name, log):
        super().__init__(name)
        self.log = log

    def on_enter(self):
        self.log.append(f"enter {self.name}")

    def on_update(self, dt):
        self.log.append(f"update {self.name} {dt:g}")

    def on_exit(self):
        self.log.append(f"exit {self.name}")


def make(log=None):
    log = [] if log is None else log
    machine = StateMachine(Noted("lie", log))
    machine.add_state(Noted("stand", log))
    machine.add_state(Noted("walk", log))
    machine.add_transition("lie", "stand", event="up")
    machine.add_transition("stand", "walk")
    machine.add_transition("stand", "lie")
    machine.start()
    return machine, log


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
