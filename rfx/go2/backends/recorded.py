"""A flight log in the place of a robot: its states come one by one, and what is commanded goes nowhere."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rfx.errors import CodecError, InvalidStateError
from rfx.go2 import topics
from rfx.go2.backends.base import StageTimes, StateDecoder
from rfx.go2.mcap_reader import McapReader
from rfx.go2.messages import LowCmd, LowState, Request, Response, SportModeState


class RecordedReceiver(StateDecoder):
    """The states of a log. Time goes on only in :meth:`recv`: each call is the next state, however long it takes."""

    def __init__(self, backend: "RecordedBackend") -> None:
        super().__init__()
        self._backend = backend

    def __repr__(self) -> str:
        return f"RecordedReceiver({self._backend!r}, refused={self.refused})"

    def recv(self, timeout_s: float) -> LowState | None:
        """Return the next valid state at once; None when the log is over."""
        with self._backend._lock:
            return self._backend._advance(self)

    def latest(self) -> None:
        """Nothing comes by itself."""
        return


class RecordedBackend:
    """A link to what was recorded; see :class:`rfx.go2.backends.base.DdsBackend`.

    Parameters
    ----------
    log : str, os.PathLike or bytes
        A flight log.
    sent : callable, optional
        Gets each command (or request) that is sent, as CDR bytes behind its topic.

    Raises
    ------
    CodecError
        It is no MCAP file.
    ConfigError
        It cannot be opened.

    Examples
    --------
    >>> from rfx.go2 import Go2, Go2Config
    >>> go2 = Go2(Go2Config(), RecordedBackend("flight.mcap"))  # doctest: +SKIP
    >>> while go2.wait_state(0.0):  # doctest: +SKIP
    ...     print(go2.low_state().tick)
    """

    def __init__(
        self, log: str | os.PathLike[str] | bytes, sent: Callable[[str, bytes], object] = lambda topic, data: None
    ) -> None:
        self.times = StageTimes()
        self.time_ns = 0
        self.over = False
        self._sent = sent
        self._reader = McapReader(log)
        self._messages = self._reader.messages([topics.LOW_STATE, topics.SPORT_MODE_STATE])
        self._sport: deque[SportModeState] = deque(maxlen=1)
        self._receiver = RecordedReceiver(self)
        self._closed = False
        self._lock = threading.RLock()  # over the log, which has one place where it is read

    def __repr__(self) -> str:
        state = "closed" if self._closed else "over" if self.over else f"at {self.time_ns / 1e9:.3f} s"
        return f"RecordedBackend({self._reader!r}, {state})"

    def _advance(self, receiver: RecordedReceiver) -> LowState | None:
        if self._closed:
            raise InvalidStateError(f"{self!r} cannot be used any more")
        began = time.perf_counter_ns()
        for message in self._messages:
            self.time_ns = message.time_ns
            if message.topic == topics.SPORT_MODE_STATE:
                try:
                    self._sport.append(SportModeState.from_cdr(message.data))
                except CodecError as error:
                    receiver.refuse(error)
                continue
            state = receiver.decode(message.data)
            if state is None:
                continue
            self.times.add("take", time.perf_counter_ns() - began)
            return state
        self.over = True
        return None

    def publish_low_cmd(self, cmd: LowCmd) -> None:
        """Give a command to ``sent``; its checksum is computed and stored."""
        self._publish(topics.LOW_CMD, cmd)

    def publish_request(self, service: str, request: Request) -> None:
        """Give a request to a service of the robot to ``sent``; nobody answers it."""
        self._publish(f"rt/api/{service}/request", request)

    def responses(self, service: str, timeout_s: float) -> list[Response]:
        """Nobody answers."""
        return []

    def serves(self, service: str) -> bool:
        """Nobody serves."""
        return False

    def other_commanders(self) -> list[str]:
        """Nobody else commands a recording."""
        return []

    def _publish(self, topic: str, message: Any) -> None:
        if self._closed:
            raise InvalidStateError(f"{self!r} cannot be used any more")
        self._sent(topic, message.to_cdr())

    def subscribe_state(self) -> RecordedReceiver:
        """Return the receiver of low-level states; there is one."""
        return self._receiver

    def sport_state(self) -> SportModeState | None:
        """Return the newest sport state recorded before the present state, if it was not returned yet."""
        with self._lock:
            return self._sport.pop() if self._sport else None

    def is_connected(self) -> bool:
        """Whether there may be further states."""
        return not (self.over or self._closed)

    def disconnect(self) -> None:
        """Close the log; calling it again does nothing."""
        with self._lock:
            self._closed = True
            self._reader.close()
