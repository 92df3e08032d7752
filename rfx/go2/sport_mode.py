"""The sport mode of the simulated robot: which request does what in which mode. It knows nothing of DDS.

Unitree publishes no code for a request that does not fit the present mode; here it is 3202 with the reason as data. A
parameter that is not the JSON asked for, or out of range, is 3204, a function that is not there 3203.
"""

import json
import math
from collections.abc import Callable

import numpy as np

from rfx.errors import InvalidValueError
from rfx.go2 import sport_motions
from rfx.go2.posture import PosturePlan
from rfx.go2.sport_parameters import clamped, numbers_of, whole
from rfx.go2.topics import Key, RpcCode, SportApi, SportModeId
from rfx.sim.gait import GaitController
from rfx.sim.gaits import BY_NAME
from rfx.sim.plant import JointCommand, PlantState

Answer = tuple[int, str]

HEIGHT, LIFT = 0.28, 0.07  # m; BodyHeight and FootRaiseHeight are relative to these
MOVE_LASTS_S = 1.0  # a Move is obeyed for so long
FALLEN = 1.0  # rad of tilt
LEVEL = 0.4  # rad of tilt from which it may stand up
TRIES = 10  # motions to get back on its feet
SPEED_SHARE = {-1: 0.5, 0: 0.8, 1: 1.0}
GAIT_NUMBERS = {None: 0, "stand": 0, "trot": 1, "run": 2, "walk": 5, "economic": 6}
SWITCHED = {1: "trot", 2: "run"}  # by SwitchGait
DAMPING_KD = 3.0
DEAD_ZONE = 0.05  # of a stick

IDLE, BALANCE, POSE, WALK = SportModeId.IDLE, SportModeId.BALANCE_STAND, SportModeId.POSE, SportModeId.LOCOMOTION
LYING, LOCK, DAMPING = SportModeId.LIE_DOWN, SportModeId.JOINT_LOCK, SportModeId.DAMPING
RECOVERY, SITTING = SportModeId.RECOVERY_STAND, SportModeId.SIT
ANY = frozenset(SportModeId)
FEET = frozenset({BALANCE, POSE, WALK})


class _Refused(Exception):
    """The request does not fit the robot's state; says why."""


