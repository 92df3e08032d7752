"""``rfx doctor``: what this machine has, what is missing and how to get it."""

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import rfx
from rfx.errors import RfxError

PROBE_TICKS = 100
PROBE_PERIOD_S = 0.002


@dataclass(frozen=True)
class Check:
    """One line of the doctor: ``status`` is ok, warn, missing (optional) or fail (rfx cannot do its work)."""

    name: str
    status: str
    detail: str
    fix: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rfx doctor``."""
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    parser.add_argument(
        "--robot",
        metavar="IFACE",
        default=None,
        help="look at the robot behind this network interface; commands nothing",
    )
    parser.add_argument("--domain", type=int, default=0, help="with --robot: DDS domain id (default 0, as on a robot)")
    parser.add_argument(
        "--patience",
        type=float,
        default=3.0,
        metavar="S",
        help="with --robot: how long to wait for an answer (default 3)",
    )


def run(args: argparse.Namespace) -> int:
    """Print all checks; 0 unless something that rfx needs, or the robot, fails."""
    if args.robot is None:
        checks = check_all()
    else:
        from rfx import arrays
        from rfx.cli.doctor_robot import check_robot

        domain = arrays.integer(args.domain, "--domain", minimum=0, maximum=230)
        checks = check_robot(args.robot, domain, arrays.number(args.patience, "--patience", above=0, maximum=600))
    print(json.dumps([asdict(c) for c in checks], indent=2) if args.json else format_checks(checks))
    return 1 if any(c.status == "fail" for c in checks) else 0


def check_all() -> list[Check]:
    """Return every check; takes about half a second, raises nothing and waits for nothing."""
    return [_looked(name, look) for name, look in CHECKS]


def check_named(name: str) -> Check:
    """Return one check."""
    return _looked(name, dict(CHECKS)[name])


def _looked(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:  # a check that breaks is a finding, not the end of the doctor
        return Check(name, "warn", f"could not be looked at: {type(error).__name__}: {error}")


def format_checks(checks: list[Check]) -> str:
    """Write one aligned line for each check."""
    width = max((len(c.name) for c in checks), default=0)
    lines = []
    for c in checks:
        fix = f"  ->  {c.fix}" if c.fix else ""
        lines.append(f"{c.name:<{width}}  {c.status:<7}  {c.detail}{fix}")
    return "\n".join(lines)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _core() -> Check:
    try:
        importlib.import_module("rfx.control.loop")
        importlib.import_module("rfx.go2.wire")
    except ImportError as error:
        fix = "python setup.py build_ext --inplace, or pip install ."
        return Check("rfx", "fail", f"{rfx.__version__}, the compiled core does not load: {error}", fix)
    return Check("rfx", "ok", f"{rfx.__version__}, compiled core, {Path(rfx.__file__).parent}")


def _python() -> Check:
    free = "free-threaded, " if not getattr(sys, "_is_gil_enabled", lambda: True)() else ""
    return Check(
        "python", "ok", f"{platform.python_version()}, {free}{platform.platform(terse=True)}, {platform.machine()}"
    )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # an import hook refuses it, or None stands for it in sys.modules
        return False


def _arrays() -> Check:
    absent = [name for name in ("numpy", "scipy") if not _installed(name)]
    if absent:
        return Check("arrays", "fail", f"{' and '.join(absent)} not installed", f"pip install {' '.join(absent)}")
    return Check("arrays", "ok", f"numpy {_version('numpy')}, scipy {_version('scipy')}")


def _clock() -> Check:
    info = time.get_clock_info("monotonic")
    late = []
    deadline = time.monotonic()
    for _ in range(PROBE_TICKS):
        deadline += PROBE_PERIOD_S
        time.sleep(max(0.0, deadline - time.monotonic()))
        late.append(max(0.0, time.monotonic() - deadline))
    late.sort()
    p50, p99 = 1e6 * late[len(late) // 2], 1e6 * late[int(0.99 * len(late))]
    status = "ok" if p99 < 1000 else "warn"
    detail = f"{info.implementation}, {info.resolution * 1e9:.0f} ns; wake-ups late by {p50:.0f} us, p99 {p99:.0f} us"
    fix = "" if status == "ok" else "a shared or busy machine: real-time runs will show its stalls, lockstep does not"
    return Check("clock", status, detail, fix)


def _real_time() -> Check:
    if not hasattr(os, "sched_setscheduler"):
        return Check("real time", "warn", "this platform has no SCHED_FIFO; loops run at normal priority")
    import resource

    from rfx.control.realtime import RealtimeRights, Wishes

    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    memory = "unlimited" if locked == resource.RLIM_INFINITY else f"{locked // 1024} KiB"
    # Asked for and given back at once: neither uid 0 nor a limit says what a container really grants.
    with RealtimeRights(Wishes(priority=1)) as asked:
        [right] = asked.rights
    if right.granted:
        return Check("real time", "ok", f"SCHED_FIFO is granted, locked memory {memory}")
    fix = "add `@realtime - rtprio 80` and `@realtime - memlock unlimited` to /etc/security/limits.conf and join that group"
    return Check("real time", "warn", f"SCHED_FIFO is refused ({right.detail}), locked memory {memory}", fix)


def _cores() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    how = f", governor {governor.read_text().strip()}" if governor.exists() else ""
    return Check("cores", "ok", f"{usable}{how}")


def _network() -> Check:
    names = [name for _, name in socket.if_nameindex()]
    loop = any(name in ("lo", "lo0") for name in names)
    return Check(
        "network", "ok" if loop else "warn", ", ".join(names), "" if loop else "bring the loopback interface up"
    )


def _dds() -> Check:
    version = _version("cyclonedds")
    if version is None:
        fix = "pip install 'cyclonedds>=11.0.1,<12' on CPython 3.11 to 3.13; no wheel for Linux on ARM"
        return Check("dds", "missing", "cyclonedds is not installed: no robot can be reached", fix)
    try:
        cyclone = importlib.import_module("rfx.go2.backends.cyclone")
    except (RfxError, ImportError, OSError) as error:
        return Check(
            "dds", "missing", f"cyclonedds {version} does not load: {error}", "pip install 'cyclonedds>=11.0.1,<12'"
        )
    if not cyclone.raw_available():
        fix = "pip install 'cyclonedds>=11.0.1,<12'"
        return Check("dds", "warn", f"cyclonedds {version}, without raw CDR: some hundred times slower", fix)
    return Check("dds", "ok", f"cyclonedds {version}, raw CDR")


def _optional(name: str, module: str, distribution: str, extra: str, purpose: str) -> Check:
    if not _installed(module):
        return Check(name, "missing", f"{distribution} is not installed: {purpose}", f"pip install 'rfx[{extra}]'")
    return Check(name, "ok", f"{distribution} {_version(distribution) or 'of unknown version'}")


def _zenoh() -> Check:
    return _optional("zenoh", "zenoh", "eclipse-zenoh", "zenoh", "no robot can be reached through a bridge")


def _physics() -> Check:
    distribution = "mujoco-core" if _version("mujoco-core") else "mujoco"
    return _optional("physics", "mujoco", distribution, "sim", "the simulated robot is a stand-in that cannot fall")


def _plots() -> Check:
    return _optional("plots", "matplotlib", "matplotlib", "demo", "reports come without plots")


def _training() -> Check:
    from rfx.nn.toolchain import zig

    if not _installed("tinygrad"):
        return Check("training", "missing", "tinygrad is not installed", "pip install 'tinygrad>=0.14,<0.15'")
    compiler = os.environ.get("CC") or shutil.which("clang") or zig()
    if not compiler:
        fix = "pip install 'rfx[nn]', or install clang (gcc does not serve)"
        return Check(
            "training", "warn", f"tinygrad {_version('tinygrad')}, but no clang: it cannot run on the CPU", fix
        )
    return Check("training", "ok", f"tinygrad {_version('tinygrad')}, compiler {compiler}")


CHECKS: list[tuple[str, Callable[[], Check]]] = [
    ("rfx", _core),
    ("python", _python),
    ("arrays", _arrays),
    ("clock", _clock),
    ("real time", _real_time),
    ("cores", _cores),
    ("network", _network),
    ("dds", _dds),
    ("zenoh", _zenoh),
    ("physics", _physics),
    ("plots", _plots),
    ("training", _training),
]
