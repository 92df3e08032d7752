"""Calls of a network that are compiled once per shape and whose results belong to the caller."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from rfx.nn.engine import Tensor, TinyJit, plain_call, separate

_LOCK = threading.RLock()  # tinygrad records one graph at a time, for the whole process
MOST_SHAPES = 8


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is a whole buffer, row by row, as the recorded graph expects its inputs."""
    uop = tensor.uop
    while uop.op.name == "RESHAPE":
        uop = uop.src[0]
    return uop.op.name == "BUFFER" and bool(tensor.uop.is_realized)


class _Capture:
    """A recorded graph and the memory of the weights that it reads."""

    __slots__ = ("call", "weights")

    def __init__(self, function: Callable[..., tuple[Tensor, ...]]):
        def computed(*inputs: Tensor) -> tuple[Tensor, ...]:
            # what is only a view of an input would not be computed again by a replay
            return tuple(x.clone() if x.uop.base.op.name == "BUFFER" else x for x in function(*inputs))

        self.call: Any = TinyJit(computed)
        self.weights: tuple[Any, ...] = ()


class CompiledCalls:
    """A function of tensors, recorded on the second call of each shape and replayed from the third on.

    Weights that moved to other memory, or inputs of another shape, device or dtype, are recorded anew; the eight shapes
    used last are kept. While training, and inside a TinyJit of the user, the function is called as it is.

    Parameters
    ----------
    function : callable
        Takes tensors, returns a tuple of tensors.
    """

    __slots__ = ("captures", "function")  # no __dict__: tinygrad's search for weights must not find the buffers in here

    def __init__(self, function: Callable[..., tuple[Tensor, ...]]):
        self.function = function
        self.captures: OrderedDict[Any, _Capture] = OrderedDict()

    def __repr__(self) -> str:
        return f"CompiledCalls({self.function!r}, shapes={[key[0][0] for key in self.captures]})"

    def __call__(self, weights: Sequence[Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return what the function returns; ``weights`` are the tensors that it reads besides its inputs."""
        if plain_call() or any(isinstance(x.device, tuple) for x in (*inputs, *weights)):
            return self.function(*inputs)
        with _LOCK:
            late = [w for w in weights if not w.uop.is_realized]
            if late:
                Tensor.realize(*late)
            ready = [x.realize() for x in inputs]
            ready = [x if _is_plain(x) else separate(x) for x in ready]
            if len(ready) > 1 and len({x.uop.base for x in ready}) < len(ready):
                ready = [separate(x) for x in ready]
            return tuple(separate(result) for result in self._run(weights, ready))

    def _run(self, weights: Sequence[Tensor], inputs: list[Tensor]) -> tuple[Tensor, ...]:
        key = tuple((tuple(x.shape), x.device, x.dtype) for x in inputs)
        if 0 in (n for shape, _, _ in key for n in shape):
            return self.function(*inputs)
        memory = tuple(w.uop.base for w in weights)
        if key not in self.captures:
            self.captures[key] = _Capture(self.function)
            if len(self.captures) > MOST_SHAPES:
                self.captures.popitem(last=False)
        self.captures.move_to_end(key)
        capture = self.captures[key]
        if len(memory) != len(capture.weights) or any(a is not b for a, b in zip(memory, capture.weights, strict=True)):
            capture.weights = memory
            capture.call.reset()
        results: tuple[Tensor, ...] = capture.call(*inputs)
        return results

    def clear(self) -> None:
        """Forget every recorded graph."""
        with _LOCK:
            self.captures.clear()
