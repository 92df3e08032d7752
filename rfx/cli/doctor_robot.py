"""``rfx doctor --robot IFACE``: whether a robot is at the other end of an interface, and in what state; commands nothing."""

import itertools
import json
import socket
import statistics
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from rfx.cli.doctor import Check, check_named
from rfx.errors import CodecError, HardwareError, RfxError

NETWORK, ROBOT = "192.168.123.", "192.168.123.161"
FLAGS, ADDRESS = 0x8913, 0x8915  # ioctl SIOCGIFFLAGS, SIOCGIFADDR
IS_UP, IS_LOOPBACK, HAS_CARRIER, IS_MULTICAST = (
    0x1,
    0x8,
    0x40,
    0x1000,
)  # IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_MULTICAST
DISCOVERY_GROUP = "239.255.0.1"  # where DDS participants announce themselves
LISTEN_S = 1.0
STALE_S = 0.2
SLOW_HZ = 450.0
LOW_PERCENT, EMPTY_PERCENT = 30, 10
HOT_C, TOO_HOT_C = 65, 80
DEPTH = 2048


class Interface(NamedTuple):
    """What the system says of a network interface; ``address`` is empty where it has none."""

    name: str
    up: bool
    carrier: bool
    loopback: bool
    multicast: bool
    address: str


class Heard(NamedTuple):
    """The low-level states of some time: when they came (s), their ticks (ms), and what was wrong."""

    times: list[float]
    ticks: list[int]
    newest: Any
    wrong: int
    why: str
    seconds: float


def check_robot(interface: str, domain: int, patience_s: float) -> list[Check]:
    """Return every check, up to the one without which the next ones mean nothing."""
    return list(_checks(interface, domain, patience_s))


def _checks(name: str, domain: int, patience_s: float) -> Iterator[Check]:
    known = [known for _, known in socket.if_nameindex()]
    if name not in known:
        yield Check(
            "interface", "fail", f"no {name}; this machine has {', '.join(known)}", f"choose one of {', '.join(known)}"
        )
        return
    found = look(name)
    if found is not None:
        yield check_interface(found)
        yield check_address(found)
        yield check_multicast(found)
        if not found.up:
            return
    yield check_named("dds")
    yield check_named("zenoh")
    yield from _over_dds(name, domain, patience_s)
    yield check_named("real time")


# -- the interface


def look(name: str) -> Interface | None:
    """Ask the system about an interface; None where this is not known how to (elsewhere than on Linux)."""
    if sys.platform != "linux":
        return None
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        (flags,) = struct.unpack_from("<H", fcntl.ioctl(asked, FLAGS, struct.pack("<16sH14x", name.encode(), 0)), 16)
        try:
            address = socket.inet_ntoa(fcntl.ioctl(asked, ADDRESS, struct.pack("<16s16x", name.encode()))[20:24])
        except OSError:
            address = ""
    up, carrier, loopback, multicast = (bool(flags & bit) for bit in (IS_UP, HAS_CARRIER, IS_LOOPBACK, IS_MULTICAST))
    return Interface(name, up, carrier, loopback, multicast, address)


def check_interface(found: Interface) -> Check:
    """Whether it is up and a cable is in it."""
    if not found.up:
        return Check("interface", "fail", f"{found.name} is down", f"sudo ip link set {found.name} up")
    if not found.carrier:
        return Check(
            "interface", "fail", f"{found.name} is up without a link", "plug the cable in, switch the robot on"
        )
    return Check("interface", "ok", f"{found.name} is up{', loopback' if found.loopback else ''}")


def check_address(found: Interface) -> Check:
    """Whether its address is in the robot's network."""
    fix = f"sudo ip addr add {NETWORK}222/24 dev {found.name}"
    if not found.address:
        return Check("address", "fail", f"{found.name} has no IPv4 address", fix)
    if found.loopback:
        return Check("address", "ok", f"{found.address}, a simulated robot on this machine")
    if found.address == ROBOT:
        return Check("address", "fail", f"{found.address} is the robot's own address", fix)
    if not found.address.startswith(NETWORK):
        return Check("address", "warn", f"{found.address} is not in {NETWORK}0/24, where a Go2 is", fix)
    return Check("address", "ok", found.address)


def check_multicast(found: Interface) -> Check:
    """Whether what is sent to the group of DDS' discovery comes back to this machine."""
    if found.loopback:
        return Check("multicast", "ok", "not needed on loopback")
    fix = f"sudo ip link set {found.name} multicast on, and let UDP 7400 to 7500 through the firewall"
    if not found.multicast:
        return Check("multicast", "fail", f"{found.name} does no multicast: DDS finds nobody", fix)
    try:
        heard = _echo(found.address)
    except OSError as error:
        return Check("multicast", "fail", f"{found.name} cannot join {DISCOVERY_GROUP}: {error}", fix)
    if not heard:
        return Check("multicast", "warn", f"nothing sent to {DISCOVERY_GROUP} on {found.name} came back", fix)
    return Check("multicast", "ok", f"{DISCOVERY_GROUP} on {found.name}")


