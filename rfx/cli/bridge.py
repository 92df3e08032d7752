"""``rfx bridge``: carry a robot's messages between DDS and Zenoh."""

import argparse
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from rfx.cli.robot_log import add_link, stop_on_signals
from rfx.errors import ConfigError, RfxConnectionError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rfx bridge``."""
    add_link(parser)
    parser.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="ENDPOINT",
        help="where clients find it, such as tcp/0.0.0.0:7447",
    )
    parser.add_argument(
        "--connect",
        action="append",
        default=[],
        metavar="ENDPOINT",
        help="a router or bridge, such as tcp/192.168.1.5:7447",
    )
    parser.add_argument("--prefix", default="", help="put before the topic names on Zenoh, to tell robots apart")
    parser.add_argument(
        "--side", choices=("robot", "user"), default="robot", help="what the DDS domain holds (default robot)"
    )
    parser.add_argument(
        "--allow", action="append", default=[], metavar="TOPIC", help="only these pass; * is one chunk, ** any number"
    )
    parser.add_argument(
        "--deny", action="append", default=[], metavar="TOPIC", help="these do not pass, such as rt/lowcmd"
    )
    parser.add_argument(
        "--rate", action="append", default=[], metavar="TOPIC=HZ", help="pass a topic at most so often; the newest wins"
    )
    parser.add_argument(
        "--reverse", action="append", default=[], metavar="TOPIC", help="let a topic cross the other way"
    )
    parser.add_argument("--seconds", type=float, default=None, help="end after so long")
    parser.add_argument("--every", type=float, default=10.0, metavar="S", help="say what passed so often (default 10)")


def rates_of(words: list[str]) -> dict[str, float]:
    """Read ``TOPIC=HZ``; ConfigError for anything else."""
    rates = {}
    for word in words:
        topic, _, number = word.partition("=")
        try:
            rates[topic] = float(number)
        except ValueError as error:
            raise ConfigError(f"expected --rate as TOPIC=HZ, such as rt/lowstate=50, got {word!r}") from error
    return rates


def run(args: argparse.Namespace) -> int:
    """Carry until told to end; prints what passed as JSON."""
    from rfx import arrays
    from rfx.go2.backends.cyclone import CycloneDomain
    from rfx.go2.bridge import Bridge
    from rfx.go2.bridge_routes import make_routes

    every = arrays.number(args.every, "--every", above=0)
    seconds = None if args.seconds is None else arrays.number(args.seconds, "--seconds", above=0)
    routes = make_routes(args.side, args.allow, args.deny, rates_of(args.rate), args.reverse)
    with (
        stop_on_signals() as stop,
        CycloneDomain(args.domain, args.interface) as domain,
        contextlib.ExitStack() as link,
    ):
        where = ", ".join([*args.listen, *args.connect])
        options = {"listen": args.listen, "connect": args.connect, "key_prefix": args.prefix, "side": args.side}
        made = _when_somebody_answers(lambda: Bridge(domain, routes, **options), bool(args.listen), stop)
        if made is None:
            return 1
        bridge = link.enter_context(made)
        _say(f"domain {args.domain} on {args.interface} <-> {where}, {len(routes)} topics")
        print(json.dumps({"ready": True, "topics": [r.topic for r in routes]}), flush=True)
        timer = _end_after(stop, seconds)
        teller = threading.Thread(target=_tell, args=(bridge, stop, every), daemon=True)
        teller.start()
        try:
            bridge.run(stop)
        finally:
            stop.set()
            teller.join(1.0)  # it may wait for somebody who does not read what it says
            if timer is not None:
                timer.cancel()
        print(json.dumps(bridge.status()), flush=True)
    return 0


def _when_somebody_answers(make: Callable[[], Any], listens: bool, stop: threading.Event) -> Any:
    """Return the bridge; one that only connects is tried for until somebody is there, None when told to stop before."""
    told = False
    while not stop.is_set():
        try:
            return make()
        except RfxConnectionError as error:
            if listens:
                raise
            if not told:
                _say(f"{error}; trying on")
                told = True
            stop.wait(0.2)
    return None


def _end_after(stop: threading.Event, seconds: float | None) -> threading.Timer | None:
    if seconds is None:
        return None
    timer = threading.Timer(seconds, stop.set)
    timer.daemon = True
    timer.start()
    return timer


def _tell(bridge: Any, stop: threading.Event, every: float) -> None:
    """Say now and then what passed, and at once when the note changes."""
    note, before, due = "", dict.fromkeys((r.topic for r in bridge.routes), 0), time.monotonic() + every
    while not stop.wait(min(0.2, every)):
        if bridge.note != note:
            note = bridge.note
            _say(note or "carrying all topics")
        if time.monotonic() < due:
            continue
        due += every
        now = {route.topic: route.counts.passed for route in bridge.routes}
        rates = [f"{topic} {(n - before[topic]) / every:.0f}/s" for topic, n in now.items() if n != before[topic]]
        _say(", ".join(rates) or "nothing passes")
        before = now


def _say(line: str) -> None:
    print(f"bridge: {line}", file=sys.stderr, flush=True)
