"""The ``rfx`` command. Each sub-command is a module with ``add_arguments`` and ``run``; only the chosen one loads."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from rfx._version import __version__
from rfx.errors import RfxError

# name -> (module, one line of help)
COMMANDS = {
    "agent": ("rfx.cli.agent", "a language model carries out instructions with a Go2"),
    "bridge": ("rfx.cli.bridge", "carry a robot's messages between DDS and Zenoh"),
    "check": ("rfx.cli.check", "whether a policy file does what it says and agrees with a robot"),
    "demo": ("rfx.cli.demo", "a simulated Go2 stands up, takes a push and lies down, over real DDS"),
    "doctor": ("rfx.cli.doctor", "what this machine has, what is missing and how to get it"),
    "envs": ("rfx.cli.envs", "which environments there are, and a moving picture of one"),
    "node": ("rfx.cli.node", "hold a robot for other programs: its state out, commands in; list such nodes"),
    "robot": ("rfx.cli.robot", "a Go2: simulate one, run a policy on one, record, replay, watch"),
    "skills": ("rfx.cli.skills", "a Go2 as tools for a language model, by the Model Context Protocol"),
}
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Our own errors end with one line on stderr and code 1 (with ``--debug`` or ``RFX_DEBUG=1`` they keep their
    traceback), Ctrl+C with 130, a reader of our output that went away with 1.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="rfx", description="From a trained policy to a Unitree Go2 that walks.")
    parser.add_argument("--version", action="version", version=f"rfx {__version__}")
    parser.add_argument("--debug", action="store_true", help="keep the traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((w for w in words if not w.startswith("-")), None)
    for name, (module, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if name == chosen:
            loaded = importlib.import_module(module)
            loaded.add_arguments(sub)
            sub.set_defaults(run=loaded.run)
    args = parser.parse_args(words)
    try:
        code = int(args.run(args))
        sys.stdout.flush()  # here, where a reader that went away can be dealt with, and not at the interpreter's end
        return code
    except RfxError as error:
        if args.debug or os.environ.get("RFX_DEBUG", "0") not in ("", "0"):
            raise
        print(f"rfx: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rfx: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more: end quietly
        return 1
