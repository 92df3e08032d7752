"""``rfx robot record`` and ``rfx robot replay``: a robot's messages into a file, and out of it again."""

import _thread
import argparse
import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def add_arguments(commands: Any) -> None:
    """Add the two sub-commands to those of ``rfx robot``."""
    record = commands.add_parser(
        "record",
        help="write everything that a robot and its commanders say into an MCAP file",
        description="Record states, commands, requests and responses with their times. Ctrl+C ends it; a file that "
        "was cut off by a crash can be read as far as it goes.",
    )
    add_link(record)
    record.add_argument("--out", type=Path, default=None, metavar="FILE", help="default flight-DATE-TIME.mcap")
    record.add_argument("--seconds", type=float, default=None, help="end after so long")
    record.set_defaults(robot_run=run_record)
    replay = commands.add_parser(
        "replay",
        help="publish the states of a recording, or check what is in it",
        description="Publish recorded states at the times at which they came; commands are never published.",
    )
    replay.add_argument("file", type=Path, metavar="FILE", help="a recording")
    add_link(replay)
    replay.add_argument("--speed", type=float, default=1.0, help="2 is twice as fast as it was (default 1)")
    replay.add_argument("--check", action="store_true", help="publish nothing; say rates, gaps, lost ticks, checksums")
    replay.add_argument("--json", action="store_true", help="with --check: as JSON")
    replay.set_defaults(robot_run=run_replay)


def add_link(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the robot is."""
    parser.add_argument("--domain", type=int, default=1, help="DDS domain id (default 1; a real robot has 0)")
    parser.add_argument("--interface", default="lo", help="network interface (default lo)")


def aside(func: Callable[[], None]) -> None:
    """Call a function in a thread, from a signal handler.

    What the handler interrupted may hold the very lock that the function needs, as :meth:`threading.Event.wait` does
    for a moment; and a :class:`threading.Thread` needs locks to begin, too.
    """
    _thread.start_new_thread(func, ())


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl+C and SIGTERM set; afterwards they do again what they did before.

    A second Ctrl+C is a KeyboardInterrupt, whatever keeps the program from its end.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    told: list[int] = []

    def hear(number: int, frame: Any) -> None:
        if number == signal.SIGINT and number in told:
            raise KeyboardInterrupt
        told.append(number)
        aside(stop.set)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_record(args: argparse.Namespace) -> int:
    """Record until told to end; prints what was written as JSON."""
    from rfx import arrays
    from rfx.go2.backends.cyclone import CycloneDomain
    from rfx.go2.flight_log import FlightLog
    from rfx.go2.listener import record_for

    if args.seconds is not None:
        arrays.number(args.seconds, "--seconds", above=0)
    out = args.out if args.out is not None else Path(time.strftime("flight-%Y%m%d-%H%M%S.mcap"))
    where = {"domain": str(args.domain), "interface": args.interface}
    with (
        stop_on_signals() as stop,
        CycloneDomain(args.domain, args.interface) as domain,
        FlightLog(out, metadata=where) as log,
    ):
        print(f"recording domain {args.domain} on {args.interface} into {out}", file=sys.stderr, flush=True)
        record_for(domain, log, args.seconds, stop)
    counts = log.counts
    print(json.dumps({"file": str(out), "written": counts.written, "dropped": counts.dropped}), flush=True)
    if counts.dropped:
        print(f"{counts.dropped.total()} messages did not fit: the disk is too slow", file=sys.stderr)
    return 1 if counts.dropped else 0


def run_replay(args: argparse.Namespace) -> int:
    """Publish a recording's states, or check it."""
    if args.check:
        from rfx.go2.flight_check import check_log, format_report

        report = check_log(args.file)
        print(json.dumps(report.as_dict(), indent=2) if args.json else format_report(report))
        return 0 if report.ok else 1
    from rfx.go2.backends.cyclone import CycloneDomain
    from rfx.go2.replay import replay_states

    with stop_on_signals() as stop, CycloneDomain(args.domain, args.interface) as domain:
        print(f"replaying {args.file} in domain {args.domain} on {args.interface}", file=sys.stderr, flush=True)
        counts = replay_states(args.file, domain, speed=args.speed, stop=stop)
    print(json.dumps({"published": counts}), flush=True)
    return 0