def _echo(address: str) -> bool:
    """Send one datagram to the group from this address; whether we hear it ourselves. No DDS listens to its port."""
    word = struct.pack("<Q", time.monotonic_ns())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("", 0))
        link.settimeout(0.5)
        own = socket.inet_aton(address)
        link.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(DISCOVERY_GROUP) + own)
        link.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        link.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)  # it does not leave this machine
        link.sendto(word, (DISCOVERY_GROUP, link.getsockname()[1]))
        try:
            return link.recv(64) == word
        except TimeoutError:
            return False


# -- the robot


def _over_dds(name: str, domain: int, patience_s: float) -> Iterator[Check]:
    from rfx.go2.backends.cyclone_backend import CycloneBackend

    try:
        backend = CycloneBackend(domain, name)
    except RfxError as error:
        yield Check(
            "domain", "fail", str(error), "end what uses the interface, or pip install 'cyclonedds>=11.0.1,<12'"
        )
        return
    try:
        yield from _look_at(backend, name, domain, patience_s)
    finally:
        backend.disconnect()


def _look_at(backend: Any, name: str, domain: int, patience_s: float) -> Iterator[Check]:
    from rfx.go2 import topics
    from rfx.go2.messages import LowState

    heard = listen(backend.domain.reader(topics.LOW_STATE, LowState, depth=DEPTH), patience_s)
    sources = [str(writer) for writer in backend.domain.writers_of(topics.LOW_STATE)]
    yield check_states(heard, sources, f"domain {domain} on {name}", patience_s)
    if heard.newest is not None:
        yield check_ticks(heard)
        yield check_age(heard)
    yield check_commanders(backend.other_commanders())
    if heard.newest is None:
        return
    yield check_mode(_mode(backend, patience_s))
    yield check_sport(backend.sport_state())
    yield check_battery(heard.newest)
    yield check_temperatures(heard.newest)
    yield check_motors(heard.newest)


def listen(reader: Any, patience_s: float, seconds: float = LISTEN_S) -> Heard:
    """Take states: wait for a first one, then go on for so long."""
    from rfx.go2.messages import LowState

    times: list[float] = []
    ticks: list[int] = []
    newest, wrong, why = None, 0, ""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if not reader.wait(min(0.1, max(0.0, end - time.monotonic()))):
            continue
        for data in reader.take(DEPTH):
            try:
                state = LowState.from_cdr(data)
            except CodecError as error:
                wrong, why = wrong + 1, str(error)
                continue
            if not state.crc_ok:
                wrong, why = wrong + 1, f"checksum {state.crc:08x} where {state.compute_crc():08x} is right"
                continue
            if newest is None:
                end = time.monotonic() + seconds
            newest = state
            times.append(time.monotonic())
            ticks.append(state.tick)
    return Heard(times, ticks, newest, wrong, why, time.monotonic() - times[0] if times else patience_s)


def check_states(heard: Heard, sources: list[str], where: str, patience_s: float) -> Check:
    """Whether valid states come, how often, and from whom."""
    wrong = f", {heard.wrong} refused ({heard.why})" if heard.wrong else ""
    if heard.newest is None and heard.wrong:
        fix = "another firmware or another robot than a Go2: compare its message types with docs/go2.md"
        return Check("low state", "fail", f"nothing valid{wrong}", fix)
    if heard.newest is None:
        there = f"; announced by {', '.join(sources)}" if sources else "; nobody announces it"
        fix = "switch the robot on and wait a minute, check --domain (0 on a robot, 1 simulated), stop the firewall"
        return Check("low state", "fail", f"no rt/lowstate within {patience_s:g} s in {where}{there}", fix)
    rate = len(heard.times) / heard.seconds
    detail = f"{rate:.0f} Hz in {where}, checksums right{wrong}"
    if heard.wrong:
        return Check("low state", "fail", detail, "two publishers, or a damaged link: look at who writes rt/lowstate")
    if len(sources) > 1:
        return Check("low state", "warn", f"{detail}; {len(sources)} write it: {', '.join(sources)}", "end all but one")
    if rate < SLOW_HZ:
        return Check(
            "low state", "warn", f"{detail}, 500 expected", "a busy machine or a bad link: prefer cable to Wi-Fi"
        )
    return Check("low state", "ok", detail)


