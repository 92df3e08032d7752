"""States that note what happens to them."""

from rfx.control import State, StateMachine


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
