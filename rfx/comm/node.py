"""A robot on a transport: its state goes out at a rate, commands come in and are kept safe."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from rfx import arrays
from rfx.comm.commander import Commander, Order
from rfx.comm.discovery import Announcement, Discovery
from rfx.comm.node_end import close_all, running
from rfx.comm.node_messages import NODE_KIND, NodeState, command_of, shortened, text_of
from rfx.comm.node_robot import STATUS, STOP, Effect, NodeRobot, checked_robot, kind_of, robot_of
from rfx.comm.parameters import node_key
from rfx.comm.qos import QoS
from rfx.comm.service import Service, current_request
from rfx.comm.subscription import TransportSubscription
from rfx.comm.transport import Transport
from rfx.comm.values import pack_value, unpack_value
from rfx.control import ControlLoop, ControlLoopStats
from rfx.errors import CodecError, InvalidStateError, RfxError, RfxTimeoutError

log = logging.getLogger("rfx.node")

BEAT_S = 1.0  # between two status messages, where nothing happens
PATIENCE_S = 10.0
HUNG_S = 1.0  # a state that takes longer than this is no state
TOLD = QoS("best_effort", 64, "drop", "data_high")  # who does not listen does not hold up the dead man
STOP_S = 5.0  # for how long stop() waits for a state that does not come


class RobotNode:
    """Publish a robot's state, and give it the commands that come, until stopped.

    It announces itself (:class:`Discovery`, kind "robot"). Under ``<prefix>/<name>`` (:mod:`rfx.comm.values` in each):

    ``state``
        What ``robot.state()`` returned, at the rate.
    ``command``
        Subscribed: ``{"command": str, "arguments": {...}}``. Nobody waits for these; what is refused shows in ``events``.
    ``call``, ``stop``
        Services for the same, with an answer; ``stop`` does nothing else and waits for no other call.
    ``events``
        ``{"event": str, "time_ns": int, ...}``: started, stopped, failed, refused, dead_man, stop_failed, failing, recovered.
    ``status``
        Every second, with each event, and for a command ``status``: see :meth:`status`.

    Parameters
    ----------
    transport : Transport
        Stays open when the node stops.
    robot : NodeRobot or callable
        A robot, or a function or class that makes one; what the node has made it closes. See :class:`NodeRobot`.
    name : str
        One chunk of a key; there is to be one node of a name.
    rate_hz : float
        How often the state is published: deadlines are absolute, so the rate does not drift. 0.1 to 1000.
    command_timeout_s : float
        The dead man: a robot that moves is stopped when so long no command came that moves it. 0.05 to 60.
    patience_s : float
        A robot that gives no state for so long makes the node end in ``failed``.
    prefix : str

    Examples
    --------
    >>> class Cart:
    ...     commands = {"drive": "moves"}
    ...     speed = 0.0
    ...     def state(self): return {"speed": self.speed}
    ...     def command(self, name, arguments): self.speed = float(arguments["speed"])
    ...     def stop(self): self.speed = 0.0
    >>> from rfx.comm import RobotClient, Transport
    >>> transport = Transport()
    >>> with RobotNode(transport, Cart(), "cart"), RobotClient(transport, "cart") as cart:
    ...     cart.call("drive", speed=0.5)
    ...     cart.state()["speed"]
    0.5
    """

    def __init__(
        self,
        transport: Transport,
        robot: NodeRobot | Callable[[], NodeRobot],
        name: str = "robot",
        *,
        rate_hz: float = 50.0,
        command_timeout_s: float = 0.5,
        patience_s: float = PATIENCE_S,
        prefix: str = "rfx",
    ) -> None:
        self._make, self._owned = robot_of(robot)
        self.name, self.prefix = name, prefix
        self._key = node_key(prefix, name)
        self.rate_hz = arrays.number(rate_hz, "rate_hz", minimum=0.1, maximum=1000.0)
        self.command_timeout_s = arrays.number(command_timeout_s, "command_timeout_s", minimum=0.05, maximum=60.0)
        self.patience_s = arrays.number(patience_s, "patience_s", above=0.0)
        self._transport = transport
        self._control = threading.RLock()  # start and stop, one at a time
        self._lock = threading.Lock()
        self._state = NodeState.Created
        self._error: BaseException | None = None  # why there is no state, or why it ended
        self._fatal: BaseException | None = None
        self._counts = dict.fromkeys(("states", "state_errors", "refused_messages", "starts"), 0)
        self._robot: Any = None
        self._commander: Commander | None = None
        self._commands: TransportSubscription | None = None
        self._services: list[Service] = []
        self._announced: Announcement | None = None
        self._loop: ControlLoop | None = None
        self._main: threading.Thread | None = None
        self._last_state_s = self._last_beat_s = 0.0
        self._ended = threading.Event()  # set while nothing runs
        self._ended.set()
        self._held = False  # whether there is something to let go
        self._starting = self._stopping = False  # a loop forgets a stop that comes before it has begun; a tick does not

    # -- life

    def start(self) -> "RobotNode":
        """Make the robot, if it is to be made, and begin; raises what that raises. On a node that runs it does nothing."""
        with self._control:
            if not self._ended.is_set():
                return self
            self._starting, self._stopping = True, False
            try:
                self._begin(checked_robot(self._make()))
            except BaseException:
                self._stopping = True  # for the thread, where it came to be
                self._let_go()
                raise
            finally:
                self._starting = False
        self._tell("started")
        return self

    def _begin(self, robot: Any) -> None:
        self._robot, self._error, self._fatal, self._held = robot, None, None, True
        self._services, self._commands, self._commander, self._announced = [], None, None, None
        self._commander = Commander(robot, self.command_timeout_s, self._tell)
        self._commands = self._transport.subscribe(f"{self._key}/command", capacity=256)
        self._services = [
            Service(self._transport, f"{self._key}/call", self._answer, workers=8),
            Service(self._transport, f"{self._key}/stop", self._answer_stop, workers=2),
        ]
        with Discovery(self._transport) as discovery:
            self._announced = discovery.announce(self.name, NODE_KIND, {"prefix": self.prefix, "robot": kind_of(robot)})
        self._last_state_s = time.monotonic()
        self._loop = ControlLoop(self.rate_hz, self._tick, name=f"rfx node {self.name}", spin_s=0.0)
        listening = threading.Thread(target=self._listen, args=(self._commands, self._commander), daemon=True)
        self._main = threading.Thread(target=self._run, args=(self._loop,), name=f"rfx node {self.name}", daemon=True)
        listening.start()
        with self._lock:
            self._state = NodeState.Running
            self._counts["starts"] += 1
        self._ended.clear()
        running.add(self)
        try:
            self._main.start()
        except RuntimeError as error:  # no more threads; whatever else is raised, there is one
            self._fail(error)
            self._end()
            raise

    def _run(self, loop: ControlLoop) -> None:
        try:
            loop.run()
        except BaseException as error:
            self._fail(error)
        try:
            self._let_go()
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._state = NodeState.Stopped if self._fatal is None else NodeState.Failed
        try:
            self._tell(str(self._state), error=self._fatal)
        finally:
            self._ended.set()
            running.discard(self)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._fatal = self._error = self._fatal or error

    def _let_go(self) -> None:
        """Stop the robot first, end the threads, close what was made. A second time does nothing."""
        with self._lock:
            held, self._held = self._held, False
        made = [self._commander, self._announced, *self._services, self._commands, self._robot if self._owned else None]
        close_all(made if held else (), self._fail)

    def stop(self) -> None:
        """End: a robot that was moved is stopped, one that the node made is closed. A second time does nothing.

        RfxTimeoutError where ``robot.state()`` does not return; the robot is stopped and closed then all the same.
        """
        with self._control:
            self._stopping = True
            if self._starting or self._ended.is_set() or self._loop is None:
                return  # starting: a signal handler asks, in the thread that starts
            if self._commander is not None:
                self._commander.close()  # first of all the robot stops
            self._loop.stop()
            if threading.current_thread() is self._main or self._ended.wait(STOP_S):
                return
            self._let_go()
        raise RfxTimeoutError(f"expected state() of the robot to return within {STOP_S:g} s, node {self.name} waits")

    def restart(self) -> None:
        """Stop, and start again; a robot that the node made is made anew. Not from the robot's own ``state()``."""
        if threading.current_thread() is self._main:
            raise InvalidStateError(f"expected restart() of {self.name} from elsewhere than state() of its robot")
        with self._control:
            self.stop()
            self.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended. Raises what made it end, RfxTimeoutError when it still runs after ``timeout`` seconds."""
        left = float("inf") if timeout is None else arrays.number(timeout, "timeout", minimum=0.0)
        while not self._ended.wait(min(left, 0.1)):  # a signal that comes just before it does not end it
            if (left := left - 0.1) <= 0.0:
                raise RfxTimeoutError(f"expected node {self.name} to end within {timeout:g} s, it is {self._state}")
        if self._fatal is not None:
            raise self._fatal

    # -- what goes out

    def _tick(self, iteration: int, dt: float) -> bool:
        if self._stopping:
            return False
        try:
            payload = pack_value(dict(self._robot.state()))
            self._transport.publish(f"{self._key}/state", payload, qos=QoS.SENSOR)
        except Exception as error:
            return self._missed(error)
        now = time.monotonic()
        with self._lock:
            self._counts["states"] += 1
            self._last_state_s = now
            recovered = self._state == NodeState.Failing
            if recovered:
                self._state, self._error = NodeState.Running, None
        if recovered:
            self._tell("recovered")
        return True

    def _missed(self, error: Exception) -> bool:
        """Remember that there was no state; whether to go on."""
        now = time.monotonic()
        with self._lock:
            self._counts["state_errors"] += 1
            first, self._state = self._state != NodeState.Failing, NodeState.Failing
            over = now - self._last_state_s > self.patience_s or self._transport.closed
            self._error = error
        if over:
            self._fail(error)
        elif first:
            self._tell("failing", error=error)
        return not over

    def _tell(self, event: str, **about: Any) -> None:
        """Publish an event, and the status after it."""
        error = about.pop("error", None)
        message: dict[str, Any] = {"event": event, "time_ns": time.time_ns()}
        if error is not None:
            message["error"] = text_of(error)
            log.warning("node %s: %s: %s", self.name, event, message["error"])
        for name, value in about.items():
            message[name] = value if isinstance(value, str) else shortened(value)
        self._send("events", message)
        self._beat()

    def _beat(self) -> None:
        self._last_beat_s = time.monotonic()
        self._send("status", self.status())

    def _send(self, key: str, value: dict[str, Any]) -> None:
        with contextlib.suppress(RfxError):  # the transport is closed, or its link down: status() still says all
            self._transport.publish(f"{self._key}/{key}", pack_value(value), qos=TOLD)

    # -- what comes in

    def _listen(self, commands: TransportSubscription, commander: Commander) -> None:
        while True:
            try:
                envelope = commands.recv_timeout(max(0.01, self._last_beat_s + BEAT_S - time.monotonic()))
            except InvalidStateError:
                return
            if envelope is not None:
                self._obey(commander, envelope.payload)
            if time.monotonic() - self._last_beat_s >= BEAT_S:
                self._beat()

    def _obey(self, commander: Commander, payload: Any) -> None:
        about: Any = None
        try:
            about = unpack_value(payload)
            name, arguments = command_of(about)
            if name == STATUS:
                self._beat()
                return
            order = commander.order(name, arguments)
            error = order.error if order.effect == Effect.Stops else None
        except RfxError as refusal:
            error = refusal
            if isinstance(refusal, CodecError):
                with self._lock:
                    self._counts["refused_messages"] += 1
        if error is not None:
            self._tell("refused", command=about.get("command") if isinstance(about, dict) else None, error=error)

    def _answer(self, asked: Any) -> Any:
        commander = self._commander
        name, arguments = command_of(asked)
        request = current_request()
        if commander is None:
            raise InvalidStateError("expected a node that runs, got one that has stopped")
        order: Order = commander.order(name, arguments, request.id)
        while not order.done.wait(0.1):
            if request.cancelled and commander.withdraw(order):
                break
        if order.error is not None:
            raise order.error
        return order.value

    def _answer_stop(self, asked: Any) -> None:
        commander = self._commander
        if commander is not None:
            order = commander.order(STOP, {})
            if order.error is not None:
                raise order.error

    @property
    def state(self) -> NodeState:
        """How it is."""
        return self._state

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return not self._ended.is_set()

    @property
    def error(self) -> BaseException | None:
        """The last error by which there was no state, or by which the node ended; None after each start."""
        return self._error

    @property
    def robot(self) -> Any:
        """The robot it holds, or held last; None before the first start."""
        return self._robot

    @property
    def loop_stats(self) -> ControlLoopStats | None:
        """How evenly the state was published; None before the first start."""
        return None if self._loop is None else self._loop.stats()

    def status(self) -> dict[str, Any]:
        """Return what the node says of itself.

        Returns
        -------
        dict
            ``name``, ``robot`` (what kind), ``state``, ``error`` (text or None), ``rate_hz``, ``command_timeout_s``,
            ``commands`` (names, where the robot says them), ``moving``, ``state_age_s`` (since the newest state, or
            since the start), ``counts``.
        """
        commander, robot, commands = self._commander, self._robot, self._commands
        with self._lock:
            counts = dict(self._counts)
            age = time.monotonic() - self._last_state_s
            state, error = self._state, self._error
        counts["dropped_messages"] = 0 if commands is None else commands.dropped
        if state == NodeState.Running and age > HUNG_S + 1 / self.rate_hz:
            state, error = NodeState.Failing, RfxTimeoutError(f"state() of the robot has not returned for {age:.1f} s")
        return {
            "name": self.name,
            "robot": "" if robot is None else kind_of(robot),
            "state": str(state),
            "error": None if error is None else text_of(error),
            "rate_hz": self.rate_hz,
            "command_timeout_s": self.command_timeout_s,
            "commands": [] if commander is None else commander.commands,
            "moving": commander is not None and commander.moving,
            "state_age_s": age,
            "counts": {**counts, **({} if commander is None else commander.counts)},
        }

    def __enter__(self) -> "RobotNode":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"RobotNode({self._key!r}, {self._state}, rate_hz={self.rate_hz:g})"
