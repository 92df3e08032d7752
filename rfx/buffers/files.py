"""Buffers on disk: one uncompressed zip of ``.npy`` arrays with ``rfx.json`` beside them, readable with numpy alone.

``rfx.json`` holds ``format`` ("rfx-buffer"), ``version`` (1), ``kind`` (the class), ``config`` (its parameters) and
``values`` (what of the state is no array). An array of the state is named by its path, ``rows/obs.npy``. A file is
written beside its target, flushed to the disk and moved over it, so that a crash leaves the old one.
"""

import json
import math
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import CodecError, ConfigError

FORMAT, VERSION = "rfx-buffer", 1
LONGEST_HEADER = 1 << 20


def leaves(state: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested dict with their paths."""
    for name, value in state.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}/")
        else:
            yield path + name, value


def plain(value: Any) -> Any:
    """Return a parameter as JSON can hold it."""
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).str
    if isinstance(value, np.generic):
        return value.item()
    return value


def save_state(path: str | os.PathLike[str], kind: str, config: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a buffer's parameters and state to ``path``, in one piece or not at all."""
    target = Path(path)
    arrays = {name: value for name, value in leaves(state) if isinstance(value, np.ndarray)}
    values = {name: plain(value) for name, value in leaves(state) if not isinstance(value, np.ndarray)}
    head = {"format": FORMAT, "version": VERSION, "kind": kind, "config": plain(config), "values": values}
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as raw:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr("rfx.json", json.dumps(head, indent=1))
                for entry, array in arrays.items():
                    with archive.open(f"{entry}.npy", "w", force_zip64=True) as stream:
                        np.lib.format.write_array(stream, array, allow_pickle=False)
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def load_state(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return parameters and state of a buffer of this kind.

    Raises
    ------
    CodecError
        Not such a file, or a damaged one.
    ConfigError
        A file of another kind or of a version that is not known.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("rfx.json").file_size > LONGEST_HEADER:
                raise CodecError(f"expected a buffer's file, {path} has a header of more than {LONGEST_HEADER} bytes")
            head = json.loads(archive.read("rfx.json"))
            if head["format"] != FORMAT:
                raise CodecError(f"expected a buffer's file, {path} says {head['format']!r}")
            if head["version"] != VERSION or head["kind"] != kind:
                raise ConfigError(f"expected {kind}, version {VERSION}; {path} has {head['kind']} {head['version']}")
            state: dict[str, Any] = {}
            for name, value in head["values"].items():
                put(state, name, value)
            for entry in archive.namelist():
                if entry.endswith(".npy"):
                    put(state, entry.removesuffix(".npy"), read_entry(archive, entry))
            return head["config"], state
    except (zipfile.BadZipFile, LookupError, ValueError, EOFError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, (CodecError, ConfigError)):
            raise
        raise CodecError(f"expected a buffer's file, {path} is none or is damaged: {error}") from error


def read_entry(archive: zipfile.ZipFile, entry: str) -> NDArray[Any]:
    """Return an array of the file; CodecError where its head promises another size than it has."""
    info = archive.getinfo(entry)
    if info.compress_type != zipfile.ZIP_STORED:
        raise CodecError(f"expected {entry} not to be compressed")
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        if math.prod(shape) * dtype.itemsize != info.file_size - stream.tell():
            raise CodecError(f"expected {entry} to hold {dtype} {shape}, it has {info.file_size} bytes")
    with archive.open(entry) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def put(state: dict[str, Any], path: str, value: Any) -> None:
    """Store a value of a nested dict under its path."""
    *parents, name = path.split("/")
    for parent in parents:
        state = state.setdefault(parent, {})
    state[name] = value
