"""Connecting and letting go again and again leaves nothing behind: no thread, no socket, no file, no memory.

``RFX_CONNECTS=1000`` says how often over DDS; fewer by default.
"""

import contextlib
import gc
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
from waiting import wait_for

from rfx.cli.demo import child_environment, robot_command
from rfx.errors import RfxTimeoutError
from rfx.go2 import Go2, Go2Config, RpcError
from rfx.go2.backends.recorded import RecordedBackend
from rfx.go2.flight_log import FlightLog
from rfx.go2.messages import LowState
from rfx.go2.topics import LOW_STATE

CONNECTS = int(os.environ.get("RFX_CONNECTS", "40"))
SETTLE = 20  # connects after which caches are filled
MIB = 2**20

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


def held():
    """What this process holds now: threads of the kernel and of Python, files, sockets."""
    files = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            files.append(os.readlink(entry))
    return {
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "python threads": threading.active_count(),
        "sockets": sum(name.startswith("socket:") for name in files),
        "files": len(files),
    }


def nothing_more_than(before):
    """Whether this process holds no more than it did; what ends in its own time is waited for, and may be less."""
    return wait_for(lambda: all(held()[what] <= count for what, count in before.items()))


def resident():
    """Resident memory in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def robot(domain_id):
    """A simulated robot in a process of its own."""
    words = robot_command(domain=domain_id, plant="joint", sport=True, tied=True)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, text=True, env=child_environment(), **pipes) as child:
        assert json.loads(child.stdout.readline())["ready"]
        yield child
        child.communicate(timeout=30)


def test_connects_over_dds_leave_nothing_behind(domain_id):
    config, leases = Go2Config.loopback(domain_id, connect_timeout_s=30.0), []

    def once(i):
        with Go2.connect(config) as go2:
            assert go2.low_state().crc_ok
            if i % 20 == 7:
                assert go2.rpc.call("sport", 1, "", 20.0)
            if i % 20 == 17:
                with contextlib.suppress(RpcError):  # the robot forgets a lease a second after its holder went
                    leases.append(go2.take_lease())  # one thread of ours runs until it is let go

    with robot(domain_id):
        for i in range(SETTLE):
            once(i)
        before, memory = held(), resident()
        for i in range(CONNECTS):
            once(i)
        assert nothing_more_than(before), (held(), before)
        grown = resident() - memory
        print(f"{CONNECTS} connects: {grown / 1024:.0f} KiB more, {len(leases)} leases, {before}")
        assert grown < 3 * MIB + 1024 * CONNECTS
    assert len(leases) > 1


def test_connects_to_nobody_leave_nothing_behind(domain_id):
    config = Go2Config.loopback(domain_id, connect_timeout_s=0.02)

    def once():
        with pytest.raises(RfxTimeoutError):
            Go2.connect(config)

    for _ in range(5):
        once()
    before = held()
    for _ in range(20):
        once()
    assert nothing_more_than(before), (held(), before)


def test_a_thousand_connects_to_a_recording_leave_nothing_behind(tmp_path):
    with FlightLog(tmp_path / "a.mcap") as log:
        for i in range(3):
            log.record(LOW_STATE, i, LowState(tick=2 * i).to_cdr())

    def once():
        with Go2(Go2Config(), RecordedBackend(log.path)) as go2:
            assert go2.wait_state(0.0)

    for _ in range(SETTLE):
        once()
    before, memory = held(), resident()
    for _ in range(1000):
        once()
    assert nothing_more_than(before), (held(), before)
    assert resident() - memory < 4 * MIB
