"""``rfx node``: be a robot's node on the network, and list the nodes that there are."""

import argparse
import contextlib
import importlib
import json
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from rfx.cli.robot_log import stop_on_signals
from rfx.errors import ConfigError, RfxConnectionError, RfxError, RfxTimeoutError

HERE = tuple(
    f"tcp/127.0.0.1:{port}" for port in range(7447, 7455)
)  # unless told otherwise a node listens on a free one
LOOK_S = 0.2  # between two looks at a node that runs
RESTART_S = 1.0
HEADS = ("NAME", "ROBOT", "STATE", "RATE", "STATES", "REFUSED", "STOPS", "ERROR")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of ``rfx node``."""
    commands = parser.add_subparsers(dest="node_command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="publish a robot's state and give it the commands that come",
        description="Hold a robot until Ctrl+C: publish its state, apply commands, stop it when commands cease. Prints one "
        "line of JSON when it is ready and one at its end.",
    )
    run.add_argument("--robot", default="sim", metavar="ROBOT", help="sim (default), go2, or module:Class of your own")
    run.add_argument("--name", default=None, help="of the node (default: go2, sim, or the class in small letters)")
    run.add_argument("--rate", type=float, default=50.0, metavar="HZ", help="states per second (default 50)")
    run.add_argument(
        "--timeout", type=float, default=0.5, metavar="S", help="without a command for so long it stops (default 0.5)"
    )
    _add_link(run, "listen on this address (default: the first free of tcp/127.0.0.1:7447 to 7454)")
    run.add_argument("--seconds", type=float, default=None, help="end after so long")
    run.add_argument(
        "--restarts", type=int, default=0, metavar="N", help="begin anew so often after a failure (default 0)"
    )
    run.add_argument("--plant", choices=("auto", "mujoco", "joint"), default="auto", help="of sim: the physics")
    run.add_argument("--pose", choices=("lie", "stand"), default="lie", help="of sim: how it begins")
    run.add_argument("--domain", type=int, default=0, help="of go2: DDS domain id (default 0, as on a robot)")
    run.add_argument("--interface", default=None, help="of go2: network interface that leads to the robot")
    run.set_defaults(node_run=run_node)
    listing = commands.add_parser(
        "list",
        help="the nodes that there are, with their state",
        description="Ask all nodes for their status, and show those that answer.",
    )
    _add_link(listing, "also listen on this address")
    listing.add_argument("--seconds", type=float, default=1.0, help="for how long to listen (default 1)")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(node_run=run_list)


def _add_link(parser: argparse.ArgumentParser, listen: str) -> None:
    parser.add_argument("--listen", action="append", default=[], metavar="ENDPOINT", help=listen)
    parser.add_argument(
        "--connect",
        action="append",
        default=[],
        metavar="ENDPOINT",
        help="connect to this address of a node or a router (list: default all that listen there)",
    )
    parser.add_argument("--prefix", default="rfx", help="of all keys (default rfx)")


def run(args: argparse.Namespace) -> int:
    """Run the chosen sub-command."""
    return int(args.node_run(args))


def robot_maker(args: argparse.Namespace) -> tuple[str, Callable[[], Any]]:
    """Return the name that a node has by default, and what makes its robot."""
    hold_s = max(1.0, 2 * args.timeout)
    if args.robot == "sim":
        from rfx.go2.node_sim import SimNodeRobot

        return "sim", lambda: SimNodeRobot(args.plant, args.pose, hold_s=hold_s)
    if args.robot == "go2":
        from rfx.go2.config import Go2Config
        from rfx.go2.node import Go2NodeRobot

        config = Go2Config(interface=args.interface, domain_id=args.domain)
        return "go2", lambda: Go2NodeRobot.connect(config, hold_s)
    module, _, kind = args.robot.partition(":")
    if not module or not kind:
        raise ConfigError(f"expected --robot to be sim, go2 or module:Class, got {args.robot!r}")
    sys.path.insert(0, "")  # as `python -m` has it: a module of the present folder is found
    try:
        maker: Callable[[], Any] = getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"expected module:Class, {args.robot!r} cannot be had: {error}") from error
    finally:
        sys.path.remove("")
    return kind.lower(), maker


def run_node(args: argparse.Namespace) -> int:
    """Hold a robot until told to end; 1 where it ended by itself."""
    from rfx import arrays
    from rfx.comm import RobotNode

    if args.seconds is not None:
        arrays.number(args.seconds, "--seconds", above=0)
    restarts = arrays.integer(args.restarts, "--restarts", minimum=0)
    name, maker = robot_maker(args)
    listen = [args.listen] if args.listen or args.connect else [[place] for place in HERE]
    with stop_on_signals() as stop, _listening(listen, args.connect) as transport:
        listen = list(transport.session.listen)
        options = {"rate_hz": args.rate, "command_timeout_s": args.timeout, "prefix": args.prefix}
        node = RobotNode(transport, maker, args.name or name, **options).start()
        try:
            print(json.dumps({"ready": True, "name": node.name, "listen": listen, "connect": args.connect}), flush=True)
            end = float("inf") if args.seconds is None else time.monotonic() + args.seconds
            while not stop.wait(LOOK_S) and time.monotonic() < end:
                if node.is_running:
                    continue
                if restarts == 0:
                    break
                restarts -= 1
                stop.wait(RESTART_S)
                _try_again(node)
        finally:
            node.stop()
        print(json.dumps(node.status()), flush=True)
        return 1 if node.state == "failed" else 0


def _listening(places: list[list[str]], connect: list[str]) -> Any:
    """Return a transport that listens on the first of these places where it can."""
    from rfx.comm import Transport

    for i, listen in enumerate(places, 1):
        try:
            return Transport.zenoh(connect=connect, listen=listen)
        except RfxConnectionError:
            if i == len(places):
                raise


def _answering(places: tuple[str, ...]) -> list[str]:
    """Return those places where somebody listens."""
    found = []
    for place in places:
        host, _, port = place.removeprefix("tcp/").rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=0.5):
            found.append(place)
    return found


def _try_again(node: Any) -> None:
    try:
        node.restart()
    except RfxError as error:
        print(f"node {node.name}: not restarted: {error}", file=sys.stderr, flush=True)


def run_list(args: argparse.Namespace) -> int:
    """Show the nodes that are heard; 1 where there is none."""
    from rfx.comm import Transport, list_nodes

    connect = args.connect or ([] if args.listen else _answering(HERE))
    if not connect and not args.listen:
        raise RfxConnectionError(f"nobody listens on {HERE[0]} to {HERE[-1]}: say where with --connect")
    with Transport.zenoh(connect=connect, listen=args.listen) as transport:
        found = list_nodes(transport, prefix=args.prefix, seconds=args.seconds)
    if args.json:
        print(json.dumps(found, indent=2))
        return 0 if found else 1
    if not found:
        raise RfxTimeoutError(f"no node was heard under {args.prefix}/ within {args.seconds:g} s")
    print("\n".join(table(found)))
    return 0


def table(found: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a table of nodes' statuses."""
    rows = [HEADS, *(_row(status) for status in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    return ["  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(status: dict[str, Any]) -> tuple[str, ...]:
    # what comes from elsewhere is shown as it is, if it can be
    counts = status.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    rate = status.get("rate_hz")
    about = (
        status.get("name"),
        status.get("robot"),
        status.get("state"),
        f"{rate:g} Hz" if isinstance(rate, (int, float)) else rate,
        counts.get("states"),
        counts.get("refused"),
        counts.get("stops"),
        status.get("error"),
    )
    return tuple(
        "-" if cell is None else "".join(c if c.isprintable() else "?" for c in str(cell))[:100] for cell in about
    )
