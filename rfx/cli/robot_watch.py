"""``rfx robot watch``: a live table of a robot's state and of the rates at which its messages come."""

import argparse
import sys
import time
from typing import Any, TextIO

from rfx.cli.robot_log import add_link, stop_on_signals
from rfx.errors import RfxTimeoutError

PATIENCE_S = 5.0  # without --seconds: how long --once waits for a first state
LOOK_S = 1.0  # how long --once counts before it prints
TERMINAL_S, PLAIN_S = 0.2, 1.0
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # another screen without a cursor, and back


def add_arguments(commands: Any) -> None:
    """Add the sub-command to those of ``rfx robot``."""
    watch = commands.add_parser(
        "watch",
        help="a live table of a robot's state and of the rates of its messages",
        description="Listen only. On a terminal the table is drawn anew five times a second, elsewhere it is printed "
        "once a second.",
    )
    add_link(watch)
    watch.add_argument("--seconds", type=float, default=None, help="end after so long")
    watch.add_argument("--once", action="store_true", help="print one table, a second after the first state")
    watch.set_defaults(robot_run=run)


class Screen:
    """Show tables: on a terminal in place, elsewhere one after the other."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.tty = stream.isatty()

    def __repr__(self) -> str:
        return f"Screen({'terminal' if self.tty else 'plain'})"

    def __enter__(self) -> "Screen":
        if self.tty:
            self._stream.write(ENTER)
        return self

    def __exit__(self, *what: object) -> None:
        if self.tty:
            self._stream.write(LEAVE)
            self._stream.flush()

    def show(self, lines: list[str]) -> None:
        """Show one table."""
        if self.tty:
            text = HOME + "".join(f"{line}{CLEAR_LINE}\r\n" for line in lines) + CLEAR_BELOW
        else:
            text = "\n".join(lines) + "\n\n"
        self._stream.write(text)
        self._stream.flush()


def run(args: argparse.Namespace) -> int:
    """Watch until told to end; 1 where no valid state came at all."""
    from rfx import arrays
    from rfx.go2.backends.cyclone import CycloneDomain
    from rfx.go2.listener import Listener
    from rfx.go2.watch import Watch

    if args.seconds is not None:
        arrays.number(args.seconds, "--seconds", above=0)
    watch = Watch()
    with (
        stop_on_signals() as stop,
        CycloneDomain(args.domain, args.interface) as domain,
        Listener(domain, watch.heard) as listener,
    ):
        if args.once:
            patience = PATIENCE_S if args.seconds is None else args.seconds
            end = time.monotonic() + patience
            while not (watch.has_state or stop.is_set() or time.monotonic() > end):
                stop.wait(0.02)
            if not watch.has_state:
                where = f"in domain {args.domain} on {args.interface}"
                raise RfxTimeoutError(f"no valid state within {patience:g} s {where}: {watch!r}")
            stop.wait(LOOK_S)
            print("\n".join(watch.lines(listener.matched)))
            return 0
        end = float("inf") if args.seconds is None else time.monotonic() + args.seconds
        with Screen(sys.stdout) as screen:
            period = TERMINAL_S if screen.tty else PLAIN_S
            while not stop.wait(min(period, max(0.0, end - time.monotonic()))):
                if listener.error is not None:
                    raise listener.error
                screen.show(watch.lines(listener.matched))
                if time.monotonic() >= end:
                    break
    return 0 if watch.has_state else 1
