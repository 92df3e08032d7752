"""What has to be said to the robot again and again: the velocity while it walks, the lease while it is held."""

import json
import logging
import threading
import time
from collections.abc import Callable

from rfx.errors import HardwareError, InvalidStateError, RfxError
from rfx.go2 import topics
from rfx.go2.order import Order
from rfx.go2.rpc_client import RpcClient, RpcError
from rfx.go2.topics import ServiceApi, SportApi

log = logging.getLogger("rfx.go2")

Velocity = tuple[float, float, float]
STOPS = 3  # how often a stop is sent that nobody waits for
LEASE_SHARE = 0.3  # of its term, after which a lease is renewed


def move_parameter(velocity: Velocity) -> str:
    """Return the JSON of a Move."""
    return json.dumps(dict(zip("xyz", velocity, strict=True)))


class Keeper:
    """A thread that lives only while there is something to keep up.

    The velocity is sent ``rate_hz`` times a second until its time is over, the link is lost, the main thread has ended, or
    :meth:`rest` is called. When its time is over nobody has said anything for too long: the robot is told to stop.

    Attributes
    ----------
    sent : int
        Moves that were sent.
    dead_man_stops : int
        How often it stopped the robot because the caller fell silent.
    """

    def __init__(self, rpc: RpcClient, rate_hz: float, fresh: Callable[[], bool], order: Order) -> None:
        self._rpc, self._period_s, self._fresh = rpc, 1.0 / rate_hz, fresh
        self._lock = order.lock  # so that a Move and a stop leave one after the other
        self._change = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._velocity: Velocity | None = None
        self._until_s = 0.0
        self._lease_due_s: float | None = None
        self._lease_term_s = 1.0
        self._closed = False
        self.sent = 0
        self.dead_man_stops = 0
        self.why_stopped = ""

    def __repr__(self) -> str:
        return f"Keeper(velocity={self._velocity}, sent={self.sent}, dead_man_stops={self.dead_man_stops})"

    @property
    def velocity(self) -> Velocity | None:
        """What is sent now; None when nothing is."""
        with self._lock:
            return self._velocity

    def walk(self, velocity: Velocity, hold_s: float, check: Callable[[], None]) -> None:
        """Send this velocity from now on, for so long unless it is called again; not where ``check`` raises."""
        with self._change:
            self._velocity, self._until_s, self.why_stopped = velocity, time.monotonic() + hold_s, ""
            try:
                self._wake()
                check()  # last, as a signal handler may have stopped meanwhile
            except Exception:
                self._velocity = None
                raise

    def rest(self) -> None:
        """Send no velocity any more; when it returns none is under way."""
        with self._change:
            self._velocity = None

    def take_lease(self, name: str, timeout_s: float) -> int:
        """Apply for the lease and keep it renewed; returns its id. RpcError 3207 while somebody else holds it."""
        data = self._rpc.call(topics.SPORT_LEASE, ServiceApi.LEASE_APPLY, json.dumps({"name": name}), timeout_s)
        try:
            given = json.loads(data)
            lease_id, term_s = int(given["id"]), float(given["term"]) / 1e6
        except (ValueError, KeyError, TypeError) as error:
            code = topics.RpcCode.DATA
            raise RpcError(topics.SPORT_LEASE, ServiceApi.LEASE_APPLY, code, data) from error
        with self._change:
            self._rpc.lease_id = lease_id
            self._lease_term_s = max(term_s, 0.1)
            self._wake()
            self._lease_due_s = time.monotonic() + LEASE_SHARE * self._lease_term_s
        return lease_id

    def drop_lease(self) -> None:
        """Renew the lease no more; the robot forgets it when its term is over."""
        with self._change:
            self._lease_due_s = None
            self._rpc.lease_id = 0

    def close(self) -> None:
        """End the thread; a robot that walks is told to stop first."""
        with self._change:
            walking, self._velocity, self._lease_due_s, self._closed = self._velocity is not None, None, None, True
            self._change.notify()
            thread = self._thread
        failed = self._stop_unheard() if walking else ""
        if failed:
            log.warning("the robot is let go%s", failed)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # -- the thread

    def _wake(self) -> None:
        if self._closed:
            raise InvalidStateError("this Go2 is disconnected; connect again")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rfx go2 keeper", daemon=False)
            try:
                self._thread.start()
            except Exception as error:  # the system has no more of them, or the interpreter ends
                self._thread = None
                self._stop_unheard()
                raise HardwareError(f"no thread can keep it up, so the robot was told to stop: {error}") from error
        self._change.notify()

    def _run(self) -> None:
        while True:
            with self._change:
                if self._closed or (self._velocity is None and self._lease_due_s is None):
                    self._thread = None
                    return
            try:
                self._renew()
                reason = self._move()
            except Exception as error:  # whatever it is, a robot is not left walking
                with self._change:
                    reason = self._give_up(str(error) or type(error).__name__)
            if reason:
                log.warning("the robot is told to stop: %s", reason)
            with self._change:
                if self._velocity is not None or self._lease_due_s is not None:
                    self._change.wait(self._period_s)

    def _move(self) -> str:
        """Send the velocity, or stop; why it stopped."""
        ended = not threading.main_thread().is_alive()
        reason = "the program has ended" if ended else "" if self._fresh() else "no state comes from the robot any more"
        with self._change:  # held while sending, so that nothing is sent after rest() has returned
            if self._velocity is None:
                if ended:
                    self._lease_due_s = None
                return ""
            if not reason and time.monotonic() > self._until_s:
                reason = "walk() was not called again in time"
                self.dead_man_stops += 1
            if reason:
                return self._give_up(reason)
            self._rpc.send(topics.SPORT, SportApi.MOVE, move_parameter(self._velocity))
            self.sent += 1
            return ""

    def _give_up(self, reason: str) -> str:
        """With the lock held, so that it is not a newer walk() that is stopped; the reason, where it walked."""
        walking, self._velocity = self._velocity is not None, None
        if not threading.main_thread().is_alive():
            self._lease_due_s = None
        if not walking:
            return ""
        self.why_stopped = reason
        return reason + self._stop_unheard()

    def _stop_unheard(self) -> str:
        """Tell the robot to stop; what failed, for a log that is written without the lock."""
        failed = ""
        for _ in range(STOPS):
            try:
                self._rpc.send(topics.SPORT, SportApi.STOP_MOVE)
            except Exception as error:
                failed = f" (stopping failed: {error})"
        return failed

    def _renew(self) -> None:
        with self._lock:
            due, term = self._lease_due_s, self._lease_term_s
        if due is None or time.monotonic() < due:
            return
        try:
            self._rpc.call(topics.SPORT_LEASE, ServiceApi.LEASE_RENEWAL, "{}", term)
        except RfxError as error:
            with self._lock:
                if self._lease_due_s != due:  # dropped meanwhile, or another one was taken
                    return
                self.drop_lease()
            log.warning("the lease is lost: %s", error)
            return
        with self._lock:
            if self._lease_due_s == due:
                self._lease_due_s = time.monotonic() + LEASE_SHARE * term
