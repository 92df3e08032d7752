"""The door to tinygrad: what the policies use of it. A device is looked for when the first tensor is made."""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import InvalidStateError, MissingDependencyError
from rfx.nn.toolchain import check_device, prepare

prepare()

try:
    from tinygrad import Context, Tensor, TinyJit, dtypes
    from tinygrad.helpers import TRAINING
    from tinygrad.nn import LayerNorm
    from tinygrad.nn.state import get_state_dict
except ImportError as error:
    raise MissingDependencyError(f"rfx.nn needs tinygrad: pip install rfx ({error})") from error

try:  # whether a TinyJit of the user is recording right now
    from tinygrad.engine.realize import capturing
except ImportError:
    capturing = []

__all__ = [
    "Context",
    "LayerNorm",
    "Tensor",
    "TinyJit",
    "capturing",
    "device",
    "dtypes",
    "from_numpy",
    "get_state_dict",
    "overwrite",
    "plain_call",
    "separate",
]


@functools.cache
def device() -> str:
    """Return the device that tensors are made on; MissingDependencyError where none works."""
    return check_device()


def plain_call() -> bool:
    """Whether a call has to stay a lazy graph: while training, and inside a TinyJit of the user."""
    return bool(TRAINING) or bool(capturing)


def _memory(tensor: Tensor) -> NDArray[Any]:
    """Return the memory of a tensor on the CPU as a flat array of bytes, its values computed."""
    return np.frombuffer(tensor._buffer().as_memoryview(force_zero_copy=True), np.uint8)


def _empty(shape: tuple[int, ...], dtype: Any) -> Tensor:
    tensor = Tensor.empty(*shape, dtype=dtype, device=device())
    tensor.uop.base.buffer.ensure_allocated()
    return tensor


@functools.cache
def _direct() -> bool:
    """Whether memory can be written directly here; tinygrad's own copy of a few floats costs 8 ms, this one 0.3 ms."""
    if device() != "CPU":
        return False
    try:
        tensor = _empty((3,), dtypes.float32)
        _memory(tensor)[:] = np.arange(3, dtype=np.float32).view(np.uint8)
        return tensor.numpy().tolist() == [0.0, 1.0, 2.0]
    except (AttributeError, AssertionError, TypeError, ValueError):
        return False


def from_numpy(array: NDArray[Any]) -> Tensor:
    """Return a tensor of its own with the values of a float32 array.

    Raises
    ------
    InvalidStateError
        Inside a TinyJit, where the values would become constants.
    """
    if capturing:
        raise InvalidStateError("an array inside a TinyJit would become a constant: give a Tensor to its function")
    if not _direct() or not array.size:
        return Tensor(array.copy(), device=device()).realize()
    tensor = _empty(array.shape, dtypes.float32)
    _memory(tensor)[:] = np.ascontiguousarray(array, np.float32).reshape(-1).view(np.uint8)
    return tensor


def overwrite(tensor: Tensor, array: NDArray[Any]) -> None:
    """Put the values of a float32 array into the memory of a tensor that :func:`from_numpy` made."""
    if capturing:
        raise InvalidStateError("an array inside a TinyJit would become a constant: give a Tensor to its function")
    if _direct():
        _memory(tensor)[:] = array.reshape(-1).view(np.uint8)
    else:
        tensor.assign(Tensor(array.copy(), device=device())).realize()


def separate(tensor: Tensor) -> Tensor:
    """Return a copy that shares no memory with ``tensor``, computed."""
    if not _direct() or tensor.device != device() or 0 in tensor.shape:
        return tensor.clone().realize()
    copy = _empty(tensor.shape, tensor.dtype)
    _memory(copy)[:] = _memory(tensor)
    return copy
