"""One run of the demo: start the robot's process, connect, drive the loop, record every tick, end cleanly."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rfx.cli.demo import PUSH_S, child_environment, robot_command
from rfx.cli.pictures import take
from rfx.cli.progress import Progress
from rfx.cli.report import DemoLog
from rfx.control import ControlLoop, ControlLoopStats, Histogram
from rfx.errors import HardwareError, RfxConnectionError, RfxError, RfxTimeoutError
from rfx.go2 import Go2, Go2Config, LowCmd, PosturePlan, RobotClock
from rfx.go2.backends.cyclone import LOOPBACK
from rfx.go2.simulated import SPORT_STATE_EVERY, Push

RATE_HZ = 500.0
# By realtime. In lockstep an answer may be held up by a slow machine for long; that this process is gone is noticed by
# the closed pipe, not by the silence.
COMMAND_TIMEOUT_S = {True: 0.1, False: 60.0}
PATIENCE_S = 60.0
STALE_S = 2.0  # a machine that stalls is no reason to let this robot fall
LINK_STAGES = ("take", "decode", "encode", "write")
STAGES = ("wait", "take", "decode", "control", "encode", "write")  # wait: lockstep only, for the robot's answer


class RobotProcess:
    """The simulated robot as a child that ends when this process does, however that happens."""

    def __init__(self, out: Path, **options: Any) -> None:
        self._log_path = out / "robot.log"
        self._log = self._log_path.open("w")
        self.child = subprocess.Popen(
            robot_command(tied=True, **options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=child_environment(),
            start_new_session=True,  # Ctrl+C is for the demo; the robot sees its standard input close
            text=True,
        )
        (out / "robot.pid").write_text(str(self.child.pid))

    def __repr__(self) -> str:
        return f"RobotProcess(pid={self.child.pid}, returncode={self.child.poll()})"

    def ready(self) -> dict[str, Any]:
        """Wait until the robot is on DDS; its first line says what it is."""
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line:
            self.child.wait()
            raise RfxConnectionError(f"the robot process ended before it was ready: {self.last_words()}")
        return json.loads(line)

    def last_words(self) -> str:
        """Return how it ended and the end of what it wrote."""
        self._log.flush()
        tail = self._log_path.read_text().strip().splitlines()[-3:]
        code = self.child.poll()
        how = "still runs" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{how}; {' | '.join(tail) or 'it wrote nothing'}"

    def end(self, timeout_s: float = 10.0) -> dict[str, Any]:
        """Close its standard input, wait for it, return its closing summary."""
        try:
            text, _ = self.child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            text, _ = self.child.communicate()
        finally:
            self._log.close()
        lines = [line for line in text.splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else {}


class Recorder:
    """What is kept of every tick; arrays are cut to the ticks that came."""

    def __init__(self, capacity: int) -> None:
        self.n = 0
        self.capacity = capacity
        self.time_s = np.zeros(capacity)
        self.q, self.dq, self.q_target, self.tau = (np.zeros((capacity, 12)) for _ in range(4))
        self.position, self.quaternion = np.full((capacity, 3), np.nan), np.full((capacity, 4), np.nan)
        self.work_ns = np.zeros(capacity, np.int64)
        self.stages_ns = {name: np.zeros(capacity, np.int64) for name in STAGES}

    def __repr__(self) -> str:
        return f"Recorder(n={self.n}, capacity={self.capacity})"

    def cut(self, array: np.ndarray) -> np.ndarray:
        """Return the part of an array that has been written."""
        return array[: self.n]

    def tilt_rad(self) -> np.ndarray:
        """Return the angle between the body's z axis and the vertical."""
        x, y = self.cut(self.quaternion)[:, 1], self.cut(self.quaternion)[:, 2]
        return np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0))


