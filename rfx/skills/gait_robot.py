"""The simulated Go2 that walks in MuJoCo under its sport mode, in this process."""

import json
import math
from collections.abc import Callable

from rfx.errors import HardwareError, RfxTimeoutError
from rfx.go2.sport_mode import SportMode
from rfx.go2.topics import SportApi, SportModeId
from rfx.sim import JointCommand, Plant, make_plant
from rfx.skills.limits import REST, Velocity
from rfx.skills.robots import RobotPose
from rfx.skills.simulated import Simulated

_FALLEN = 1.0  # rad


class GaitGo2(Simulated):
    """The simulated Go2 of :class:`rfx.go2.SimulatedGo2`, physics and sport mode, without the network between.

    Parameters
    ----------
    real_time : bool
        Follow the wall clock; else time passes while somebody waits.
    plant : Plant, optional
        The physics; MuJoCo by default.
    say : callable
        Takes one line about what happens.

    Raises
    ------
    MissingDependencyError
        mujoco is not installed.
    """

    def __init__(
        self, real_time: bool = False, plant: Plant | None = None, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._plant = make_plant("mujoco") if plant is None else plant
        self._state = self._plant.reset("lie")
        self._sport, self._command = SportMode(say), JointCommand()
        self._sport.begin(self._state)
        self._owed_s = 0.0
        super().__init__(real_time)

    @property
    def time_s(self) -> float:
        """Its own clock (s)."""
        return self._state.time

    def pose(self) -> RobotPose:
        """Return where it is."""
        with self._lock:
            self._check_open()
            w, i, j, k = map(float, self._state.quaternion)
            yaw = math.atan2(2 * (w * k + i * j), 1 - 2 * (j * j + k * k))
            x, y, _ = map(float, self._state.position)
            return RobotPose(x, y, yaw, self._age(), self._posture())

    def _posture(self) -> str:
        mode = self._sport.mode
        if self._state.tilt > _FALLEN:
            return "fallen"
        if 0 < self._sport.progress < 1:
            return "moving"
        if mode == SportModeId.LOCOMOTION:
            return "walking"
        if mode in (SportModeId.BALANCE_STAND, SportModeId.POSE):
            return "standing"
        if mode == SportModeId.SIT:
            return "sitting"
        return "moving" if self._state.position[2] > 0.2 else "lying"

    def _advance(self, seconds: float) -> None:
        self._owed_s += seconds
        steps = int(self._owed_s / self._plant.timestep + 1e-6)
        self._owed_s -= steps * self._plant.timestep
        for _ in range(steps):
            step_ends = self._state.time + self._plant.timestep - 1e-9
            if self._velocity != REST and step_ends > self._until_s:  # never longer than it was told
                self.received.expired += 1
                self._rest()
                self._ask(SportApi.STOP_MOVE)
            self._sport.update(self._state, self._command)
            self._state = self._plant.step(self._command)
            self._tell(float(self._state.position[0]), float(self._state.position[1]))

    def _ask(self, api_id: int, **parameter: float) -> None:
        code, data = self._sport.handle(api_id, json.dumps(parameter))
        if code:
            raise HardwareError(f"the robot refuses {SportApi(api_id).name} ({code}): {data}")

    def _set_off(self, velocity: Velocity) -> None:
        self._ask(SportApi.MOVE, x=velocity[0], y=velocity[1], z=velocity[2])

    def stop(self) -> None:
        """Stop walking."""
        with self._lock:
            super().stop()
            self._ask(SportApi.STOP_MOVE)

    def stand(self) -> None:
        """Stand up, and return when it stands."""
        with self._lock:
            self._check_open()
            self._rest()
            posture, stops = self._posture(), self._stops
            if posture in ("standing", "walking"):
                self._ask(SportApi.STOP_MOVE)
            else:
                ways = {"sitting": SportApi.RISE_SIT, "fallen": SportApi.RECOVERY_STAND}
                self._ask(ways.get(posture, SportApi.STAND_UP))
        self._until(lambda: self._sport.mode in (SportModeId.BALANCE_STAND, SportModeId.JOINT_LOCK), stops)
        with self._lock:
            if self._sport.mode == SportModeId.JOINT_LOCK and stops == self._stops:
                self._ask(SportApi.BALANCE_STAND)

    def sit(self) -> None:
        """Sit down, and return when it sits."""
        with self._lock:
            self._rest()
            stops = self._stops
        if self.pose().posture == "sitting":
            return
        self._still(stops)
        with self._lock:
            if stops == self._stops:
                self._ask(SportApi.SIT)
        self._until(lambda: self._sport.mode == SportModeId.SIT, stops)

    def look(self, pitch: float, yaw: float) -> None:
        """Turn the trunk (rad)."""
        stops = self._stops
        self._still(stops)
        with self._lock:
            if stops == self._stops:
                self._ask(SportApi.EULER, x=0.0, y=pitch, z=yaw)

    def _still(self, stops: int) -> None:
        with self._lock:
            if self._posture() == "walking":
                self._ask(SportApi.STOP_MOVE)
        self._until(lambda: self._sport.mode != SportModeId.LOCOMOTION, stops)

    def _until(self, reached: Callable[[], bool], stops: int) -> None:
        end = self.time_s + 20.0
        self.wait(0.02)  # until then it does not say that a motion is under way
        while not (reached() and not 0 < self._sport.progress < 1):
            if self._stops != stops:
                return
            if self.time_s > end:
                raise RfxTimeoutError(f"expected the robot to change its posture within 20 s, it is {self._posture()}")
            self.wait(0.02)

    def close(self) -> None:
        """End the thread of real time and let go of the physics. Calling it again does nothing."""
        super().close()
        self._plant.close()

    def __repr__(self) -> str:
        x, y, _ = self._state.position
        return f"GaitGo2({self._posture()} at {x:.2f}, {y:.2f}, {self._state.time:.1f} s)"
