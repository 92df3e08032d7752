"""``rfx check``: whether a policy file does what it says, agrees with a robot, and how mistakes with it would show."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from rfx.errors import ConfigError

if TYPE_CHECKING:
    from rfx.nn.contract_check import CheckReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rfx check``."""
    parser.add_argument("policy", metavar="POLICY", help="a policy file: a folder with rfx_config.json")
    parser.add_argument(
        "--robot",
        metavar="CONFIG",
        help="what the robot's side is configured with: go2, a layout's name, a JSON file of a RobotConfig, a layout or a "
        "contract, or another policy file",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Check the policy; 0 if all is well, 1 if anything fails or a mistake would go unnoticed."""
    from rfx.nn.contract_check import check_policy

    try:
        report = check_policy(args.policy, args.robot)
    except OSError as error:
        raise ConfigError(str(error)) from error
    print(json.dumps(report.to_dict(), indent=2) if args.json else format_report(report))
    if not report.ok and args.json:
        print(f"rfx: {report.policy}: {_verdict(report)}", file=sys.stderr)
    return 0 if report.ok else 1


def format_report(report: "CheckReport") -> str:
    """Write what was found as lines, and the injected mistakes as a table."""
    width = max((len(f.name) for f in report.findings), default=0)
    lines = [f"{f.name:<{width}}  {f.status:<4}  {f.detail}" for f in report.findings]
    if report.faults:
        rows = [("mistake", "caught", "targets off by", "reported as")]
        for fault in report.faults:
            effect = f"{fault.effect:.3f} rad" if fault.effect > 1e-4 else "-"
            seen = fault.differences[0].partition(":")[0] if fault.differences else "nothing"
            more = f" and {len(fault.differences) - 1} more" if len(fault.differences) > 1 else ""
            rows.append((fault.name, "yes" if fault.caught else "NO", effect, seen + more))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines.append("")
        for name, caught, effect, seen in rows:
            lines.append(f"{name:<{widths[0]}}  {caught:<{widths[1]}}  {effect:>{widths[2]}}  {seen}")
    lines += ["", f"{report.policy}: {_verdict(report)} ({report.seconds:.1f} s)"]
    return "\n".join(lines)


def _verdict(report: "CheckReport") -> str:
    failed = sum(f.status == "fail" for f in report.findings)
    missed = [f.name for f in report.faults if not f.caught]
    caught = f"{len(report.faults) - len(missed)} of {len(report.faults)} mistakes would be caught"
    if failed:
        return f"{failed} {'check fails' if failed == 1 else 'checks fail'}" + (f", {caught}" if report.faults else "")
    return f"good, {caught}" if not missed else f"unnoticed: {', '.join(missed)}; {caught}"
