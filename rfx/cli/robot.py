"""``rfx robot``: a simulated Go2 as a process of its own; recording, replaying and watching are in their own modules."""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from rfx.cli import robot_log, robot_run, robot_watch
from rfx.cli.page import folder
from rfx.cli.robot_log import aside
from rfx.errors import ConfigError

DEFAULT_OUT = Path("rfx-robot")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of ``rfx robot``."""
    commands = parser.add_subparsers(dest="robot_command", required=True, metavar="COMMAND")
    simulate = commands.add_parser(
        "simulate",
        help="be a Go2 on DDS: publish rt/lowstate at 500 Hz, obey rt/lowcmd or walk by sport requests",
        description="A simulated Go2 behind the robot's own DDS topics, on the loopback interface unless told otherwise.",
    )
    simulate.add_argument("--domain", type=int, default=1, help="DDS domain id (default 1, as Unitree's simulator)")
    simulate.add_argument("--interface", default="lo", help="network interface (default lo)")
    simulate.add_argument("--plant", choices=("auto", "mujoco", "joint"), default="auto", help="the physics")
    simulate.add_argument("--pose", choices=("lie", "stand"), default="lie", help="pose to start in")
    simulate.add_argument("--lockstep", action="store_true", help="wait for the answer to each state")
    simulate.add_argument(
        "--push", action="append", default=[], metavar="START:DURATION:FX,FY,FZ", help="force on the trunk (s, s, N)"
    )
    simulate.add_argument(
        "--command-timeout", type=float, default=0.1, metavar="S", help="damping after so long without a command"
    )
    simulate.add_argument(
        "--sport", action="store_true", help="start in sport mode, as a robot does; low-level commands need it released"
    )
    simulate.add_argument(
        "--fault", action="append", default=[], metavar="KIND:START:DURATION[:WHERE[:SHARE]]", help="what goes wrong"
    )
    simulate.add_argument("--seconds", type=float, default=None, help="end after so many simulated seconds")
    simulate.add_argument(
        "--view", action="store_true", help="at the end draw pictures, a moving picture, the path and all joints"
    )
    simulate.add_argument("--out", type=Path, default=None, metavar="DIR", help="folder for --view (default rfx-robot)")
    simulate.add_argument(
        "--tied", action="store_true", help="when standard input closes: damping, then end (for a parent process)"
    )
    simulate.set_defaults(robot_run=run_simulate)
    robot_log.add_arguments(commands)
    robot_watch.add_arguments(commands)
    robot_run.add_arguments(commands)


def run(args: argparse.Namespace) -> int:
    """Run the chosen sub-command."""
    return int(args.robot_run(args))


def run_simulate(args: argparse.Namespace) -> int:
    """Run the simulated robot until it is told to end."""
    from rfx.cli.tape import Tape
    from rfx.go2.backends.cyclone import CycloneDomain
    from rfx.go2.faults import Fault, Faults
    from rfx.go2.simulated import Push, SimulatedGo2
    from rfx.sim import make_plant

    if args.out is not None and not args.view:
        raise ConfigError("--out is the folder of --view, which was not asked for")
    if args.view:
        folder(args.out or DEFAULT_OUT)  # now, not when the run is over
    pushes = [Push.parse(text) for text in args.push]
    faults = Faults(Fault.parse(text) for text in args.fault)
    plant = make_plant(args.plant)
    plant.reset(args.pose)
    tape = Tape()
    with CycloneDomain(args.domain, args.interface) as domain:
        robot = SimulatedGo2(
            plant,
            domain,
            lockstep=args.lockstep,
            command_timeout_s=args.command_timeout,
            pushes=pushes,
            say=_say,
            mode="normal" if args.sport else "",
            faults=faults,
            watch=(lambda state: tape.take(state, robot.activity)) if args.view else None,
        )
        _say(plant.description)
        _say(f"domain {args.domain} on {args.interface}, {'lockstep' if args.lockstep else 'real time'}, ready")
        signal.signal(signal.SIGTERM, lambda *_: aside(robot.commander_gone))
        if args.tied:
            threading.Thread(target=_watch_parent, args=(robot,), daemon=True).start()
        about = {"ready": True, "plant": plant.name, "description": plant.description, "can_fall": plant.can_fall}
        print(json.dumps(about), flush=True)
        try:
            counters = robot.run(args.seconds)
        except KeyboardInterrupt:
            counters = robot.counters
        summary: dict[str, Any] = {"mode": robot.mode, "seconds": plant.state.time, **vars(counters)}
        if robot.stats is not None:
            summary["missed_ticks"] = robot.stats.missed_ticks
        _say(f"ended after {plant.state.time:.3f} s in mode {robot.mode}")
        print(json.dumps(summary), flush=True)
    if args.view:
        from rfx.cli.robot_view import say_written, write_view

        about.pop("ready")
        say_written(write_view(tape.motion(), {**about, "robot": summary}, args.out or DEFAULT_OUT))
    return 0


def _say(line: str) -> None:
    print(f"robot: {line}", file=sys.stderr, flush=True)


def _watch_parent(robot: Any) -> None:
    """Wait until standard input closes, as it does when the parent ends in whatever way."""
    with contextlib.suppress(OSError):  # sys.stdin has a lock, without which the interpreter cannot end
        while os.read(0, 4096):
            pass
    robot.commander_gone()
