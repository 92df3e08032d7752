"""A folder of files that is written whole or not at all, and read without leaving it.

Written: everything goes to a new folder beside the target, is flushed to the disk, and then takes the target's place.
Read: the folder is opened once and its files through it, so that a save that happens meanwhile cannot mix two folders;
links, pipes and devices are refused, and so is what is larger than expected.
"""

import ctypes
import os
import re
import secrets
import shutil
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rfx.errors import CodecError, ConfigError, InvalidValueError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2 (Linux)
_HERE = -100  # AT_FDCWD


def check_file_name(name: Any) -> str:
    """Return the name of a file if it stays in its folder: letters, digits, ``_``, ``-`` and ``.``, not in front."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidValueError(f"expected the name of a file in its own folder, got {str(name)[:120]!r}")
    return name


def read_file(folder: int, name: str, what: str, largest: int) -> bytes:
    """Return the bytes of a regular file in the folder opened as ``folder``.

    Raises
    ------
    FileNotFoundError
        There is none of that name.
    CodecError
        A link, a folder, a pipe or a device, or larger than ``largest`` bytes.
    """
    try:
        handle = os.open(
            check_file_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )
    except FileNotFoundError:
        raise FileNotFoundError(f"{what}: there is no {name}") from None
    except OSError as error:
        raise CodecError(f"{what}: expected {name} to be a regular file, not a link: {error.strerror}") from None
    return _read_regular(handle, f"{what}: {name}", largest)


def read_single(path: Path, largest: int) -> bytes:
    """Return the bytes of a regular file, or of the one that a link leads to; CodecError as for :func:`read_file`."""
    return _read_regular(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), str(path), largest)


def _read_regular(handle: int, what: str, largest: int) -> bytes:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > largest:
        os.close(handle)
        raise CodecError(f"{what}: expected a regular file of at most {largest} bytes, it has {found.st_size}")
    with os.fdopen(handle, "rb") as stream:
        return stream.read(largest)


def write_directory(path: Path, files: Mapping[str, bytes], owned: Collection[str]) -> Path:
    """Make ``path`` the folder that holds exactly these files.

    Parameters
    ----------
    path : Path
        Parents are made. A folder that exists is replaced if all that is in it is called like one of ``owned``; a
        link to a folder stays a link.
    files : mapping of str to bytes
    owned : collection of str
        Names of files that may be thrown away with the old folder.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ConfigError
        ``path`` is a file, or a folder with something else in it: nothing is touched.
    """
    for name in files:
        check_file_name(name)
    target = Path(os.path.realpath(path))
    _check_replaceable(path, target, owned)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.parent / f".{target.name[:100]}.{secrets.token_hex(8)}"
    try:
        fresh.mkdir()
        for name, data in files.items():
            with open(fresh / name, "xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        _flush(fresh)
        _put_in_place(fresh, target)
        _flush(target.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # what is left there: the old folder, or an unfinished one
    return path


def _check_replaceable(path: Path, target: Path, owned: Collection[str]) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise ConfigError(f"expected a folder to save to, {path} is a file")
    with os.scandir(target) as entries:
        strangers = sorted(e.name for e in entries if e.name not in owned or not e.is_file(follow_symlinks=False))
    if strangers:
        shown = ", ".join(strangers[:3])
        raise ConfigError(f"{path} holds other things ({shown}), which a save would remove: choose a folder of its own")


def _put_in_place(fresh: Path, target: Path) -> None:
    """Let ``fresh`` become ``target``; what was there, if anything, is at ``fresh`` then, or gone."""
    try:
        os.rename(fresh, target)  # nothing there, or an empty folder
        return
    except OSError:
        if not target.is_dir():
            raise
    if _exchange(fresh, target):
        return
    # Without the exchange there is a moment with no folder at all; a failure in it puts the old one back.
    aside = fresh.with_name(fresh.name + ".old")
    os.rename(target, aside)
    try:
        os.rename(fresh, target)
    except BaseException:
        os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step, where the system can."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    result: int = renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), ctypes.c_uint(_EXCHANGE))
    return result == 0


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