class SportMode:
    """Takes requests and measurements, gives joint commands.

    Parameters
    ----------
    say : callable
        Takes one line about what happens.

    Attributes
    ----------
    mode : SportModeId
    progress : float
        0..1 while a motion is under way, else 0.
    gait_type : int
        0 standing, 1 trot, 2 trot running; where Unitree gives no number 5 static walk, 6 economic.
    error_code : int
        0, or 1 after a fall or a fault, until it stands again.
    reason : str
        Why it went to damping last.
    """

    def __init__(self, say: Callable[[str], None] = lambda line: None) -> None:
        self._say = say
        self._gait = GaitController()
        self._damping = JointCommand.damping(DAMPING_KD)
        self._state: PlantState | None = None
        self._plan: PosturePlan | None = None
        self._plan_began = 0.0
        self._then: SportModeId = IDLE
        self._moved_s = math.inf  # when the last Move came; inf for none to obey
        self._continuous = False
        self._tries, self._gathered = 0, False
        self._keys = 0
        self._sticks = False
        self._joystick = True
        self._height, self._lift, self._level = 0.0, 0.0, 1
        self.mode: SportModeId = IDLE
        self.progress = 0.0
        self.error_code = 0
        self.reason = ""

    def __repr__(self) -> str:
        return f"SportMode({self.mode.name}, progress={self.progress:.2f})"

    @property
    def gait_type(self) -> int:
        """What SportModeState carries."""
        return GAIT_NUMBERS[self._gait.mode] if self.mode == WALK else 0

    @property
    def foot_raise_height(self) -> float:
        """How high the feet swing (m)."""
        return LIFT + self._lift

    def begin(self, state: PlantState) -> None:
        """Take over the motors: hold the stance of a robot that stands, let one that lies lie."""
        self._state, self._plan, self._tries, self.error_code = state, None, 0, 0
        if state.position[2] > 0.2 and state.tilt < FALLEN:
            self._play(sport_motions.stand(), LOCK, LOCK)
        else:
            self._enter(IDLE)

    # -- requests

    def handle(self, api_id: int, parameter: str) -> Answer:
        """Answer one request: (code, data)."""
        if api_id not in _TABLE:
            return RpcCode.NOT_IMPLEMENTED, ""
        handler, modes, keys = _TABLE[api_id]
        try:
            values = numbers_of(parameter, keys)
        except ValueError as error:
            return RpcCode.PARAMETER, str(error)
        name = SportApi(api_id).name
        if self._plan_runs() and api_id == SportApi.STAND_UP and self.mode == LOCK:
            return RpcCode.OK, ""  # it is standing up already
        if self._plan_runs() and modes is not ANY:
            return RpcCode.SERVER, f"{name} has to wait: a motion is under way in mode {self.mode.name}"
        if self.mode not in modes:
            return RpcCode.SERVER, f"{name} does nothing in mode {self.mode.name}"
        try:
            return RpcCode.OK, handler(self, *values) or ""
        except InvalidValueError as error:
            return RpcCode.PARAMETER, str(error)
        except _Refused as error:
            return RpcCode.SERVER, str(error)

    def _damp(self) -> None:
        self._enter_damping("Damp was asked for")

    def _balance(self) -> None:
        if self.mode != BALANCE:
            self._on_feet()

    def _stop(self) -> None:
        self._gait.walk(0, 0, 0, always=self._continuous)
        self._moved_s = math.inf

    def _stand_up(self) -> None:
        assert self._state is not None
        if self._state.tilt > FALLEN:
            raise _Refused("STAND_UP cannot turn the robot over: ask for RECOVERY_STAND")
        upright = self._state.position[2] > 0.2
        self._play(sport_motions.stand() if upright else sport_motions.stand_up(), LOCK, LOCK)

    def _stand_down(self) -> None:
        self._play(sport_motions.lie_down(), LYING, LYING)

    def _recover(self) -> None:
        self._tries, self._gathered = 0, False
        self._rise_from_anywhere()

    def _euler(self, roll: float, pitch: float, yaw: float) -> None:
        self._gait.pose(roll=roll, pitch=pitch, yaw=yaw)

    def _move(self, vx: float, vy: float, vyaw: float) -> None:
        assert self._state is not None
        share, gait = SPEED_SHARE[self._level], BY_NAME[self._gait.gait]
        velocity = clamped(vx, gait.vx, share), clamped(vy, gait.vy, share), clamped(vyaw, gait.vyaw)
        self._gait.walk(*velocity, always=self._continuous)
        self._gait.pose(roll=0.0, pitch=0.0, yaw=0.0)
        self._moved_s = self._state.time

    def _sit(self) -> None:
        self._play(sport_motions.sit_down(), SITTING, SITTING)

    def _rise_sit(self) -> None:
        self._play(sport_motions.rise(), SITTING, BALANCE)

    def _hello(self) -> None:
        self._play(sport_motions.hello(), POSE, BALANCE)

    def _stretch(self) -> None:
        self._play(sport_motions.stretch(), POSE, BALANCE)

    def _switch_gait(self, number: float) -> None:
        gait = whole(number, 0, 4)
        if gait == 0:
            self._stop()
        elif gait not in SWITCHED:
            raise _Refused(f"gait {gait} is for stairs: this robot knows level floors only")
        else:
            self._gait.choose(SWITCHED[gait])

    def _static_walk(self) -> None:
        self._gait.choose("walk")

    def _trot_run(self) -> None:
        self._gait.choose("run")

    def _economic_gait(self, on: float) -> None:
        self._gait.choose("economic" if on else "trot")

    def _continuous_gait(self, on: float) -> None:
        self._continuous = bool(on)
        self._gait.walk(0, 0, 0, always=self._continuous)

    def _body_height(self, offset: float) -> None:
        self._gait.pose(height=HEIGHT + offset)
        self._height = offset

    def _foot_raise(self, offset: float) -> None:
        self._gait.pose(lift=LIFT + offset)
        self._lift = offset

    def _speed_level(self, level: float) -> None:
        self._level = whole(level, -1, 1)

    def _get_height(self) -> str:
        return json.dumps({"data": self._height})

    def _get_lift(self) -> str:
        return json.dumps({"data": self._lift})

    def _get_level(self) -> str:
        return json.dumps({"data": self._level})

    def _pose(self, on: float) -> None:
        self._enter(POSE if on else BALANCE)

    def _switch_joystick(self, on: float) -> None:
        self._joystick = bool(on)

    # -- the hand controller

    def sticks(self, lx: float, ly: float, rx: float, keys: int) -> None:
        """Obey the hand controller: sticks walk, L2+B damps, L2+A stands up and lies down, START unlocks the joints."""
        pressed, self._keys = keys & ~self._keys, keys
        if keys & Key.L2 and pressed & Key.B:
            self.handle(SportApi.DAMP, "")
        elif keys & Key.L2 and pressed & Key.A:
            self.handle(SportApi.STAND_DOWN if self.mode == LOCK else SportApi.STAND_UP, "")
        elif pressed & Key.START:
            self.handle(SportApi.BALANCE_STAND, "")
        if not self._joystick or not all(map(math.isfinite, (lx, ly, rx))):
            return
        used = max(abs(lx), abs(ly), abs(rx)) > DEAD_ZONE
        if used:
            wish = {"x": 0.8 * ly, "y": -0.4 * lx, "z": -1.2 * rx}
            self.handle(SportApi.MOVE, json.dumps(wish))
        elif self._sticks:
            self.handle(SportApi.STOP_MOVE, "")
        self._sticks = used

    # -- time

    def update(self, state: PlantState, command: JointCommand, fault: str = "") -> None:
        """Take what was measured and write the command for the next 2 ms; ``fault`` names a motor that cannot be used."""
        self._state = state
        if self.mode not in (DAMPING, IDLE):
            if fault or not (np.isfinite(state.q).all() and np.isfinite(state.dq).all()):
                self._fail(fault or "a joint is not measured")
            elif state.tilt > FALLEN and self.mode not in (RECOVERY, LYING):
                self._fail("it fell over")
        if self._plan is not None:
            self._follow(state, command)
        elif self.mode in FEET:
            self._walk(state, command)
        else:
            _copy(self._damping, command)

    def _walk(self, state: PlantState, command: JointCommand) -> None:
        if state.time - self._moved_s > MOVE_LASTS_S:
            self._stop()
        try:
            self._gait.update(state, command)
        except InvalidValueError as error:
            self._fail(str(error))
            _copy(self._damping, command)
            return
        if self.mode != POSE:
            self.mode = BALANCE if self._gait.mode == "stand" else WALK

    def _follow(self, state: PlantState, command: JointCommand) -> None:
        assert self._plan is not None
        elapsed = state.time - self._plan_began
        q, kp, kd = self._plan.at(elapsed)
        _copy(self._damping, command)
        command.q[:], command.kp[:], command.kd[:] = q, kp, kd
        running = elapsed < self._plan.seconds
        self.progress = min(1.0, elapsed / self._plan.seconds) if running else 0.0
        if running:
            return
        if self._then == RECOVERY:
            self._rise_from_anywhere()
        elif self._then == self.mode:
            return  # hold the last target
        elif self._then == BALANCE:
            self._on_feet()
        else:
            self._enter(self._then)

    def _plan_runs(self) -> bool:
        if self._plan is None or self._state is None:
            return False
        return self._state.time - self._plan_began < self._plan.seconds

    # -- changes of mode

    def _play(self, plan: PosturePlan, mode: SportModeId, then: SportModeId) -> None:
        assert self._state is not None
        plan.start(self._state.q)
        self._plan, self._plan_began, self._then = plan, self._state.time, then
        self._enter(mode)

    def _on_feet(self) -> None:
        """Balance from here on."""
        self._plan = None
        self._gait.reset()
        self._stop()
        self._gait.pose(height=HEIGHT + self._height, lift=LIFT + self._lift, roll=0.0, pitch=0.0, yaw=0.0)
        self.error_code = 0
        self._enter(BALANCE)

    def _rise_from_anywhere(self) -> None:
        """The next motion on the way to its feet, chosen by how it lies: every one is looked at when it has ended."""
        assert self._state is not None
        tilt, standing = self._state.tilt, self._state.position[2] > 0.2
        self._tries += 1
        if standing and tilt < LEVEL:
            self._on_feet()
        elif self._tries > TRIES:
            self._fail(f"{TRIES} motions did not bring it to its feet")
        elif tilt < LEVEL and self._gathered:
            self._play(sport_motions.stand_up(), RECOVERY, RECOVERY)
        elif tilt < FALLEN:
            self._play(sport_motions.gather(), RECOVERY, RECOVERY)
            self._gathered = True
        else:
            w, x, y, z = self._state.quaternion
            roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
            self._play(sport_motions.roll_over(right_side_down=roll > 0), RECOVERY, RECOVERY)
            self._gathered = True

    def _fail(self, reason: str) -> None:
        self.error_code = 1
        self._enter_damping(reason)

    def _enter_damping(self, reason: str) -> None:
        self.reason, self._plan = reason, None
        self._enter(DAMPING)
        self._say(f"sport mode damps: {reason}")

    def _enter(self, mode: SportModeId) -> None:
        if mode != self.mode:
            self._say(f"sport mode {self.mode.name} -> {mode.name}")
        self.mode, self.progress = mode, 0.0


