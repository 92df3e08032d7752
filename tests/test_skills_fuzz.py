"""A hundred thousand calls of every kind, and a robot that stays within its envelope: looked at from the robot's side."""

import itertools
import math
import random
import threading
from collections import Counter

import pytest

from rfx.skills import (
    Caller,
    CancelToken,
    Circle,
    GaitGo2,
    Go2Skills,
    KinematicGo2,
    Polygon,
    SkillCancelled,
    SkillError,
    SkillLimits,
    skill,
)

CALLS = 100_000
SEED = 20_260_728
ROOM = [(-1.2, -1.5), (2.0, -1.5), (2.0, 1.0), (0.6, 0.9), (-1.2, 1.6)]
LIMITS = SkillLimits(speed=(0.5, 0.3, 1.0), area=Polygon(ROOM), margin=0.15, move_s=8.0, per_minute_s=30.0)

NAMES = {
    "stand": 6, "sit": 1, "walk": 24, "turn": 12, "look": 6, "report_state": 8, "stop": 2, "rush": 8, "pester": 8, "crowd": 8
}  # fmt: skip
ODD = [
    None, True, False, 0, -1, 1, 10**400, -(10**30), 0.1, -0.0, 5e-324, 1e308, math.nan, math.inf, -math.inf, "", "0.5",
    "NaN", "forward", "\u202eback", "\ud800", "\0", "x" * 5000, "日本語", "🤖", b"bytes", [], [0.5], [[]] * 50, {},
    {"distance": 1}, {"": {"": {}}}, object(), float, Ellipsis, range(3), 1j, set(), (1, 2), Exception("boo"),
]  # fmt: skip
KEYS = [
    "distance",
    "seconds",
    "direction",
    "speed",
    "degrees",
    "up",
    "left",
    "vx",
    "vy",
    "vyaw",
    "",
    "x",
    "__class__",
    "\ud800",
]


DIRECTIONS = ["forward", "backward", "left", "right"]


class Ledger:
    """What happened to a robot, written down by the robot: where it was, and what it was told."""

    def __init__(self, robot, limits):
        self.robot, self.limits = robot, limits
        self.depth, self.steps = math.inf, 0
        robot.on_step(self.step)

    def step(self, time_s, x, y):
        self.depth = min(self.depth, self.limits.area.depth(x, y))
        self.steps += 1

    def check(self, least_depth):
        seen, trips = self.robot.received, self.robot.trips
        assert all(fast <= most for fast, most in zip(seen.fastest, self.limits.speed, strict=True))
        assert seen.longest_hold_s <= self.limits.dead_man_s + 1e-9
        assert self.depth >= least_depth
        assert all(end - begin <= self.limits.move_s + 1e-6 for begin, end in trips)
        assert all(trips[i][1] <= trips[i + 1][0] + 1e-9 for i in range(len(trips) - 1))
        for i, (begin, _) in enumerate(trips):  # the busiest minute begins where a trip does
            minute = itertools.takewhile(lambda trip, begin=begin: trip[0] < begin + 60.0, trips[i : i + 5000])
            assert sum(min(e, begin + 60.0) - b for b, e in minute) <= self.limits.per_minute_s + 1e-6


def users_skills(skills):
    """What a user might register: they mean no harm, but know no limits either."""
    robot = skills.robot

    @skill(timeout=20)
    def rush(vx: float, vy: float = 0.0, vyaw: float = 0.0) -> str:
        """Drive on for ever, and do not listen."""
        with robot.moving("rush") as move:
            while True:
                move.drive(vx, vy, vyaw)
                move.wait(0.3)

    @skill(timeout=20)
    def pester(vx: float, vy: float, *, cancel: CancelToken) -> None:
        """Go on when told not to."""
        for _ in range(30):
            try:
                with robot.moving("pester") as move:
                    move.drive(vx, vy, 0.0)
                    move.wait(1.0)
            except (SkillError, SkillCancelled):
                if cancel.cancelled:
                    return

    @skill(effects="reads", timeout=20)
    def crowd(vx: float) -> None:
        """Move although it says that it only reads."""
        with robot.moving("crowd") as move:
            move.drive(vx, 0.0, 0.0)

    return [rush, pester, crowd]


