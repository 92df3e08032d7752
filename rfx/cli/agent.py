"""``rfx agent``: a language model carries out instructions with a Go2, simulated or real."""

import argparse
import signal
import sys
from contextlib import ExitStack
from typing import Any

from rfx.cli import skills as skills_command

MODELS = "anthropic:NAME, openai:NAME (Responses) or openai-chat:NAME (Chat Completions, and servers that speak it)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rfx agent``."""
    parser.add_argument("instruction", nargs="?", help="what to do; without it, each line of standard input is one")
    parser.add_argument("--model", required=True, metavar="MODEL", help=MODELS)
    parser.add_argument("--base-url", metavar="URL", help="another server than the provider's, a local one for example")
    parser.add_argument(
        "--robot",
        default="sim",
        metavar="ROBOT",
        help="sim (the gait in MuJoCo), point (a point with a heading), or the network interface of a real one",
    )
    parser.add_argument("--domain", type=int, default=0, help="DDS domain id of a real robot (default 0)")
    parser.add_argument("--radius", type=float, default=2.0, metavar="M", help="of the area it stays in (default 2)")
    parser.add_argument("--speed", type=float, default=0.5, metavar="M/S", help="greatest speed (default 0.5)")
    parser.add_argument("--turns", type=int, default=20, help="how often the model is asked (default 20)")
    parser.add_argument("--seconds", type=float, default=300.0, help="longest time for one instruction (default 300)")
    parser.add_argument("--transcript", metavar="FILE", help="write the last run as JSON Lines")
    parser.add_argument("--audit", metavar="FILE", help="append every call, and what the guard does, as JSON Lines")


def run(args: argparse.Namespace) -> int:
    """Carry out the instructions; 0 if the model finished all of them. The robot is stopped whatever happens."""
    from rfx.skills import Agent, AgentConfig, AuditLog, Go2Skills, model_for

    config = AgentConfig(max_turns=args.turns, max_seconds=args.seconds)
    limits = skills_command.limits_of(args)
    model = model_for(args.model, base_url=args.base_url)  # what is wrong is said before anything is started
    signal.signal(signal.SIGTERM, skills_command.interrupt)
    code, after = 0, None
    with ExitStack() as stack:
        audit = AuditLog(args.audit)
        stack.callback(audit.close)
        robot = stack.enter_context(skills_command.robot_of(args))
        skills = stack.enter_context(Go2Skills(robot, limits, audit=audit))
        agent = stack.enter_context(Agent(model, robot=skills, config=config, watch=_show))
        for instruction in [args.instruction] if args.instruction is not None else sys.stdin:
            if not instruction.strip():
                continue
            try:
                after = agent.run(instruction.strip(), after=after)
            finally:
                if args.transcript is not None and agent.transcript is not None:
                    agent.transcript.save(args.transcript)
            code = code if after.ok else 1
            used = f"{after.usage.input} + {after.usage.output} tokens"
            why = f": {after.error}" if after.error else ""
            print(
                f"{after.ended}{why} ({after.turns} turns, {after.calls} calls, {used}, {after.seconds:.1f} s)",
                flush=True,
            )
    return code


def _show(entry: Any) -> None:
    """Print what happens as it happens."""
    data = entry.data
    if entry.kind == "instruction":
        print(f"> {data['text']}", flush=True)
    elif entry.kind == "reply" and data["text"]:
        print(data["text"], flush=True)
    elif entry.kind == "result":
        said = data.get("result") if data["ok"] else f"{data['kind']}: {data['error']}"
        print(f"  {data['skill']}: {said} ({entry.seconds:.1f} s)", flush=True)
