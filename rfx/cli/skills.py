"""``rfx skills``: a Go2, simulated or real, as tools for a language model."""

import argparse
import json
import os
import signal
import stat
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rfx.errors import ConfigError, MissingDependencyError

TOKEN = "RFX_SKILLS_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of ``rfx skills``."""
    commands = parser.add_subparsers(dest="skills_command", required=True, metavar="COMMAND")
    show = commands.add_parser("list", help="which skills there are, with their arguments and limits")
    serve = commands.add_parser(
        "serve",
        help="be an MCP server, over standard input and output or over HTTP on this machine",
        description="Serve the skills of a Go2 by the Model Context Protocol. Without --http over standard input and output.",
    )
    serve.add_argument(
        "--robot",
        default="sim",
        metavar="ROBOT",
        help="sim (the gait in MuJoCo), point (a point with a heading), or the network interface of a real one",
    )
    serve.add_argument("--domain", type=int, default=0, help="DDS domain id of a real robot (default 0)")
    serve.add_argument(
        "--http", metavar="HOST:PORT", help="serve HTTP on this loopback address, such as 127.0.0.1:8765"
    )
    serve.add_argument(
        "--token-file", metavar="FILE", help=f"has the token of the HTTP server; else it is in the variable {TOKEN}"
    )
    serve.add_argument(
        "--patience",
        type=float,
        default=3.0,
        metavar="S",
        help="a client that moves the robot and no longer answers pings counts as gone after so long (default 3; 0 never)",
    )
    serve.add_argument("--audit", metavar="FILE", help="append every call, and what the guard does, as JSON Lines")
    for one in (show, serve):
        one.add_argument(
            "--radius", type=float, default=2.0, metavar="M", help="of the area around the start (default 2)"
        )
        one.add_argument("--speed", type=float, default=0.5, metavar="M/S", help="greatest speed (default 0.5)")
    show.set_defaults(skills_run=run_list)
    serve.set_defaults(skills_run=run_serve)


def run(args: argparse.Namespace) -> int:
    """Run the chosen sub-command."""
    return int(args.skills_run(args))


def limits_of(args: argparse.Namespace) -> Any:
    """Return the SkillLimits that were asked for."""
    from rfx.skills import Circle, SkillLimits

    return SkillLimits(speed=(args.speed, min(args.speed, 0.3), 1.0), area=Circle(args.radius))


def run_list(args: argparse.Namespace) -> int:
    """Print the skills."""
    from rfx.skills import Go2Skills, KinematicGo2

    with Go2Skills(KinematicGo2(), limits_of(args)) as skills:
        print(skills.registry().describe())
        print(skills.limits.describe())
    return 0


def run_serve(args: argparse.Namespace) -> int:
    """Serve until the client goes, or until interrupted; the robot is stopped then."""
    from rfx import arrays
    from rfx.skills import AuditLog, Go2Skills
    from rfx.skills.mcp_door import checked_loopback, checked_token
    from rfx.skills.mcp_server import SkillServer, load_mcp

    load_mcp()
    limits, address, token = limits_of(args), None, ""
    patience = arrays.number(args.patience, "--patience", minimum=0.0, maximum=60.0) or None
    if args.http is not None:  # what is wrong is said before anything is started
        host, port = _address(args.http)
        address, token = (checked_loopback(host), port), checked_token(_token(args.token_file))
    signal.signal(signal.SIGTERM, interrupt)
    with ExitStack() as stack:
        audit = AuditLog(args.audit)
        stack.callback(audit.close)
        robot = stack.enter_context(robot_of(args))
        skills = stack.enter_context(Go2Skills(robot, limits, audit=audit))
        told = _instructions(skills)
        server = SkillServer(skills.registry(), name="rfx go2", instructions=told, patience_s=patience)
        _say(f"{robot!r}. {limits.describe()}")
        if address is None:
            server.run_stdio()
        else:
            server.run_http(token, *address, ready=_ready)
    return 0


def robot_of(args: argparse.Namespace) -> Any:
    """Return the robot that was asked for; leaving it lets go of it."""
    from rfx.skills import GaitGo2, KinematicGo2

    if args.robot == "point":
        return KinematicGo2(real_time=True)
    if args.robot == "sim":
        try:
            return GaitGo2(real_time=True, say=_say)
        except MissingDependencyError as error:
            _say(f"{error}; it is a point with a heading instead")
            return KinematicGo2(real_time=True)
    from rfx.go2 import Go2, Go2Config

    return Go2.connect(Go2Config(interface=args.robot, domain_id=args.domain))


def _instructions(skills: Any) -> str:
    return (
        "You control a Unitree Go2, a robot dog. It has to stand before it can walk, turn or look. One call moves it at a "
        f"time; stop always works, also beside a call that is under way. {skills.limits.describe()} Read an error's hint "
        "before you try again."
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"expected --http as HOST:PORT, such as 127.0.0.1:8765, got {text!r}")
    return host.strip("[]"), int(port)


def _token(path: str | None) -> str:
    if path is None:
        token = os.environ.get(TOKEN, "")
        if not token:
            raise ConfigError(
                f"expected a token for HTTP, in a file (--token-file) or in the variable {TOKEN}, got none"
            )
        return token
    file = Path(path)
    try:
        mode, token = file.stat().st_mode, file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected a file with a token, got {error}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"expected {path} to be for its owner only (chmod 600), others may open it")
    return token


def interrupt(number: int, frame: Any) -> None:
    """Treat a signal as Ctrl+C, also while that is handled in another way (by an event loop)."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    else:  # Ctrl+C is ignored, as in a job in the background
        raise KeyboardInterrupt


def _ready(url: str) -> None:
    print(json.dumps({"ready": True, "url": url}), flush=True)


def _say(line: str) -> None:
    print(f"skills: {line}", file=sys.stderr, flush=True)
