"""``rfx robot run``: a policy on a robot, real or simulated."""

import argparse
import json
import sys
from typing import Any


def add_arguments(commands: Any) -> None:
    """Add ``run`` to the sub-commands of ``rfx robot``."""
    run = commands.add_parser(
        "run",
        help="run a policy: stand up, let it act, lie down",
        description="Check a policy's contract, take the motors of a Go2 and run the policy at its own rate, with motor "
        "commands at 500 Hz through a safety envelope. Ctrl+C ends the run, a second one brings damping at once.",
    )
    run.add_argument(
        "policy", metavar="POLICY_DIR", help="a policy file with a contract: a folder with rfx_config.json"
    )
    run.add_argument(
        "--command",
        dest="velocity",
        nargs=3,
        type=float,
        metavar=("VX", "VY", "VYAW"),
        help="velocity (m/s, m/s, rad/s); default 0 0 0",
    )
    run.add_argument(
        "--at",
        action="append",
        nargs=4,
        type=float,
        default=[],
        metavar=("TIME", "VX", "VY", "VYAW"),
        help="another velocity from this time on (s); may be repeated",
    )
    run.add_argument("--sticks", action="store_true", help="take the velocity from the robot's hand controller")
    run.add_argument(
        "--estimate-velocity",
        action="store_true",
        help="for layouts with base_lin_vel: estimate it from joints, IMU and foot forces",
    )
    run.add_argument(
        "--foot-force",
        nargs=2,
        type=float,
        metavar=("LIGHT", "FIRM"),
        help="with --estimate-velocity: LowState.foot_force from which a leg begins to be used, and is trusted (15 60)",
    )
    run.add_argument("--seconds", type=float, help="how long the policy acts; without, until Ctrl+C")
    run.add_argument("--finish", choices=("lie", "damp"), default="lie", help="what follows (default lie)")
    run.add_argument(
        "--robot", metavar="CONFIG", help="what the robot's side is; refused where the policy expects other"
    )
    run.add_argument("--log", metavar="FILE", help="write a flight log (MCAP)")
    run.add_argument("--domain", type=int, default=0, help="DDS domain id (default 0, as on the robot)")
    run.add_argument("--interface", help="network interface that leads to the robot; lo for a simulated one")
    run.add_argument("--lockstep", action="store_true", help="for a simulated robot that waits for each answer")
    run.add_argument("--priority", type=int, help="real-time priority of the tick, 1 to 99")
    run.add_argument("--json", action="store_true", help="print the report as JSON")
    run.set_defaults(robot_run=run_policy_command)


def run_policy_command(args: argparse.Namespace) -> int:
    """Run the policy; 0 if it ended as it was meant to, 1 after a fault."""
    from rfx.errors import ConfigError
    from rfx.go2.config import Go2Config
    from rfx.go2.policy_runner import run_policy
    from rfx.sim.odometry import VelocityEstimator

    if args.sticks and (args.velocity or args.at):
        raise ConfigError("expected --sticks, or --command and --at, got both")
    if args.foot_force and not args.estimate_velocity:
        raise ConfigError("expected --foot-force with --estimate-velocity, got it alone")
    rows = [[0.0, *(args.velocity or (0.0, 0.0, 0.0))], *sorted(args.at)]
    forces = dict(zip(("light", "firm"), args.foot_force or (), strict=False))
    estimator = VelocityEstimator(**forces) if args.estimate_velocity else None
    config = Go2Config(interface=args.interface, domain_id=args.domain, lockstep=args.lockstep)
    try:
        run = run_policy(
            args.policy,
            "sticks" if args.sticks else rows,
            config,
            seconds=args.seconds,
            finish=args.finish,
            robot=args.robot,
            log=args.log,
            base_lin_vel=estimator,
            priority=args.priority,
        )
    except OSError as error:
        raise ConfigError(str(error)) from error
    print(json.dumps(run.as_dict()) if args.json else run.summary())
    if not run.ok:
        print(f"rfx: {args.policy}: ended in damping: {run.ended}", file=sys.stderr)
    return 0 if run.ok else 1
