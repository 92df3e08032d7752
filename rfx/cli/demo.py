"""``rfx demo``: a simulated Go2, in a process of its own, stands up, takes a push and lies down, over real DDS."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rfx import arrays
from rfx.errors import RfxError
from rfx.go2.domains import free_domain

PUSH_N = 80.0
PUSH_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rfx demo``."""
    parser.add_argument("--seconds", type=float, default=12.0, help="simulated seconds, 5 to 600 (default 12)")
    parser.add_argument("--realtime", action="store_true", help="follow the wall clock instead of lockstep")
    parser.add_argument("--plant", choices=("auto", "mujoco", "joint"), default="auto", help="the robot's physics")
    parser.add_argument("--push", type=float, default=PUSH_N, metavar="N", help=f"sideways push (default {PUSH_N:g} N)")
    parser.add_argument("--domain", type=int, default=None, help="DDS domain id (default: one that is free)")
    parser.add_argument("--out", type=Path, default=Path("rfx-demo"), help="folder of the report (default rfx-demo)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON and nothing else")
    parser.add_argument("--no-pictures", action="store_true", help="leave the pictures and the sheet of all joints out")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 only if the robot stood and never fell."""
    from rfx.cli.demo_run import DemoRun
    from rfx.cli.doctor import check_all, format_checks
    from rfx.cli.report import format_table, summarise, write_report

    arrays.number(args.seconds, "--seconds", minimum=5.0, maximum=600.0)
    arrays.number(args.push, "--push", minimum=0.0, maximum=1000.0)
    if args.out.exists() and not args.out.is_dir():
        raise RfxError(f"expected {args.out} to be a folder, it is a file")
    args.out.mkdir(parents=True, exist_ok=True)
    _say(format_checks(check_all()))
    began = time.monotonic()
    domain_id = args.domain if args.domain is not None else free_domain()
    log = DemoRun(
        domain_id=domain_id,
        seconds=args.seconds,
        realtime=args.realtime,
        plant=args.plant,
        push_n=args.push,
        out=args.out,
        pictures=not args.no_pictures,
    ).run()
    log.extra["wall_s"] = round(time.monotonic() - began, 3)
    summary = summarise(log)
    written = write_report(log, summary, args.out)
    if args.json:
        print(json.dumps(summary, indent=2))
    else:
        print(format_table(summary))
        print(f"\nreport: {', '.join(str(p) for p in written)}")
    return 0 if summary["verdict"]["passed"] else 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def child_environment() -> dict[str, str]:
    """Return an environment in which ``python -P -m rfx`` finds this very rfx."""
    import rfx

    here = str(Path(rfx.__file__).parent.parent)
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def robot_command(**options: Any) -> list[str]:
    """Return the command line of a simulated robot; an option that is True stands alone, a list is repeated."""
    words = [sys.executable, "-P", "-m", "rfx", "robot", "simulate"]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is True:
                words.append(flag)
            elif item is not False and item is not None:
                words += [flag, str(item)]
    return words