def _copy(source: JointCommand, target: JointCommand) -> None:
    for name in ("q", "dq", "tau", "kp", "kd", "enabled"):
        getattr(target, name)[:] = getattr(source, name)


_GROUND = frozenset({IDLE, LYING, LOCK, DAMPING, BALANCE, POSE})

# function -> (method, modes in which it does something, names in the JSON parameter)
_TABLE: dict[int, tuple[Callable[..., str | None], frozenset[SportModeId], tuple[str, ...]]] = {
    SportApi.DAMP: (SportMode._damp, ANY, ()),
    SportApi.BALANCE_STAND: (SportMode._balance, FEET | {LOCK}, ()),
    SportApi.STOP_MOVE: (SportMode._stop, ANY, ()),
    SportApi.STAND_UP: (SportMode._stand_up, _GROUND, ()),
    SportApi.STAND_DOWN: (SportMode._stand_down, _GROUND, ()),
    SportApi.RECOVERY_STAND: (SportMode._recover, ANY - {WALK}, ()),
    SportApi.EULER: (SportMode._euler, frozenset({BALANCE, POSE}), ("x", "y", "z")),
    SportApi.MOVE: (SportMode._move, frozenset({BALANCE, WALK}), ("x", "y", "z")),
    SportApi.SIT: (SportMode._sit, frozenset({BALANCE, LOCK}), ()),
    SportApi.RISE_SIT: (SportMode._rise_sit, frozenset({SITTING}), ()),
    SportApi.SWITCH_GAIT: (SportMode._switch_gait, FEET, ("data",)),
    SportApi.BODY_HEIGHT: (SportMode._body_height, FEET, ("data",)),
    SportApi.FOOT_RAISE_HEIGHT: (SportMode._foot_raise, FEET, ("data",)),
    SportApi.SPEED_LEVEL: (SportMode._speed_level, ANY, ("data",)),
    SportApi.HELLO: (SportMode._hello, frozenset({BALANCE}), ()),
    SportApi.STRETCH: (SportMode._stretch, frozenset({BALANCE}), ()),
    SportApi.CONTINUOUS_GAIT: (SportMode._continuous_gait, FEET, ("data",)),
    SportApi.GET_BODY_HEIGHT: (SportMode._get_height, ANY, ()),
    SportApi.GET_FOOT_RAISE_HEIGHT: (SportMode._get_lift, ANY, ()),
    SportApi.GET_SPEED_LEVEL: (SportMode._get_level, ANY, ()),
    SportApi.SWITCH_JOYSTICK: (SportMode._switch_joystick, ANY, ("data",)),
    SportApi.POSE: (SportMode._pose, frozenset({BALANCE, POSE}), ("data",)),
    SportApi.STATIC_WALK: (SportMode._static_walk, FEET, ()),
    SportApi.TROT_RUN: (SportMode._trot_run, FEET, ()),
    SportApi.ECONOMIC_GAIT: (SportMode._economic_gait, FEET, ("data=1",)),
}
