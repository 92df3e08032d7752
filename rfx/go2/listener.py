"""Hear everything that a robot and its commanders say, without ever holding them up."""

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from rfx.go2.flight_log import TOPICS, FlightLog, message_of

SLICE_S = 0.2
DEPTH = 256  # samples that DDS keeps for us, half a second of one topic


class Listener:
    """Call ``heard(topic, time_ns, data)`` for every message of some topics; each topic has a thread.

    The readers are best effort: a slow listener loses messages and slows nobody.

    Parameters
    ----------
    domain : CycloneDomain
        An open DDS domain; the caller closes it after the listener.
    heard : callable
        Gets the topic, the time at which the message was taken (Unix time, ns) and its CDR bytes; called from several
        threads.
    topics : iterable of str
        By default all that a Go2 has.

    Attributes
    ----------
    error : Exception or None
        What ended a topic's thread, in ``heard`` or in DDS.
    """

    def __init__(
        self, domain: Any, heard: Callable[[str, int, bytes], object], topics: Iterable[str] = tuple(TOPICS)
    ) -> None:
        self.error: Exception | None = None
        self._heard = heard
        self._stop = threading.Event()
        self._readers = [domain.reader(topic, message_of(topic), depth=DEPTH) for topic in dict.fromkeys(topics)]
        self._threads = [
            threading.Thread(target=self._listen, args=(reader,), name=f"listener {reader.topic}", daemon=True)
            for reader in self._readers
        ]
        for thread in self._threads:
            thread.start()

    def __repr__(self) -> str:
        return f"Listener({', '.join(r.topic for r in self._readers)}{', stopped' if self._stop.is_set() else ''})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def matched(self) -> dict[str, int]:
        """How many there are who write each topic."""
        return {reader.topic: reader.matched for reader in self._readers}

    def stop(self) -> None:
        """Hear no more; calling it again does nothing. From within ``heard`` it does not wait for its own thread."""
        self._stop.set()
        for reader in self._readers:
            reader.wake()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _listen(self, reader: Any) -> None:
        try:
            while not self._stop.is_set():
                if reader.wait(SLICE_S):
                    stamp = time.time_ns()
                    for data in reader.take(DEPTH):
                        self._heard(reader.topic, stamp, data)
        except Exception as error:  # the domain was closed below us, or `heard` failed: whoever waits for us sees it
            self.error = error


def record_for(domain: Any, log: FlightLog, seconds: float | None, stop: threading.Event) -> None:
    """Record all that is said in a domain for so long (None for ever), or until ``stop`` is set."""
    end = None if seconds is None else time.monotonic() + seconds
    with Listener(domain, log.record) as listener:
        while not stop.is_set() and log.error is None and listener.error is None:
            left = SLICE_S if end is None else min(SLICE_S, end - time.monotonic())
            if left <= 0:
                break
            stop.wait(left)
    if listener.error is not None:
        raise listener.error
