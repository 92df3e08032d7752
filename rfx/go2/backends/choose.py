"""Which link a configuration gets: the one it names, or the first over which states of a robot really come.

Where the configuration says nothing the environment may: ``RFX_GO2_BACKEND`` names a backend, ``RFX_GO2_ZENOH`` where a
Zenoh bridge or router listens, ``RFX_GO2_ZENOH_PREFIX`` what it puts before the topic names.
"""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from rfx.errors import ConfigError, DTypeError, RfxConnectionError, RfxError, RfxTimeoutError
from rfx.go2 import topics
from rfx.go2.backends.base import DdsBackend
from rfx.go2.config import Go2BackendHint, Go2Config

BACKEND, ENDPOINT, PREFIX = "RFX_GO2_BACKEND", "RFX_GO2_ZENOH", "RFX_GO2_ZENOH_PREFIX"
SLICE_S = 0.05


class Way(NamedTuple):
    """One way to a robot: its name, where it leads, and what opens it within some seconds."""

    hint: Go2BackendHint
    where: str
    open: Callable[[float], DdsBackend]

    def __str__(self) -> str:
        return f"{self.hint.value} ({self.where})"


def open_backend(config: Go2Config) -> DdsBackend:
    """Open a link to the robot.

    With one way to it, named or the only one there is, DDS is opened and returned: whoever asked waits for its states.
    Through Zenoh, and with several ways, a link is returned only when a valid state has come over it. The ways are tried
    in the order DDS, Zenoh, and each gets its share of ``config.connect_timeout_s``.

    Raises
    ------
    ConfigError
        Zenoh is asked for, but no endpoint is named; ``RFX_GO2_BACKEND`` is no backend.
    MissingDependencyError
        The backend's library is not installed.
    RfxTimeoutError
        No state came; the text names every way that was tried and what became of it.
    RfxConnectionError
        No link could be opened.
    """
    ways = ways_of(config)
    if [way.hint for way in ways] == [Go2BackendHint.Zenoh] or len(ways) > 1:
        return _first_that_answers(ways, config.connect_timeout_s)
    return ways[0].open(config.connect_timeout_s)


def ways_of(config: Go2Config) -> list[Way]:
    """Return the ways to a robot that a configuration and the environment leave, in the order in which they are tried."""
    named = config.backend if config.backend is not None else os.environ.get(BACKEND) or None
    if named is not None and named not in list(Go2BackendHint):
        raise ConfigError(f"expected {BACKEND} to be one of {', '.join(Go2BackendHint)}, got {named!r}")
    endpoint = config.zenoh_endpoint if config.zenoh_endpoint is not None else os.environ.get(ENDPOINT) or None
    if named == Go2BackendHint.DustDds:
        return [Way(Go2BackendHint.DustDds, "", lambda timeout_s: _dust(config))]
    if named == Go2BackendHint.Zenoh and endpoint is None:
        raise ConfigError(
            "expected zenoh_endpoint to say where the bridge or router listens, such as tcp/192.168.123.18:7447 "
            f"(Go2Config.with_zenoh_router, or {ENDPOINT}), got none"
        )
    dds = f"domain {config.domain_id} on interface {config.interface or 'chosen by DDS'}"
    ways = [Way(Go2BackendHint.CycloneDds, dds, lambda timeout_s: _cyclone(config))]
    if endpoint is not None:
        where, prefix = endpoint, os.environ.get(PREFIX, "")
        shown = f"{where} with prefix {prefix}" if prefix else where
        ways.append(Way(Go2BackendHint.Zenoh, shown, lambda timeout_s: _zenoh(where, prefix, timeout_s)))
    return [way for way in ways if named is None or way.hint == named]


def _first_that_answers(ways: list[Way], timeout_s: float) -> DdsBackend:
    share_s = timeout_s / len(ways)
    attempts, opened = [], False
    for way in ways:
        end = time.monotonic() + share_s
        try:
            backend = way.open(share_s)
        except RfxError as error:
            if len(ways) == 1 or isinstance(error, (ConfigError, DTypeError)):
                raise
            attempts.append(f"{way}: {error}")
            continue
        opened = True
        try:
            reason = _why_no_state(backend, end, share_s)
        except BaseException:
            backend.disconnect()
            raise
        if not reason:
            return backend
        backend.disconnect()
        attempts.append(f"{way}: {reason}")
    kind = RfxTimeoutError if opened else RfxConnectionError
    raise kind(f"no valid {topics.LOW_STATE} within {timeout_s:g} s: {'; '.join(attempts)}")


def _why_no_state(backend: DdsBackend, end_s: float, share_s: float) -> str:
    """Wait until a state has come and somebody takes commands; what is missing when the time is over, else nothing."""
    receiver = backend.subscribe_state()
    came = False
    while not (came and backend.is_connected()):
        left = end_s - time.monotonic()
        if left <= 0:
            if came:
                return f"states come, but nobody takes commands there ({topics.LOW_CMD}): does a bridge deny them?"
            if receiver.refused:
                return f"{receiver.refused} states came and were refused, the last one for: {receiver.last_refusal}"
            return f"open, but no state came within {share_s:g} s: is the robot on, and does this lead to it?"
        came = receiver.recv(min(left, SLICE_S)) is not None or came
    return ""


def _cyclone(config: Go2Config) -> DdsBackend:
    from rfx.go2.backends.cyclone_backend import CycloneBackend

    return CycloneBackend(config.domain_id, config.interface)


def _zenoh(endpoint: str, prefix: str, timeout_s: float) -> DdsBackend:
    from rfx.go2.backends.zenoh_backend import ZenohBackend

    return ZenohBackend(endpoint, prefix, timeout_s)


def _dust(config: Go2Config) -> DdsBackend:
    from rfx.go2.backends.dust import open_dust

    return open_dust(config)
