"""A link to nobody that keeps everything that is published, answers every request at once, and shows the states it is told to."""

import itertools
import threading

from rfx.go2.backends.base import StageTimes
from rfx.go2.config import Go2Config
from rfx.go2.messages import LowCmd, LowState, Response, SportModeState
from rfx.robots.go2 import GO2

STAND = GO2.pose("stand")
QUICK = Go2Config.loopback(1).with_limits(stale_s=5.0).with_timeouts(command_hold_s=60.0)  # for a machine that stalls


def standing(tick=0):
    low = LowState(tick=tick)
    low.set_motors(q=STAND, dq=0.0, tau_est=0.0, temperature=35)
    low.imu_state.quaternion = (1.0, 0.0, 0.0, 0.0)
    return low


class RecordingLink:
    """``shown`` is the state that comes; ``silent`` stops it. ``published`` sees each command as it leaves."""

    def __init__(self, published=lambda cmd: None):
        self.times = StageTimes()
        self.refused, self.last_refusal = 0, ""
        self.commands, self.requests, self.ready = [], [], []
        self.lock = threading.Lock()
        self.ticks = itertools.count(2, 2)
        self.shown, self.silent, self.published = standing(), False, published

    def publish_low_cmd(self, cmd):
        self.published(cmd)
        data = cmd.to_cdr()
        with self.lock:
            self.commands.append(data)

    def sent(self):
        """All commands so far."""
        with self.lock:
            return [LowCmd.from_cdr(data) for data in self.commands]

    def forget(self):
        """Forget all commands so far."""
        with self.lock:
            self.commands.clear()

    def publish_request(self, service, request):
        response = Response(data='{"name": ""}')
        response.header.identity.id = request.header.identity.id
        response.header.identity.api_id = request.header.identity.api_id
        with self.lock:
            self.requests.append((service, request.header.identity.api_id, request.parameter))
            if not request.header.policy.noreply:
                self.ready.append(response)

    def responses(self, service, timeout_s):
        with self.lock:
            came, self.ready = self.ready, []
        return came

    def serves(self, service):
        return True

    def other_commanders(self):
        return []

    def subscribe_state(self):
        return self

    def latest(self):
        if self.silent:
            return None
        low = self.shown.copy()
        low.tick = next(self.ticks)
        return low

    def recv(self, timeout_s):
        return self.latest()

    def sport_state(self):
        return SportModeState(body_height=0.3)

    def is_connected(self):
        return True

    def disconnect(self):
        pass


def damps(cmd):
    """Whether a command is damping: stiffness and torque nowhere, braking everywhere, all motors on."""
    on = all(cmd.motor_cmd[i].mode == 1 for i in range(12))
    return bool(on and not (cmd.kp.any() or cmd.tau.any() or cmd.dq.any()) and (cmd.kd > 0).all())


def command(q=STAND, kp=30.0, kd=2.0):
    cmd = LowCmd()
    cmd.set_motors(q=q, dq=0.0, tau=0.0, kp=kp, kd=kd)
    return cmd
