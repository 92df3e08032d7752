"""Run a policy on a Go2: check its contract, take the motors, stand up, let it act, lie down, report."""

import contextlib
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from rfx.control import ControlLoop, ControlLoopStats
from rfx.errors import ConfigError, DTypeError
from rfx.go2.backends.links import open_link
from rfx.go2.client import Go2
from rfx.go2.command_source import CommandSource
from rfx.go2.config import Go2Config
from rfx.go2.limits import SafetyLimits
from rfx.go2.policy_feeds import Driver, Feeder, TickLog
from rfx.go2.policy_run import PolicyRun
from rfx.go2.policy_side import PolicySide
from rfx.go2.policy_tick import PolicyTick
from rfx.go2.record_ring import RecordRing
from rfx.go2.velocity_watch import VelocityWatch
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract_check import check_policy
from rfx.nn.contract_diagnosis import TOLERANCE, far
from rfx.nn.contract_side import replay
from rfx.sim.odometry import VelocityEstimator

LOCKSTEP_PATIENCE_S = 60.0  # a simulation may be held up by a slow machine for long
WATCH_S = 0.1
REPORT_EVERY = 50  # in lockstep: ticks between two looks for what the log should tell
DAMPING_KINDS = ("command", "overspeed", "temperature", "lost", "measured", "tilt", "stale")


def checked_side(policy_dir: str | os.PathLike[str], robot: Any = None, base_lin_vel: bool = False) -> PolicySide:
    """Return the compiled side of a policy file after everything that can be checked without a robot.

    Parameters
    ----------
    policy_dir : path
    robot : optional
        What the robot's side is configured with; every difference to the contract is refused. See
        :func:`rfx.nn.contract_check.read_robot`.
    base_lin_vel : bool
        Whether there is somebody who estimates the base's velocity.

    Raises
    ------
    ConfigError
        The check finds something, the compiled side does not reproduce the golden pairs, or the layout needs a velocity that
        nobody estimates. The text names what.
    """
    report = check_policy(policy_dir, robot, mistakes=False)
    failed = [f"{f.name}: {f.detail}" for f in report.findings if f.status == "fail"]
    if failed:
        raise ConfigError(f"{policy_dir} is not run: {'; '.join(failed)}")
    policy = CompiledPolicy.load(policy_dir)
    side = PolicySide(policy)
    if side.needs_lin_vel and not base_lin_vel:
        raise ConfigError(
            f"{policy_dir} is not run: its layout {side.contract.layout.name} has base_lin_vel, which a robot under "
            "low-level control does not measure: base_lin_vel='estimate' (rfx robot run --estimate-velocity) estimates it "
            "from joints, IMU and foot forces, base_lin_vel= also takes a callable of yours"
        )
    golden = side.contract.golden
    seen = replay(policy, side, golden.readings, golden.actions)
    for what, got in zip(("observations", "actions", "targets"), seen, strict=True):
        if far(got, getattr(golden, what)) > TOLERANCE:
            raise ConfigError(f"{policy_dir} is not run: the compiled tick does not reproduce its golden {what}")
    side.reset()
    return side