def check_ticks(heard: Heard) -> Check:
    """Whether states are missing, by the robot's own clock."""
    steps = [b - a for a, b in itertools.pairwise(heard.ticks)]
    usual = statistics.median(steps) if steps else 0
    longest = 1000 * max((b - a for a, b in itertools.pairwise(heard.times)), default=0.0)
    if usual <= 0:
        fix = "a robot that waits (lockstep), a recording that stands still, or the robot's clock has stopped"
        return Check("ticks", "warn", f"the tick stands at {heard.ticks[-1]}", fix)
    lost = sum(round(step / usual) - 1 for step in steps if step > 1.5 * usual)
    back = sum(step < 0 for step in steps)
    detail = f"{lost} of {lost + len(heard.ticks)} states missing, longest silence {longest:.0f} ms"
    if back:
        return Check("ticks", "warn", f"{detail}, {back} steps backwards", "two robots or recordings publish at once")
    if lost > 0.01 * len(heard.ticks):
        return Check("ticks", "warn", detail, "a busy machine or a bad link: prefer cable to Wi-Fi, see `real time`")
    return Check("ticks", "ok", detail)


def check_age(heard: Heard) -> Check:
    """Whether states still came when we stopped listening."""
    age = heard.seconds - (heard.times[-1] - heard.times[0])
    if age > STALE_S:
        return Check(
            "age", "fail", f"the newest state is {1000 * age:.0f} ms old: it fell silent", "is the robot still on?"
        )
    return Check("age", "ok", f"the newest state is {1000 * age:.0f} ms old")


def check_commanders(others: list[str]) -> Check:
    """Who else writes low-level commands."""
    if others:
        fix = "end it before you command the motors, or release the robot's motion mode (Go2.take_low_level)"
        return Check("commanders", "warn", f"rt/lowcmd is written by {', '.join(others)}", fix)
    return Check("commanders", "ok", "nobody else writes rt/lowcmd")


def _mode(backend: Any, patience_s: float) -> str | RfxError:
    """Return the name of the motion mode, or what kept us from knowing it."""
    from rfx.go2 import topics
    from rfx.go2.rpc_client import RpcClient

    try:
        data = RpcClient(backend).call(topics.MOTION_SWITCHER, topics.SwitcherApi.CHECK_MODE, "{}", patience_s)
        return str(json.loads(data)["name"])
    except RfxError as error:
        return error
    except (ValueError, KeyError, TypeError) as error:
        return HardwareError(f"expected the motion switcher to name a mode, got {data!r} ({error})")


def check_mode(mode: str | RfxError) -> Check:
    """Who holds the motors."""
    if isinstance(mode, RfxError):
        return Check("motion mode", "warn", str(mode), "the motion switcher may still be starting: wait a minute")
    if mode:
        return Check("motion mode", "ok", f"{mode}: it holds the motors; low-level commands need Go2.take_low_level()")
    return Check("motion mode", "ok", "released: the motors obey rt/lowcmd, stand() and walk() need Go2.select_mode()")


def check_sport(sport: Any) -> Check:
    """What the sport mode says of itself."""
    from rfx.go2.state import SportState

    if sport is None:
        fix = "stand() and walk() cannot see what they did; is this a Go2 with its sport service running?"
        return Check("sport state", "warn", "no rt/sportmodestate", fix)
    state = SportState.from_message(sport)
    detail = f"{state.mode_name}, trunk at {state.body_height:.2f} m"
    if state.error_code:
        return Check(
            "sport state", "warn", f"{detail}, error {state.error_code}", "recovery_stand(), or restart the robot"
        )
    return Check("sport state", "ok", detail)


def check_battery(low: Any) -> Check:
    """How full the battery is."""
    percent = low.bms_state.soc
    detail = f"{percent} %, {low.power_v:.1f} V, {low.power_a:.1f} A"
    if percent < EMPTY_PERCENT:
        return Check("battery", "fail", detail, "charge it: the robot will lie down by itself")
    return Check(
        "battery", "warn" if percent < LOW_PERCENT else "ok", detail, "charge it" if percent < LOW_PERCENT else ""
    )


def check_temperatures(low: Any) -> Check:
    """The hottest motor, and the inertial unit."""
    from rfx.robots.go2 import MOTOR_NAMES

    hottest, name = max((low.motor_state[i].temperature, motor) for i, motor in enumerate(MOTOR_NAMES))
    detail = f"hottest motor {name} {hottest} C, inertial unit {low.imu_state.temperature} C"
    status = "fail" if hottest >= TOO_HOT_C else "warn" if hottest >= HOT_C else "ok"
    return Check("temperatures", status, detail, "" if status == "ok" else "let it lie and cool down")


def check_motors(low: Any) -> Check:
    """Whether every motor is measured and enabled."""
    from rfx.robots.go2 import MOTOR_NAMES

    off = [name for i, name in enumerate(MOTOR_NAMES) if low.motor_state[i].mode == 0]
    lost = [f"{name} {low.motor_state[i].lost}" for i, name in enumerate(MOTOR_NAMES) if low.motor_state[i].lost]
    if off:
        return Check(
            "motors",
            "warn",
            f"not enabled: {', '.join(off)}",
            "command them; one that stays off is broken",
        )
    if lost:
        return Check("motors", "warn", f"messages lost since it started: {', '.join(lost)}", "look at the leg's cable")
    return Check("motors", "ok", "all twelve are measured")
