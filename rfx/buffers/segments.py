"""Zeroed memory for rows: of this process alone, or shared by name with others."""

import mmap
import os
import sys
from multiprocessing import resource_tracker, shared_memory
from typing import Any

from rfx.errors import ConfigError, DTypeError

LARGE_PAGE = 1 << 21
LONGEST_NAME = 200


class Segment:
    """``buf`` is the memory, ``name`` what others attach by, None for a process's own."""

    def __init__(self, holder: Any, buf: Any, name: str | None, made_here: bool) -> None:
        self.holder, self.buf, self.name = holder, buf, name
        self.maker = os.getpid() if made_here else 0

    def close(self) -> None:
        """Give this process's view back. Nobody may use ``buf`` any more."""
        self.buf = None
        self.holder.close()

    def unlink(self) -> None:
        """Take the name away: who is attached stays so, nobody else can attach. Done twice it does nothing."""
        try:
            if isinstance(self.holder, shared_memory.SharedMemory):
                self.holder.unlink()
            elif self.name is not None:
                import _posixshmem  # type: ignore[import-not-found]

                _posixshmem.shm_unlink("/" + self.name)
        except FileNotFoundError:
            if self.maker:  # somebody else was first; the tracker would warn at exit
                resource_tracker.unregister("/" + str(self.name), "shared_memory")


def own_segment(size: int) -> Segment:
    """Return memory of this process alone, on large pages where there are any; a fork has a copy."""
    try:
        if sys.platform == "win32":
            holder = mmap.mmap(-1, size)
        else:
            holder = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"{size} bytes for rows do not fit: {error}") from error
    if size >= 2 * LARGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        holder.madvise(mmap.MADV_HUGEPAGE)
    return Segment(holder, holder, None, True)


def checked_name(name: Any) -> str:
    """Return the name of shared memory; DTypeError or ConfigError for what can be none."""
    if not isinstance(name, str):
        raise DTypeError(f"expected the name of shared memory to be a str, got {type(name).__name__}")
    if (
        not name
        or len(name) > LONGEST_NAME
        or not name.isascii()
        or not name.replace("_", "").replace("-", "").isalnum()
    ):
        raise ConfigError(f"expected a name of at most {LONGEST_NAME} letters, digits, _ and -, got {name!r}")
    return name


def new_segment(size: int, name: str | None) -> Segment:
    """Return memory under a new name; its pages are there for certain, so that no later access can fail.

    ConfigError if the name is taken, MemoryError if there is not so much (look at the size of /dev/shm).
    """
    if name is not None:
        checked_name(name)
    try:
        holder = shared_memory.SharedMemory(name, create=True, size=size)
    except FileExistsError as error:
        raise ConfigError(f"expected a new name for shared memory, {name!r} is taken") from error
    except (OSError, ValueError, OverflowError) as error:
        raise MemoryError(f"{size} bytes of shared memory named {name!r} cannot be had: {error}") from error
    file = getattr(holder, "_fd", -1)
    if hasattr(os, "posix_fallocate") and file >= 0:
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            holder.close()
            holder.unlink()
            raise MemoryError(f"{size} bytes of shared memory cannot be had: {error}") from error
    return Segment(holder, holder.buf, holder.name, True)


def old_segment(name: str) -> Segment:
    """Return the memory of this name; ConfigError if there is none.

    Its maker stays the one whose exit cleans up. Python's tracker would do so at ours, too, until version 3.13.
    """
    checked_name(name)
    try:
        if sys.platform == "win32" or sys.version_info >= (3, 13):
            holder = shared_memory.SharedMemory(name, **({} if sys.platform == "win32" else {"track": False}))
            return Segment(holder, holder.buf, holder.name, False)
        import _posixshmem

        file = _posixshmem.shm_open("/" + name, os.O_RDWR, mode=0o600)
    except (OSError, ValueError) as error:
        raise ConfigError(f"expected the name of shared memory, there is no {name!r}: {error}") from error
    try:
        mapping = mmap.mmap(file, os.fstat(file).st_size)
    except ValueError as error:
        raise ConfigError(f"expected shared memory, {name!r} has no bytes") from error
    finally:
        os.close(file)
    return Segment(mapping, mapping, name, False)