def run_policy(
    policy_dir: str | os.PathLike[str],
    commands: ArrayLike | str | Callable[[float], Any] = (0.0, 0.0, 0.0),
    config: Go2Config | None = None,
    *,
    go2: Go2 | None = None,
    seconds: float | None = None,
    finish: str = "lie",
    robot: Any = None,
    limits: SafetyLimits | None = None,
    log: str | os.PathLike[str] | None = None,
    base_lin_vel: str | VelocityEstimator | Callable[[], Any] | None = None,
    deadman_s: float = 0.5,
    ramp_s: float = 2.0,
    settle_s: float = 0.5,
    lie_s: float = 2.0,
    damp_s: float = 0.5,
    native: bool | None = None,
    priority: int | None = None,
    lock_memory: bool = False,
    affinity: Iterable[int] | None = None,
) -> PolicyRun:
    """Run a policy on a robot, real or simulated, and return what happened.

    The robot stands up from its measured posture into the policy's default pose, the policy acts at its own rate while
    targets go out at the contract's control rate, then the robot lies down. Each tick is compiled and runs in a thread of
    its own without the GIL; it goes through a safety envelope. Any fault, and ``go2.emergency_stop()``, ends in damping.
    Ctrl+C ends the run as if the time were over, a second one brings damping at once and is raised.

    Parameters
    ----------
    policy_dir : path
        A policy file with a contract and golden pairs (``Policy.save``, ``write_contract``).
    commands : array_like (3,) or (n, 4), "sticks", or callable
        Forward, left (m/s) and yaw (rad/s) for good; rows of seconds since the policy's start and the three; the robot's
        hand controller; or ``f(seconds) -> (vx, vy, vyaw) or None``, called in a thread at the policy's rate (in lockstep
        between two ticks). Where it gives None or hangs for ``deadman_s``, the command is zero; what it raises ends the run
        and is raised after it. Always kept within the contract's ranges.
    config : Go2Config, optional
        How to reach the robot; not with ``go2``.
    go2 : Go2, optional
        A robot that is connected already; it stays so. ``go2.safety`` shows what the envelope does, while the policy runs and
        after it; a reason that holds then goes on holding.
    seconds : float, optional
        How long the policy acts; without, until it is stopped.
    finish : {"lie", "damp"}
        What follows.
    robot : optional
        What you believe the robot's side is (a layout's name, a contract, a policy file): refused where the policy expects
        something else.
    limits : SafetyLimits, optional
        Of the envelope; by default those of the configuration.
    log : path, optional
        A flight log: raw states and commands, and each step of the policy as ``rfx/policy_step``.
    base_lin_vel : "estimate", VelocityEstimator, or callable, optional
        Who says the base's velocity in its own frame (m/s), for layouts that have it. ``"estimate"``, or an estimator with
        thresholds of your own: it runs inside of the tick at every state, from joints, IMU and foot forces; the run ends where
        no leg can be trusted for ``deadman_s``. A callable returns it (3,) and is asked like ``commands``.
    deadman_s, ramp_s, settle_s, lie_s, damp_s : float
        See :class:`rfx.go2.policy_tick.PolicyTick`.
    native : bool, optional
        See :func:`rfx.go2.backends.links.open_link`.
    priority, lock_memory, affinity
        See :class:`rfx.control.ControlLoop`.

    Returns
    -------
    PolicyRun

    Raises
    ------
    ConfigError
        The policy does not fit; nothing was sent to the robot then.
    RfxTimeoutError, RfxConnectionError, HardwareError
        There is no robot, or somebody else commands it.

    Examples
    --------
    >>> from rfx.go2 import Go2Config, run_policy
    >>> run = run_policy("walker", (0.4, 0.0, 0.0), Go2Config.loopback(), seconds=5.0)  # doctest: +SKIP
    >>> print(run.summary())  # doctest: +SKIP
    """
    if go2 is not None and config is not None:
        raise ConfigError("expected a config or a connected go2, got both")
    teller, watch = _velocity_source(base_lin_vel, deadman_s)
    side = checked_side(policy_dir, robot, base_lin_vel is not None)
    commander = commands if callable(commands) else None
    given: Any = "hand" if commander is not None else commands
    source = CommandSource(side.contract, given, deadman_s=deadman_s)
    with contextlib.ExitStack() as stack:
        if go2 is None:
            go2 = stack.enter_context(Go2.connect(config))
        if not go2.config.edu_mode:
            raise ConfigError("expected edu_mode for low-level commands, the configuration says edu_mode=False")
        go2.stop_sending()
        stack.enter_context(go2._motors.motion())  # a stop from here on keeps the policy from driving
        go2.take_low_level()
        envelope = go2.safety.beside(limits)
        link = open_link(go2.backend, native)
        stack.callback(link.close)
        ring = None if log is None else RecordRing()
        tick = PolicyTick(
            side,
            link,
            envelope,
            source,
            ring=ring,
            velocity=watch,
            lockstep=go2.config.lockstep,
            seconds=seconds,
            finish=finish,
            ramp_s=ramp_s,
            settle_s=settle_s,
            lie_s=lie_s,
            damp_s=damp_s,
            patience_s=LOCKSTEP_PATIENCE_S if go2.config.lockstep else max(1.0, go2.config.stale_after_s),
        )
        record = None
        if ring is not None and log is not None:
            about = {"policy": str(policy_dir), "layout": side.contract.layout.name, "link": link.kind}
            record = stack.enter_context(TickLog(log, ring, side.obs_dim, about))
        feeder = Feeder(tick, commander, teller)
        stack.callback(feeder.stop)
        stack.enter_context(Driver(go2, tick))
        loop = None
        if go2.config.lockstep:
            _run_lockstep(tick, feeder)
        else:
            feeder.start(1.0 / side.contract.layout.rate_hz)
            paced = ControlLoop(
                side.contract.control_rate_hz,
                tick.tick,
                name="policy",
                priority=priority,
                lock_memory=lock_memory,
                affinity=affinity,
            )
            loop = _run_real_time(tick, paced)
        envelope.report(final=True)
    if feeder.error is not None:
        raise feeder.error
    counts = tick.counts
    if record is not None:
        counts["dropped_records"] += record.log.counts.dropped.total()
    return PolicyRun(
        policy=str(policy_dir),
        layout=side.contract.layout.name,
        ended=tick.ended,
        detail=_detail(tick),
        seconds=tick.policy_s,
        policy_steps=tick.policy_steps,
        ticks=counts["ticks"],
        link=link.kind,
        link_reason=link.reason,
        stages=tick.histograms,
        counts=counts,
        envelope=envelope.counts,
        loop=loop,
        log=None if log is None else Path(log),
    )


