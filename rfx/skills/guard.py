"""The guard: between skills and robot, below the registry, so that nothing that is registered gets past it."""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from rfx.arrays import number
from rfx.errors import DTypeError, HardwareError, InvalidStateError, RfxError
from rfx.skills.audit import AuditLog
from rfx.skills.caller import current_caller
from rfx.skills.cancel import SkillCancelled
from rfx.skills.guard_watch import Stopping
from rfx.skills.guarded import GuardedRobot, Move, MoveState
from rfx.skills.limits import REST, SkillLimits, Spent, Velocity
from rfx.skills.result import SkillError
from rfx.skills.robots import RobotPose, SkillRobot
from rfx.skills.slot import STOPPED, current_turn

REACTION_S = 0.1  # from a velocity that ends to a robot that obeys
LEAST_S = 0.02  # a velocity for less than this is not worth telling
SECOND_LOOK_S = 0.1  # a state that is old is looked at again after so long
JUMP_M = 0.5  # farther than it can have walked by so much means that the odometry is wrong
_Ways = dict[str, Callable[..., Any]]
_REREAD = "Call report_state before you go on."


class Guard(Stopping):
    """Holds a robot, and lets it do nothing outside of its limits.

    Every move has its own state here; a thread of the guard looks at it 20 times a second, so that a mover that hangs, a
    caller that is gone, a call that was ended or a state that goes stale ends in a stop. What the guard does is written
    to the audit log as events named "guard".

    It keeps mistakes of a model and of a program in bounds, not a program that means to break out: Python has no walls.

    Parameters
    ----------
    robot : SkillRobot
        Not to be used by others any more.
    limits : SkillLimits
    audit : AuditLog, optional

    Raises
    ------
    DTypeError
        ``robot`` is no :class:`SkillRobot`.
    HardwareError
        It does not know where it is.
    """

    def __init__(self, robot: SkillRobot, limits: SkillLimits | None = None, audit: AuditLog | None = None) -> None:
        if limits is not None and not isinstance(limits, SkillLimits):
            raise DTypeError(f"expected limits to be SkillLimits, got {type(limits).__name__}")
        if not isinstance(robot, SkillRobot):
            raise DTypeError(f"expected robot to have the methods of SkillRobot, got {type(robot).__name__}")
        self.limits = SkillLimits() if limits is None else limits
        self.audit = AuditLog() if audit is None else audit
        super().__init__()
        self.__robot = robot
        self._used = Spent()
        self._rests = False
        self._closing = threading.RLock()
        here = robot.pose()
        if not all(map(math.isfinite, (here.x, here.y, here.yaw))) or not here.age_s <= self.limits.stale_s:
            raise HardwareError(f"expected a robot that knows where it is, got {here}")
        self._start = here
        self.robot = GuardedRobot(self._ask, self.limits)

    def _ask(self, what: str, *given: Any) -> Any:
        """The one way in for what the guard hands out."""
        ways: _Ways = {"time": self._time, "pose": self._pose, "begin": self._begin, "stop": self.stop}
        return ways[what](*given)

    # -- looking

    def _time(self) -> float:
        return self.__robot.time_s

    def _pose(self) -> RobotPose:
        here = self.__robot.pose()
        if not here.age_s <= self.limits.stale_s:
            # this program may have been held up itself: then a newer one comes now
            time.sleep(SECOND_LOOK_S)
            here = self.__robot.pose()
        if not all(map(math.isfinite, (here.x, here.y, here.yaw))):
            raise SkillError("the robot does not know where it is", hint="Tell the operator. It can still be stopped.")
        if not here.age_s <= self.limits.stale_s:
            raise SkillError(
                f"the newest state of the robot is {here.age_s:.2f} s old",
                hint="Tell the operator: the link may be lost.",
            )
        start = self._start
        dx, dy, c, s = here.x - start.x, here.y - start.y, math.cos(start.yaw), math.sin(start.yaw)
        yaw = math.remainder(here.yaw - start.yaw, 2 * math.pi)
        return RobotPose(c * dx + s * dy, c * dy - s * dx, yaw, here.age_s, here.posture, here.battery_percent)

    # -- the life of a move

    def _begin(self, name: str) -> Move:
        if not isinstance(name, str):
            raise DTypeError(f"expected name to be a str, got {type(name).__name__}")
        stops, now = self._stops, self.__robot.time_s
        state = MoveState(name[:80], current_caller(), current_turn(), now)
        if state.unwanted:
            self._note("refused", move=name, why=state.unwanted)
            raise SkillCancelled(state.unwanted)
        with self._lock:
            if self._closed:
                raise InvalidStateError("this guard is closed")
            turn = state.turn
            if stops != self._stops or (turn is not None and not turn.came_after(self._stopped_ns)):
                raise SkillCancelled(STOPPED)
            busy = self._move
            if busy is not None and busy.over and not busy.unstopped:  # whoever holds it cannot move the robot any more
                self._account(busy, now)
                busy = None
            if busy is None:
                self._begin_watch()
                self._move = state
        if busy is not None:
            why = f"{busy.name} is still moving the robot"
            self._note("refused", move=name, why=why)
            raise SkillError(why, "busy", "Wait for it to end, or stop it.")
        caller = state.caller
        if not self._note("begin", move=state.name, caller=caller.name if caller is not None else ""):
            self._finish(state, "the audit log cannot be written")
            raise SkillError("the audit log cannot be written, so nothing moves", "audit", "Tell the operator.")
        if caller is not None:
            state.forget = caller.on_gone(lambda reason: self._halt(state, reason))

        def ask(what: str, *given: Any) -> Any:
            ways: _Ways = {"drive": self._drive, "wait": self._wait, "posture": self._posture, "look": self._look}
            ways["end"] = self._finish
            return ways[what](state, *given)

        return Move(ask, state.name)

    def _drive(self, state: MoveState, vx: float, vy: float, vyaw: float) -> Velocity:
        try:
            wish = number(vx, "vx"), number(vy, "vy"), number(vyaw, "vyaw")
            self.limits.check_speed(wish)
        except RfxError as error:
            raise self._refuse(state, str(error), "Ask for a lower speed.", "limit") from error
        with self._order:
            self._check(state)
            now = self.__robot.time_s
            try:
                here = self._pose()
            except Exception as error:
                raise self._refuse(state, str(error), getattr(error, "hint", _REREAD), "failed") from error
            self._check_jump(state, here, now)
            if here.posture not in ("standing", "walking"):
                why = f"the robot does not stand, it is {here.posture}"
                raise self._refuse(state, why, "Call stand first.", "failed")
            hold = self._time_left(state, now)
            share = self.limits.share(here.x, here.y, here.yaw, wish, self.limits.dead_man_s + REACTION_S + here.age_s)
            if share == 0.0:
                why = f"this way leads out of the area; the robot is at ({here.x:.2f}, {here.y:.2f}) m from its start"
                raise self._refuse(state, why, "Turn, or walk back towards the start.", "limit")
            told = (share * wish[0], share * wish[1], share * wish[2])
            with self._lock:
                stops = self._stops
                if not state.over and told != REST:
                    self._account(state, now)
                    state.velocity, state.driven_s, state.until_s, state.last = told, now, now + hold, here
                    state.drives += 1
            self._check(state)
            self._tell(state, told, share)
            with self._lock:
                late = stops != self._stops or bool(state.over)
            if late:  # a stop came while the robot was told: it has the last word
                with suppress(Exception):
                    self.__robot.stop()
                self._check(state)
        return told

    def _tell(self, state: MoveState, told: Velocity, share: float) -> None:
        if state.drives == 1 or share != state.share:
            self._note("drive" if share == 1.0 else "slow down near the edge", move=state.name, velocity=list(told))
        state.share = share
        try:
            if told == REST:
                self.__robot.stop()
                now = self.__robot.time_s
                with self._lock:
                    self._account(state, now)
                    state.velocity = REST
            else:
                self.__robot.drive(*told, state.until_s)
        except Exception as error:
            self._refuse(state, f"the robot refuses to move: {error}", _REREAD, "failed")
            raise

    def _wait(self, state: MoveState, seconds: float) -> None:
        left = number(seconds, "seconds", minimum=0.0, maximum=self.limits.move_s)
        while True:
            self._check(state)
            if left <= 0:
                return
            self.__robot.wait(min(left, 0.1))
            left -= 0.1

    def _posture(self, state: MoveState, which: str) -> None:
        with self._order:  # a stop beside it goes on until this has come back
            self._check(state)
            self._note("posture", move=state.name, posture=which)
            if which == "stand":
                self.__robot.stand()
            else:
                self.__robot.sit()
        self._check(state)

    def _look(self, state: MoveState, pitch: float, yaw: float) -> None:
        most = self.limits.lean
        try:
            given = (
                number(pitch, "pitch", minimum=-most[0], maximum=most[0]),
                number(yaw, "yaw", minimum=-most[1], maximum=most[1]),
            )
        except RfxError as error:
            raise self._refuse(state, str(error), "Ask for less.", "limit") from error
        with self._order:
            self._check(state)
            self._note("look", move=state.name, pitch=given[0], yaw=given[1])
            self.__robot.look(*given)
        self._check(state)

    def _finish(self, state: MoveState, why: str) -> None:
        """End a move: whatever moved stops. Where the robot cannot be told, the watch goes on trying."""
        with self._order:
            with self._lock:
                if self._move is not state:
                    return
                state.over = state.over or why or "done"
                state.stops += bool(state.drives)
                number = state.stops
            if state.forget is not None:
                state.forget()
            try:
                if state.unstopped:
                    self.__robot.stop()
                    self._told(state, number)
            finally:
                now = self.__robot.time_s
                with self._lock:
                    self._account(state, now)
                    if not state.unstopped:
                        self._move = None
                self._go_on_stopping(state)
                self._note("end", move=state.name, why=state.over, drives=state.drives, seconds=now - state.began_s)

    # -- limits

    def _check(self, state: MoveState) -> None:
        if not state.over and state.unwanted:
            self._halt(state, state.unwanted)
        if not state.over and self._move is state:
            return
        if state.limit:
            raise SkillError(state.over, "limit", _REREAD)
        raise SkillCancelled(state.over)

    def _check_jump(self, state: MoveState, here: RobotPose, now: float) -> None:
        before = state.last
        if before is None:
            return
        gone = math.hypot(here.x - before.x, here.y - before.y)
        reach = math.hypot(*self.limits.speed[:2]) * (now - state.driven_s + here.age_s + before.age_s) + JUMP_M
        if gone > reach:
            raise self._refuse(state, f"the odometry jumped by {gone:.2f} m", "Tell the operator.", "failed")

    def _time_left(self, state: MoveState, now: float) -> float:
        """Return for how long a velocity may be kept up (s), so that no limit is passed if nothing comes after it."""
        limits = self.limits
        left = state.began_s + limits.move_s - now
        if left < LEAST_S:
            raise self._refuse(
                state, f"the move took longer than {limits.move_s:g} s", "Ask for a shorter one.", "limit"
            )
        with self._lock:
            self._account(state, now)
            used, free = self._used.look(now)
        if limits.per_minute_s - used < LEAST_S:
            why = f"the robot has moved for {used:.0f} s of the last minute, at most {limits.per_minute_s:g} s are allowed"
            raise self._refuse(state, why, f"Wait for {max(free, 1.0):.0f} s, then go on.", "limit")
        return min(limits.dead_man_s, left, limits.per_minute_s - used)

    def _account(self, state: MoveState, now: float) -> None:
        """Write down how long the last velocity has lasted; the lock is held."""
        if state.velocity != REST and now > state.driven_s:
            self._used.spend(state.driven_s, min(now, state.until_s))
            state.driven_s = now

    def _refuse(self, state: MoveState, why: str, hint: str, kind: str) -> SkillError:
        """Stop, end the move, and return what to raise. May be called with the order held."""
        with self._lock:
            ours = self._move is state and not state.over
            if ours:
                state.over, state.limit = why, kind == "limit"
                state.stops += bool(state.drives)
            number = state.stops
        if ours and state.drives:
            with suppress(Exception):  # the watch goes on trying
                self.__robot.stop()
                self._told(state, number)
        self._note("refused" if state.drives == 0 else "stop", move=state.name, why=why)
        return SkillError(why, kind, hint)

    # -- stopping

    def _rest(self) -> None:
        self.__robot.stop()

    def close(self) -> None:
        """Stop the robot and let nothing begin any more. Calling it again does nothing, unless that failed."""
        with self._lock:
            self._closed = True
        with self._closing:  # who comes second waits until the robot has been told
            if not self._rests:
                self.stop("the guard is closed")
                self._rests = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what the watch asks for

    def _beyond(self, state: MoveState) -> str:
        with self._lock:
            velocity, driven_s = state.velocity, state.driven_s
        if velocity == REST:
            return ""
        try:
            now, here = self.__robot.time_s, self._pose()
        except Exception as error:
            return str(error) or type(error).__name__
        if now - driven_s > self.limits.dead_man_s:
            return f"the velocity was not renewed for {now - driven_s:.2f} s"
        if now - state.began_s > self.limits.move_s:
            return f"the move took longer than {self.limits.move_s:g} s"
        if self.limits.share(here.x, here.y, here.yaw, velocity, REACTION_S + here.age_s) == 0.0:
            return f"it is about to leave its area at ({here.x:.2f}, {here.y:.2f}) m from its start"
        return ""

    def _note(self, action: str, **what: Any) -> bool:
        return self.audit.note("guard", action=action, **what)

    def __repr__(self) -> str:
        return f"Guard({'closed' if self._closed else 'open'}, {self.limits.area})"