def arguments(draw, name):
    """Arguments that are right, wrong in one place, or no arguments at all."""
    dice = draw.random()
    if dice < 0.04:
        return draw.choice(ODD)
    if dice < 0.45:
        return {draw.choice(KEYS): draw.choice(ODD) for _ in range(draw.randrange(4))}
    good = {}
    if name == "walk":
        good = {draw.choice(["distance", "seconds"]): draw.choice([0.05, 0.5, 2.0, 20.0])}
        good |= {"speed": draw.choice([0.1, 0.3, 0.5, 0.5, 1.5]), "direction": draw.choice(DIRECTIONS)}
    elif name == "turn":
        good = {"degrees": draw.uniform(-400, 400)}
    elif name == "look":
        good = {"up": draw.uniform(-40, 40), "left": draw.uniform(-40, 40)}
    elif name in ("rush", "pester", "crowd"):
        fast = draw.choice([-0.5, 0.5, 0.2, 9.0, 1e300]), draw.choice([-0.3, 0.0, 0.3]), draw.choice([-1.0, 0.0, 1.0])
        keys = {"rush": 3, "pester": 2, "crowd": 1}[name]
        good = dict(zip(("vx", "vy", "vyaw")[:keys], fast[:keys], strict=True))
    if dice < 0.75 and good:
        good[draw.choice(list(good))] = draw.choice(ODD)
    return good


def bombard(registry, robot, calls, seed, said, lock, rests):
    """Call the skills from one thread; callers leave in the middle, time goes by now and then."""
    draw, mine = random.Random(seed), Counter()
    for i in range(calls):
        name = draw.choices(list(NAMES), list(NAMES.values()))[0] if draw.random() > 0.03 else draw.choice(ODD)
        given = arguments(draw, name if isinstance(name, str) else "")
        caller = Caller(f"thread {seed}")
        if draw.random() < 0.02:  # killed in the middle
            timer = threading.Timer(draw.random() * 0.002, caller.gone)
            timer.start()
        with caller:
            result = registry.execute(name, given)
        mine[result.kind or "done"] += 1
        if i % rests == 0:
            robot.wait(draw.uniform(0.0, 5.0))
    with lock:
        said.update(mine)


def storm(robot, limits, calls, threads=4, seed=SEED, rests=40):
    robot.stand()
    ledger = Ledger(robot, limits)
    skills = Go2Skills(robot, limits)
    registry = skills.registry(timeout=20.0)
    for one in users_skills(skills):
        registry.register(one)
    said, lock = Counter(), threading.Lock()
    workers = [
        threading.Thread(target=bombard, args=(registry, robot, calls // threads, seed + i, said, lock, rests))
        for i in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stopped = registry.execute("stop")
    assert stopped.ok
    skills.close()
    assert said.total() == calls
    return ledger, said


def test_a_hundred_thousand_calls_do_not_move_the_robot_out_of_its_envelope(capsys):
    robot = KinematicGo2(step_s=0.05)
    ledger, said = storm(robot, LIMITS, CALLS)
    with capsys.disabled():
        print(f"\n{CALLS} calls: {dict(said.most_common())}; {robot.received}; least depth {ledger.depth:.3f} m")
    ledger.check(least_depth=LIMITS.margin - 0.02)
    assert {"done", "arguments", "limit", "busy", "stopped", "failed", "unknown skill"} <= set(said)
    assert robot.received.drives > 5000  # it did move,
    assert ledger.depth < LIMITS.margin + 0.1  # and was driven to the edge
    x = robot.pose().x
    robot.wait(10.0)
    assert robot.pose().x == x


def test_thousands_of_calls_do_not_walk_the_robot_of_mujoco_out_of_its_area():
    pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    limits = SkillLimits(area=Circle(0.9), margin=0.2, move_s=4.0, per_minute_s=20.0)
    met, drives = Counter(), 0
    for seed in range(0, 40, 2):  # how far one of them gets is up to the threads
        with GaitGo2() as robot:
            ledger, said = storm(robot, limits, 1000, threads=2, rests=500, seed=seed)
            ledger.check(least_depth=0.0)
            met, drives = met + said, drives + robot.received.drives
        if met["limit"] > 10 and drives > 50:
            break
    assert met["limit"] > 10
    assert drives > 50
