"""rfx.control.realtime: granted or not, it is said, and given back. Rights depend on who runs the tests."""

import ctypes
import os
import sys
import threading

import pytest

from rfx.control import ControlLoop, realtime
from rfx.control.realtime import RealtimeRights, Wishes, check_wishes
from rfx.errors import ConfigError, DTypeError

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="scheduling of threads is tested on Linux")


@pytest.mark.parametrize(
    "wishes",
    [
        (0, False, None),
        (100, False, None),
        (-5, False, None),
        (None, False, []),
        (None, False, -1),
        (None, False, 5000),
    ],
)
def test_nonsense_is_a_config_error(wishes):
    with pytest.raises(ConfigError, match="expected"):
        check_wishes(*wishes)


@pytest.mark.parametrize(
    "wishes", [(1.5, False, None), (True, False, None), (None, 1, None), (None, False, "0"), (None, False, [0.0])]
)
def test_wishes_of_the_wrong_type_are_refused(wishes):
    with pytest.raises(DTypeError):
        check_wishes(*wishes)


def test_affinity_takes_one_cpu_or_several():
    assert check_wishes(None, False, 1).affinity == (1,)
    assert check_wishes(None, False, {3, 0}).affinity == (0, 3)


def test_no_wishes_leave_everything_as_it_is():
    with RealtimeRights(Wishes()) as rights:
        assert rights.rights == ()


@linux_only
def test_affinity_holds_inside_and_is_given_back():
    before = os.sched_getaffinity(0)
    cpu = min(before)
    with RealtimeRights(Wishes(affinity=(cpu,))) as rights:
        assert os.sched_getaffinity(0) == {cpu}
    assert rights.rights[0].granted
    assert os.sched_getaffinity(0) == before


@linux_only
def test_a_cpu_that_is_not_there_is_reported_and_not_raised():
    before = os.sched_getaffinity(0)
    with RealtimeRights(Wishes(affinity=(4095,))) as rights:
        assert os.sched_getaffinity(0) == before
    assert not rights.rights[0].granted
    assert rights.rights[0].detail == "Invalid argument"


@linux_only
def test_priority_is_what_the_statement_says_and_is_given_back():
    before = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    with RealtimeRights(Wishes(priority=7)) as rights:
        now = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
        assert now == ((os.SCHED_FIFO, 7) if rights.rights[0].granted else before)
    assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == before


@linux_only
def test_refused_rights_are_reported_and_undone_in_part(monkeypatch):
    def refuse(*ignored):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(realtime, "lock_memory", refuse)
    before, cpu = os.sched_getaffinity(0), min(os.sched_getaffinity(0))
    with RealtimeRights(Wishes(priority=7, lock_memory=True, affinity=(cpu,))) as rights:
        assert [str(right) for right in rights.rights[1:]] == [
            "memory locked: not granted (Operation not permitted)",
            "priority 7: not granted (Operation not permitted)",
        ]
    assert os.sched_getaffinity(0) == before


def test_a_platform_without_the_call_is_reported(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    with RealtimeRights(Wishes(affinity=(0,))) as rights:
        assert rights.rights[0].detail == f"not available on {sys.platform}"


@linux_only
def test_memory_is_unlocked_by_the_last_user(monkeypatch):
    calls = []

    class Libc:
        def mlockall(self, flags):
            calls.append("lock")
            return 0

        def munlockall(self):
            calls.append("unlock")

    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: Libc())
    with RealtimeRights(Wishes(lock_memory=True)):
        with RealtimeRights(Wishes(lock_memory=True)) as rights:
            assert rights.rights[0].granted
        assert calls == ["lock"]
    assert calls == ["lock", "unlock"]


@linux_only
@pytest.mark.parametrize("raises", [False, True])
def test_a_loop_gives_its_rights_back(raises):
    before, cpu = os.sched_getaffinity(0), min(os.sched_getaffinity(0))
    inside = []

    def callback(iteration, dt):
        inside.append(os.sched_getaffinity(0))
        return 1 // 0 if raises else False

    loop = ControlLoop(100, callback, affinity=cpu)
    if raises:
        with pytest.raises(ZeroDivisionError):
            loop.run()
    else:
        loop.run()
    assert inside == [{cpu}]
    assert os.sched_getaffinity(0) == before
    assert loop.stats().rights[0].granted


@linux_only
def test_a_spawned_loop_changes_its_own_thread_only():
    before, cpu = os.sched_getaffinity(0), min(os.sched_getaffinity(0))
    seen = threading.Event()
    with ControlLoop(100, lambda i, dt: seen.set(), affinity=cpu).spawn() as handle:
        seen.wait()
        assert os.sched_getaffinity(0) == before
        assert handle.stats().rights[0].name == "affinity"
