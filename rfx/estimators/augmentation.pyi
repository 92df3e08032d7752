from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Layout = Literal["NCHW", "NHWC", "NHW"]

def random_shift(
    images: NDArray[Any],
    pad: int,
    seed: int | np.random.Generator,
    *,
    mode: Literal["zeros", "edge"] = "zeros",
    layout: Layout = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def random_shift_batch(
    images: NDArray[Any],
    batch_size: int,
    channels: int,
    height: int,
    width: int,
    pad: int,
    seed: int | np.random.Generator,
) -> NDArray[Any]: ...
def random_crop(
    images: NDArray[Any],
    size: int | tuple[int, int],
    seed: int | np.random.Generator,
    *,
    layout: Layout = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def random_cutout(
    images: NDArray[Any],
    size: int | tuple[int, int],
    seed: int | np.random.Generator,
    *,
    value: ArrayLike = 0,
    layout: Layout = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def color_jitter(
    images: NDArray[Any],
    seed: int | np.random.Generator,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    layout: Layout = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
