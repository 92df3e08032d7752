"""Which link a compiled tick gets, and whether the native one can be trusted here."""

import ctypes
import functools
import importlib.metadata
import os
import struct
import threading
from typing import Any

from rfx.errors import CodecError, MissingDependencyError, RfxError
from rfx.go2 import topics
from rfx.go2.backends.base import DdsBackend
from rfx.go2.link import Link, PythonLink
from rfx.go2.messages import LowCmd, LowState

KNOWN = ((11, 0, 1), (12,))  # versions of cyclonedds from the first up to, not including, the second
SELF_TEST = "rfx/link/self_test"  # a topic that exists for a moment
_lock = threading.Lock()
_tested: dict[int, str] = {}


@functools.cache
def _library_reason() -> str:
    """Why this process' CycloneDDS library cannot be called directly; empty if it can."""
    from rfx.go2.backends import native

    if os.name != "posix" or struct.calcsize("P") != 8:
        return "native links are for 64-bit POSIX systems"
    try:
        from cyclonedds.internal import DDS, dds_c_t

        version = tuple(int(part) for part in importlib.metadata.version("cyclonedds").split(".")[:3])
        library, size = DDS._dll_handle, ctypes.sizeof(dds_c_t.sample_info)
    except (ImportError, AttributeError, ValueError, importlib.metadata.PackageNotFoundError) as error:
        return f"cyclonedds does not look as expected: {error}"
    if not KNOWN[0] <= version < KNOWN[1]:
        return f"cyclonedds {'.'.join(map(str, version))} is not one of the versions that native links know"
    if size != native.INFO_SIZE:
        return f"dds_sample_info_t has {size} bytes, expected {native.INFO_SIZE}"
    missing = [name for name in native.FUNCTIONS if getattr(library, name, None) is None]
    return f"CycloneDDS' library has no {', '.join(missing)}" if missing else ""


def _native(domain: Any, reader: Any, writer: Any) -> Link:
    from cyclonedds.internal import DDS

    from rfx.go2.backends import native

    with domain._lock:  # closing a domain closes the links on it: none is made meanwhile
        link = native.NativeLink(reader, writer, DDS._dll_handle, (domain._participant, domain._topics.copy()))
        domain._links.add(link)
    return link


def _self_test(domain: Any) -> str:
    """Send a command to ourselves over a native link; empty if it came back byte for byte."""
    reader, writer = domain.reader(SELF_TEST, LowCmd), domain.writer(SELF_TEST, LowCmd)
    sent = LowCmd(level_flag=0xFF, reserve=0x12345678).to_cdr()
    try:
        link = _native(domain, reader, writer)
        link.write(sent)
        got = link.take(1.0)
        link.close()
    except RfxError as error:
        return f"the self-test failed: {error}"
    finally:
        reader.close()
        writer.close()
    return "" if got == sent else "the self-test's message did not come back"


def native_reason(domain: Any) -> str:
    """Return why a native link cannot be had in a domain, or an empty string where it can.

    Parameters
    ----------
    domain : CycloneDomain
    """
    reason = _library_reason()
    if reason or not domain.raw:
        return reason or "the domain uses the IDL classes"
    with _lock:
        if os.getpid() not in _tested:
            _tested[os.getpid()] = _self_test(domain)
        return _tested[os.getpid()]


def raw_link(domain: Any, reader: Any, writer: Any, native: bool | None = None) -> Link:
    """Return a link on a reader and a writer of CDR bytes.

    Parameters
    ----------
    domain : CycloneDomain
    reader : RawReader
        Of the link alone.
    writer : RawWriter
    native : bool, optional
        True insists on a native link, False on one by way of Python; by default a native one where it can be had.

    Raises
    ------
    MissingDependencyError
        ``native=True`` where it cannot be had; the text says why.
    """
    reason = "a link by way of Python was asked for" if native is False else native_reason(domain)
    if not reason:
        return _native(domain, reader, writer)
    if native:
        raise MissingDependencyError(f"no native link: {reason}")

    def take(timeout_s: float) -> bytes | None:
        data = reader.take_latest()
        if data is None and timeout_s > 0 and reader.wait(timeout_s):
            data = reader.take_latest()
        return data

    return PythonLink(take, writer.write, reason=reason, wake=reader.wake)


def open_link(backend: DdsBackend, native: bool | None = None) -> Link:
    """Return a link to the robot that a backend is connected to: its newest LowState, and LowCmd to it.

    The link has a reader of its own where the backend is CycloneDDS, so that others still see every state. Other backends
    are called by way of Python.
    """
    domain = getattr(backend, "domain", None)
    writer = getattr(backend, "_commands", None)
    if domain is not None and writer is not None:
        return raw_link(domain, domain.reader(topics.LOW_STATE, LowState), writer, native)
    if native:
        raise MissingDependencyError(f"no native link: {type(backend).__name__} has none")
    receiver = backend.subscribe_state()

    def take(timeout_s: float) -> bytes | None:
        state = receiver.recv(timeout_s) if timeout_s > 0 else receiver.latest()
        return None if state is None else bytes(state.to_cdr())

    def write(data: bytes) -> None:
        try:
            backend.publish_low_cmd(LowCmd.from_cdr(data))
        except CodecError as error:
            raise RfxError(f"expected a low-level command: {error}") from error

    return PythonLink(take, write, reason=f"{type(backend).__name__} is reached by way of Python")
