"""The door to DustDDS: what its Python wheel would have to be able to do for a robot, and whether it can.

The wheel encodes messages by itself and takes no encoded bytes, so it must know every kind of field that Unitree's
messages have. What it does not know ends in a Rust panic; therefore another process tries, in a network of its own where
the system grants one. It announces nothing on a real interface.
"""

import functools
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from dataclasses import make_dataclass
from typing import Any, NoReturn

from rfx.errors import MissingDependencyError, RfxError

PATIENCE_S = 30.0
INTERFACE = "choosing a network interface"
NEW_NETWORK, NEW_USER = 0x40000000, 0x10000000  # flags of Linux' unshare
FLAGS_OF_INTERFACE, UP = 0x8914, 1  # ioctl SIOCSIFFLAGS, IFF_UP
START = "import sys; sys.path[:] = {path!r}; from rfx.go2.backends.dust import _try_all; _try_all()"


def open_dust(config: Any = None) -> NoReturn:
    """Say what keeps DustDDS from reaching a robot.

    Raises
    ------
    MissingDependencyError
        dust-dds is not installed.
    RfxError
        Its Python wheel lacks what a robot's messages need, by name; or it lacks nothing any more, and it is this version
        of rfx that has no link over it.
    """
    missing = missing_abilities()
    if missing:
        raise RfxError(
            f"expected a dust-dds that can carry a robot's messages, got {_version()}, which lacks: {', '.join(missing)}; "
            "leave Go2Config.backend empty, or name cyclone or zenoh"
        )
    raise RfxError(
        f"dust-dds {_version()} can carry a robot's messages, but this version of rfx has no link over it yet"
    )


@functools.cache
def missing_abilities() -> tuple[str, ...]:
    """Return what the installed wheel cannot do, in words; empty when it can do all.

    Raises
    ------
    MissingDependencyError
        dust-dds is not installed.
    RfxError
        It could not be tried.
    """
    if not _installed():
        raise MissingDependencyError(
            "the backend dust needs dust-dds (`pip install dust-dds`), whose Python wheel cannot reach a robot as of 0.16; "
            "CycloneDDS and Zenoh can"
        )
    command = [sys.executable, "-c", START.format(path=sys.path)]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
        return tuple(json.loads(tried.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired as error:
        raise RfxError(f"dust-dds {_version()} did not answer within {PATIENCE_S:g} s when it was tried") from error
    except (ValueError, IndexError) as error:
        last = tried.stderr.strip().splitlines()[-1:] or ["nothing on stderr"]
        raise RfxError(
            f"dust-dds {_version()} ended with code {tried.returncode} when it was tried: {last[0]}"
        ) from error


def _installed() -> bool:
    try:
        return importlib.util.find_spec("dust_dds") is not None
    except (ImportError, ValueError):
        return False


def _version() -> str:
    try:
        return importlib.metadata.version("dust-dds")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


# -- in the other process


def _try_all() -> None:
    """Print what is missing as JSON."""
    import dust_dds

    factory = dust_dds.DomainParticipantFactory.get_instance()
    names = [*dir(dust_dds), *dir(factory), *dir(dust_dds.DomainParticipantQos)]
    chooses = any(word in name.lower() for name in names for word in ("interface", "configuration"))
    missing = [] if chooses else [INTERFACE]
    if _leave_the_network():
        participant = factory.create_participant(domain_id=200)
        missing += [name for name, kind, value in _wanted(dust_dds) if _fails(participant, name, kind, value)]
    print(json.dumps(missing), flush=True)


def _wanted(dust_dds: Any) -> list[tuple[str, Any, Any]]:
    """Return the kinds of fields that the robot's messages have: in words, as the wheel names them, and a value."""
    kinds = dust_dds.TypeKind
    inner = make_dataclass("Inner", [("x", kinds.uint32)])
    return [
        ("uint8", kinds.uint8, 1),
        ("uint16", kinds.uint16, 1),
        ("uint32", kinds.uint32, 1),
        ("int16", kinds.int16, -1),
        ("int32", kinds.int32, -1),
        ("int64", kinds.int64, -1),
        ("float32", kinds.float32, 0.5),
        ("bool", kinds.boolean, True),
        ("text", str, "x"),
        ("bytes", bytes, b"x"),
        ("arrays", list[float], [0.5]),
        ("messages in messages", inner, inner(1)),
    ]


def _fails(participant: Any, name: str, kind: Any, value: Any) -> bool:
    """Whether a message with one such field cannot be written."""
    try:
        message = make_dataclass(f"With_{name.replace(' ', '_')}", [("x", kind)])
        topic = participant.create_topic(topic_name=message.__name__, type_=message)
        participant.create_publisher().create_datawriter(topic).write(message(value))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a Rust panic is no Exception
        return True
    return False


def _leave_the_network() -> bool:
    """Move this process to a network of its own that has nothing but a loopback interface; False where that is refused."""
    if sys.platform != "linux":
        return False
    import ctypes
    import fcntl
    import socket
    import struct

    system = ctypes.CDLL(None)
    if system.unshare(NEW_NETWORK) and system.unshare(NEW_NETWORK | NEW_USER):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        fcntl.ioctl(link, FLAGS_OF_INTERFACE, struct.pack("16sh", b"lo", UP))
    return True
