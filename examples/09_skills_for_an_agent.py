"""A Go2 as skills for an agent: checked calls, an envelope that holds, and a log of what happened.

The robot is the simulated one that walks in MuJoCo, in this process, or a point with a heading where MuJoCo is not installed. For
a language model outside: ``rfx skills serve`` (docs/mcp.md).
"""

import json

from rfx.errors import MissingDependencyError
from rfx.skills import CancelToken, Circle, GaitGo2, Go2Skills, KinematicGo2, SkillLimits, skill

# what a model might send, one call after the other
CALLS = [
    ("walk", {"distance": 0.5}),  # it lies: the hint says what to do
    ("stand", {}),
    ("circle", {"speed": 0.2, "seconds": 3.0}),
    ("walk", {"distance": 0.3, "speed": 0.4}),
    ("walk", {"distance": "far"}),
    ("walk", {"distance": 5.0}),  # the area ends before
    ("turn", {"degrees": 180}),
    ("walk", {"distance": 0.4}),
    ("stop", {}),
    ("report_state", {}),
]


def main() -> None:
    try:
        robot = GaitGo2()
    except MissingDependencyError:
        robot = KinematicGo2()
    with robot, Go2Skills(robot, SkillLimits(area=Circle(1.0), per_minute_s=60.0)) as go2:

        @skill(timeout=30)
        def circle(speed: float, seconds: float, *, cancel: CancelToken) -> str:
            """Walk in a circle to the left."""
            end = go2.robot.time_s + seconds
            with go2.robot.moving("circle") as move:
                while go2.robot.time_s < end:
                    cancel.check()
                    move.drive(speed, 0.0, 0.8)  # refused beyond the limits, whatever was registered
                    move.wait(0.1)
            return "done"

        registry = go2.registry()
        registry.register(circle)
        print(go2.limits.describe())
        print(f"{len(registry.to_anthropic())} tools")
        for name, arguments in CALLS:
            result = registry.execute(name, arguments, caller="example")
            print(f"{name:<13}{json.dumps(result.to_dict())}")
        stops = [note["why"] for note in go2.audit.notes() if note["action"] in ("stop", "refused")]
        print(f"the guard intervened {len(stops)} times, last: {stops[-1]}")


if __name__ == "__main__":
    main()