def spread(histogram: Histogram) -> np.ndarray:
    """Return the durations (ns) that a histogram holds, in ascending order, to within a bucket; the largest is exact."""
    least, most, counts = histogram.counts()
    values = np.repeat((least + most) // 2, counts)
    if len(values):
        values[-1] = histogram.max
    return np.minimum(values, histogram.max)


class DemoRun:
    """Stand up, hold against a push, lie down; record what happened."""

    def __init__(
        self, *, domain_id: int, seconds: float, realtime: bool, plant: str, push_n: float, out: Path, pictures: bool
    ) -> None:
        self.domain_id = domain_id
        self.pictures = pictures
        self.realtime = realtime
        self.plant = plant
        self.plan = PosturePlan.stand_and_lie(seconds)
        [(start, end)] = [(a, b) for name, a, b in self.plan.spans() if name == "hold"]
        self.push = Push(round((start + end) / 2, 3), PUSH_S, (0.0, push_n, 0.0)) if push_n else None
        self.out = out
        self.safety: dict[str, dict[str, int]] = {}
        # In real time a robot that stalls gives more ticks than its own time has.
        self.record = Recorder(round((4.0 if realtime else 1.0) * self.plan.seconds * RATE_HZ) + 1)

    def __repr__(self) -> str:
        return f"DemoRun(domain={self.domain_id}, realtime={self.realtime}, {self.plan!r})"

    def run(self) -> DemoLog:
        """Start the robot, run the loop to its end, return the record."""
        robot = RobotProcess(
            self.out,
            domain=self.domain_id,
            interface=LOOPBACK,
            plant=self.plant,
            lockstep=not self.realtime,
            push=[str(self.push)] if self.push else [],
            command_timeout=COMMAND_TIMEOUT_S[self.realtime],
        )
        try:
            about = robot.ready()
            config = Go2Config.loopback(self.domain_id, lockstep=not self.realtime)
            config = config.with_limits(stale_s=STALE_S).with_timeouts(stale_s=STALE_S)
            with Go2.connect(config) as go2:
                stats = self._drive(go2, lambda: robot.child.poll() is None)
                self.safety = go2.safety.counts
        except RfxError as error:
            if robot.child.poll() is not None:
                raise RfxConnectionError(f"the robot process is gone ({robot.last_words()})") from error
            raise
        finally:
            closing = robot.end()
        return self._log(about, closing, stats)

    def _drive(self, go2: Go2, alive: Callable[[], bool]) -> ControlLoopStats:
        first = go2.low_state()
        self.plan.start(first.q)
        clock = None if self.realtime else RobotClock(go2, PATIENCE_S, alive)
        cmd, record, times = LowCmd(), self.record, go2.backend.times.last_ns
        wall_end = time.monotonic() + 30.0 + 10.0 * self.plan.seconds

        def tick(iteration: int, dt: float) -> bool:
            t0 = time.perf_counter_ns()
            low = go2.low_state()
            time_s = (low.tick - first.tick) / 1000.0
            if time_s >= self.plan.seconds - 1e-6 or record.n >= record.capacity:
                return False
            t1 = time.perf_counter_ns()
            target, kp, kd = self.plan.at(time_s)
            cmd.set_motors(q=target, dq=0.0, tau=0.0, kp=kp, kd=kd)
            t2 = time.perf_counter_ns()
            with contextlib.suppress(HardwareError):  # it fell: the envelope damps, and the record goes on
                go2.send(cmd)
            i = record.n
            record.n += 1
            record.time_s[i], record.q[i], record.dq[i] = time_s, low.q, low.dq
            record.q_target[i], record.tau[i] = target, low.tau_est
            record.quaternion[i] = low.imu_state.quaternion
            if i % SPORT_STATE_EVERY == 0:
                sport = go2.sport_state()
                if sport is not None:
                    record.position[i:] = sport.position
            for name in LINK_STAGES:
                record.stages_ns[name][i] = times[name]
            record.stages_ns["control"][i] = t2 - t1
            if clock is not None:
                record.stages_ns["wait"][i] = clock.wait_ns
            if i % 100 == 0:
                progress.update(time_s, self.plan.phase_at(time_s))
                if not (go2.is_connected() or clock):
                    raise RfxConnectionError(f"no state from the robot for {go2.config.stale_after_s:g} s")
                if time.monotonic() > wall_end:
                    raise RfxTimeoutError(f"the demo takes too long: {time_s:.1f} of {self.plan.seconds:g} s are done")
            record.work_ns[i] = time.perf_counter_ns() - t0
            return True

        with Progress(self.plan.seconds, "demo") as progress:
            return ControlLoop(RATE_HZ, tick, name="rfx demo", clock=clock).run()

    def _log(self, about: dict[str, Any], closing: dict[str, Any], stats: ControlLoopStats) -> DemoLog:
        r = self.record
        pushes = [(self.push.start_s, self.push.duration_s, self.push.force_n)] if self.push else []
        return DemoLog(
            time_s=r.cut(r.time_s),
            q=r.cut(r.q),
            dq=r.cut(r.dq),
            q_target=r.cut(r.q_target),
            tau=r.cut(r.tau),
            height_m=r.cut(r.position)[:, 2],
            tilt_rad=r.tilt_rad(),
            phases=self.plan.spans(),
            pushes=pushes,
            lateness_ns=spread(stats.lateness),
            work_ns=r.cut(r.work_ns),
            stages_ns={n: r.cut(v) for n, v in r.stages_ns.items() if n != "wait" or not self.realtime},
            pictures=take(r, self.plan.spans(), pushes) if self.pictures else [],
            missed_ticks=stats.missed_ticks,
            mode="real time" if self.realtime else "lockstep",
            plant=about["description"],
            can_fall=about["can_fall"],
            robot=closing,
            extra={
                "rate_hz": RATE_HZ,
                "overruns": stats.overruns,
                "rights": stats.rights_statement,
                "safety": self.safety,
            },
        )