def _velocity_source(given: Any, patience_s: float) -> tuple[Callable[[], Any] | None, VelocityWatch | None]:
    """Return who is asked for the base's velocity, or what estimates it."""
    if given is None:
        return None, None
    if isinstance(given, str):
        if given != "estimate":
            raise ConfigError(f"expected base_lin_vel to be 'estimate', an estimator or a callable, got {given!r}")
        given = VelocityEstimator()
    if isinstance(given, VelocityEstimator):
        return None, VelocityWatch(given, patience_s=patience_s)
    if not callable(given):
        raise DTypeError(
            f"expected base_lin_vel to be 'estimate', an estimator or a callable, got {type(given).__name__}"
        )
    return given, None


def _run_lockstep(tick: PolicyTick, feeder: Feeder) -> None:
    """Answer state by state; what callables say is asked for between two ticks, so that the run can be repeated."""
    asked = False
    for n in itertools.count():
        try:
            feeder.ask()
            if not tick.step():
                return
            if n % REPORT_EVERY == 0:
                tick.envelope.report()
        except KeyboardInterrupt:
            if asked:
                _brake(tick)
                raise
            asked = True
            tick.finish()


def _brake(tick: PolicyTick) -> None:
    tick.damp()
    while tick.step():
        pass


def _run_real_time(tick: PolicyTick, loop: ControlLoop) -> ControlLoopStats:
    """Wait for the loop's thread, and let Ctrl+C through as a wish to end."""
    handle = loop.spawn()
    asked = False
    try:
        while handle.is_running():
            try:
                threading.Event().wait(WATCH_S)
                tick.envelope.report()
            except KeyboardInterrupt:
                if asked:
                    raise
                asked = True
                tick.finish()
        return handle.join()
    except BaseException:
        tick.damp()
        handle.join()
        raise


def _detail(tick: PolicyTick) -> str:
    """Say what the envelope or the link met, where one of them ended the run."""
    if tick.ended == "the safety envelope":
        events = [e for e in tick.envelope.events if e.what in DAMPING_KINDS]
        told = [f"{e.what} of {e.joint}{'' if math.isnan(e.asked) else f', {e.asked:.3g}'}" for e in events]
        return "; ".join(dict.fromkeys(told))
    watch = tick.velocity
    if watch is not None and tick.ended.startswith("no leg was trusted"):
        return f"for {watch.blind_s:.2f} s; the last foot forces were {', '.join(f'{f:g}' for f in watch.foot_force)}"
    error = getattr(tick.link, "error", None)
    if tick.ended == "the link failed" and error is not None:
        return str(error)
    return tick.last_refusal if tick.ended == "no state came any more" else ""
