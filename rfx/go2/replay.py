"""A recorded run once more: its states to whoever listens, or into a controller whose commands must be the same again."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, RfxConnectionError
from rfx.go2 import topics
from rfx.go2.flight_log import message_of
from rfx.go2.mcap_reader import LogMessage, McapReader
from rfx.go2.messages import LowCmd, LowState

Source = str | os.PathLike[str] | bytes
STATES = (topics.LOW_STATE, topics.SPORT_MODE_STATE, topics.WIRELESS_CONTROLLER)
LOOK_S = 0.5  # how long somebody else who publishes states is looked for
SLICE_S = 0.1
MOST_DIFFERENCES = 20
AROUND_NS = 1_000_000_000  # how long after its command a state may stand in a log
MOST_NEAR = 4096  # states that are kept to be found by their tick


@dataclass(frozen=True)
class Difference:
    """A command that came out otherwise: which one, the tick it answers, and the fields that differ."""

    command: int
    tick: int
    fields: tuple[str, ...]


@dataclass
class CommandReplay:
    """What :func:`replay_commands` found.

    ``compared`` commands were made again, ``equal`` of them bit for bit; ``differences`` names the first that were not.
    ``stateless`` commands came before any state, ``repeated`` ones were sent a second time for the same state, ``after``
    counts what was recorded after the controller had ended (the damping of a disconnect).
    """

    compared: int = 0
    equal: int = 0
    stateless: int = 0
    repeated: int = 0
    after: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        """Whether there was something to compare, and all of it was equal."""
        return 0 < self.compared == self.equal


def replay_commands(log: Source, controller: Callable[[LowState], LowCmd | None]) -> CommandReplay:
    """Give a controller the states of a recorded run, and compare each of its commands with the recorded one.

    A command's state is the one whose tick it carries in ``reserve`` (lockstep); where there is none, the state that
    was recorded last before it. The controller is called once for each recorded command.

    Parameters
    ----------
    log : str, os.PathLike or bytes
        A flight log.
    controller : callable
        Gets a state, returns a command; None ends the comparison. ``reserve`` is filled in as the link does it.

    Returns
    -------
    CommandReplay
        Truth is in ``identical``.

    Raises
    ------
    CodecError
        The log is none, or holds a state or a command that cannot be decoded.
    DTypeError
        The controller returned something else than a command.
    """
    result = CommandReplay()
    ended = False
    last: tuple[int, bytes] | None = None
    for state, data in _pairs(log, result):
        if last == (state.tick, data):
            result.repeated += 1
            continue
        last = (state.tick, data)
        made = None if ended else controller(state)
        if made is None:
            ended = True
            result.after += 1
            continue
        if not isinstance(made, LowCmd):
            raise DTypeError(f"expected the controller to return a LowCmd or None, got {type(made).__name__}")
        recorded = LowCmd.from_cdr(data)
        made = made.copy()
        made.reserve = recorded.reserve
        result.compared += 1
        if made.to_cdr() == data:
            result.equal += 1
        elif len(result.differences) < MOST_DIFFERENCES:
            result.differences.append(Difference(result.compared - 1, state.tick, _differing(made, recorded)))
    return result


def _pairs(log: Source, result: CommandReplay) -> Iterator[tuple[LowState, bytes]]:
    """Go through the commands, each with the state that it answers."""
    with McapReader(log) as reader:
        lockstep = any(LowCmd.from_cdr(m.data).reserve for m in reader.messages([topics.LOW_CMD]))
        near = _Near(reader.messages([topics.LOW_STATE]))
        newest: bytes | None = None
        for message in reader.messages([topics.LOW_STATE, topics.LOW_CMD]):
            if message.topic == topics.LOW_STATE:
                newest = message.data
                continue
            answered = near.find(LowCmd.from_cdr(message.data).reserve, message.time_ns) if lockstep else None
            state = newest if answered is None else answered
            if state is None:
                result.stateless += 1
            else:
                yield LowState.from_cdr(state), message.data


class _Near:
    """Find states by their tick, around the time of a command: a listener may have heard the command first."""

    def __init__(self, states: Iterator[LogMessage]) -> None:
        self._states = states
        self._window: dict[int, bytes] = {}
        self._read_ns = -1

    def find(self, tick: int, time_ns: int) -> bytes | None:
        while tick not in self._window and self._read_ns <= time_ns + AROUND_NS:
            message = next(self._states, None)
            if message is None:
                break
            self._read_ns = message.time_ns
            self._window[LowState.from_cdr(message.data).tick] = message.data
            if len(self._window) > MOST_NEAR:
                del self._window[next(iter(self._window))]
        return self._window.get(tick)


def _differing(made: Any, recorded: Any) -> tuple[str, ...]:
    """Name the fields that differ, the motors' one by one; the checksum follows from the others."""
    names = []
    for name in LowCmd.LAYOUT.fields:
        if name == "motor_cmd":
            for i, (a, b) in enumerate(zip(made.motor_cmd, recorded.motor_cmd, strict=True)):
                names += [f"motor_cmd[{i}].{f}" for f in type(a).LAYOUT.fields if _bits(a, f) != _bits(b, f)]
        elif name != "crc" and repr(getattr(made, name)) != repr(getattr(recorded, name)):
            names.append(name)
    return tuple(names) or ("crc",)


def _bits(value: Any, name: str) -> str:
    return repr(getattr(value, name))  # tells -0.0 from 0.0, and NaN equals itself


def replay_states(
    log: Source, domain: Any, *, speed: float = 1.0, stop: threading.Event | None = None, look_s: float = LOOK_S
) -> dict[str, int]:
    """Publish the recorded states in a DDS domain, at the times at which they were recorded.

    Commands and requests are never published. A message that is late is sent at once; none is left out.

    Parameters
    ----------
    log : str, os.PathLike or bytes
        A flight log.
    domain : CycloneDomain
        An open DDS domain.
    speed : float
        2.0 is twice as fast as it was.
    stop : threading.Event, optional
        Ends it early.
    look_s : float
        How long somebody else who publishes states is looked for first.

    Returns
    -------
    dict
        How many messages of each topic were published.

    Raises
    ------
    ConfigError
        There is no state in the log.
    RfxConnectionError
        Somebody else publishes ``rt/lowstate`` in this domain: two robots in one domain are one too many.
    """
    speed = arrays.number(speed, "speed", above=0)
    stop = threading.Event() if stop is None else stop
    with McapReader(log) as reader:
        first = next(reader.messages(STATES), None)
        if first is None:
            raise ConfigError("expected a log with states, there is none in it")
        _refuse_company(domain, look_s, stop)
        writers: dict[str, Any] = {topic: domain.writer(topic, message_of(topic)) for topic in STATES}
        counts = dict.fromkeys(STATES, 0)
        began = time.monotonic()
        for message in reader.messages(STATES):
            due = began + (message.time_ns - first.time_ns) / 1e9 / speed
            while not stop.is_set() and (left := due - time.monotonic()) > 0:
                time.sleep(min(left, SLICE_S))
            if stop.is_set():
                break
            writers[message.topic].write(message.data)
            counts[message.topic] += 1
    return {topic: n for topic, n in counts.items() if n}


def _refuse_company(domain: Any, look_s: float, stop: threading.Event) -> None:
    ears = domain.reader(topics.LOW_STATE, LowState)
    end = time.monotonic() + look_s
    while not stop.is_set() and time.monotonic() < end:
        if ears.matched:
            raise RfxConnectionError(f"somebody publishes {topics.LOW_STATE} in domain {domain.domain_id} already")
        stop.wait(0.02)
    ears.close()
