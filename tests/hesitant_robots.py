"""Robots and calls that wait at a gate, for tests of what comes between two steps."""

import threading

from rfx.skills import (
    Circle,
    KinematicGo2,
    SkillLimits,
)

WIDE = SkillLimits(area=Circle(50.0), per_minute_s=60.0, move_s=60.0)


class Gate:
    """Somebody waits here until let through."""

    def __init__(self):
        self.there, self.through = threading.Event(), threading.Event()

    def wait(self):
        self.there.set()
        assert self.through.wait(20)


class Hesitant(KinematicGo2):
    """A robot whose motions wait at a gate before they begin."""

    def __init__(self, **options):
        super().__init__(**options)
        self.gate = None

    def _hesitate(self):
        if self.gate is not None:
            self.gate.wait()

    def stand(self):
        self._hesitate()
        super().stand()

    def sit(self):
        self._hesitate()
        super().sit()

    def look(self, pitch, yaw):
        self._hesitate()
        super().look(pitch, yaw)


def meanwhile(func, *args):
    """Call a function in a thread, and return the thread and where its result will be."""
    results = []

    def run():
        try:
            results.append(func(*args))
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


def ended(thread):
    thread.join(20)
    return not thread.is_alive()


def held(monkeypatch, owner, name, gate):
    """Let calls of a method wait at a gate before they do anything."""
    real = getattr(owner, name)

    def waiting(*args, **options):
        gate.wait()
        return real(*args, **options)

    monkeypatch.setattr(owner, name, waiting)
