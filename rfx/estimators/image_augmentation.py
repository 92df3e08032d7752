"""One protocol for whatever changes a batch of images, and the changes of :mod:`rfx.estimators.augmentation` behind it.

An augmentation is anything with ``augment_batch(images, seed, *, layout="NCHW")``; your own go into :class:`Chain`
beside these.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError
from rfx.estimators.augmentation import color_jitter, random_crop, random_cutout, random_shift
from rfx.seeding import derive_seed

Layout = Literal["NCHW", "NHWC", "NHW"]
Seed = int | np.random.Generator


@runtime_checkable
class ImageAugmentation(Protocol):
    """What changes images: the same for the same integer seed, all channels of an image alike."""

    def augment_batch(self, images: NDArray[Any], seed: Seed, *, layout: Layout = "NCHW") -> NDArray[Any]:
        """Return changed copies of ``images``, float32 or uint8, shape (N, C, H, W) or as ``layout`` says."""
        ...


@dataclass(frozen=True)
class RandomShift:
    """Move each image by up to ``pad`` pixels; see :func:`~rfx.estimators.augmentation.random_shift`."""

    pad: int = 4
    mode: Literal["zeros", "edge"] = "zeros"

    def __post_init__(self) -> None:
        arrays.integer(self.pad, "pad", minimum=0, maximum=2**31 - 1)
        if not isinstance(self.mode, str) or self.mode not in ("zeros", "edge"):
            raise ConfigError(f"expected mode to be 'zeros' or 'edge', got {self.mode!r}")

    def augment_batch(self, images: NDArray[Any], seed: Seed, *, layout: Layout = "NCHW") -> NDArray[Any]:
        """Return the images moved."""
        return random_shift(images, self.pad, seed, mode=self.mode, layout=layout)


@dataclass(frozen=True)
class RandomCrop:
    """Cut a piece of ``height`` x ``width`` out of each; see :func:`~rfx.estimators.augmentation.random_crop`."""

    height: int
    width: int

    def __post_init__(self) -> None:
        arrays.integer(self.height, "height", minimum=1)
        arrays.integer(self.width, "width", minimum=1)

    def augment_batch(self, images: NDArray[Any], seed: Seed, *, layout: Layout = "NCHW") -> NDArray[Any]:
        """Return the pieces."""
        return random_crop(images, (self.height, self.width), seed, layout=layout)


@dataclass(frozen=True)
class Cutout:
    """Fill a box with sides of ``least`` to ``largest`` pixels; see :func:`~rfx.estimators.augmentation.random_cutout`."""

    least: int = 10
    largest: int = 30
    value: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        arrays.integer(self.least, "least", minimum=1)
        arrays.integer(self.largest, "largest", minimum=self.least)
        arrays.finite(arrays.floats(self.value, "value"), "value")

    def augment_batch(self, images: NDArray[Any], seed: Seed, *, layout: Layout = "NCHW") -> NDArray[Any]:
        """Return the images with a box each."""
        return random_cutout(images, (self.least, self.largest), seed, value=self.value, layout=layout)


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness, contrast and saturation; see :func:`~rfx.estimators.augmentation.color_jitter`."""

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            arrays.number(getattr(self, name), name, minimum=0.0)

    def augment_batch(self, images: NDArray[Any], seed: Seed, *, layout: Layout = "NCHW") -> NDArray[Any]:
        """Return the images in changed colours."""
        return color_jitter(
            images,
            seed,
            brightness=self.brightness,
            contrast=self.contrast,
            saturation=self.saturation,
            layout=layout,
        )


@dataclass(frozen=True)
class Chain:
    """Several changes one after another, each with a seed of its own derived from the one given."""

    steps: tuple[ImageAugmentation, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.steps, tuple):
            raise DTypeError(f"expected steps to be a tuple, got {type(self.steps).__name__}")
        for k, step in enumerate(self.steps):
            if not isinstance(step, ImageAugmentation):
                raise DTypeError(f"expected steps[{k}] to have augment_batch, got {type(step).__name__}")

    def augment_batch(self, images: NDArray[Any], seed: Seed, *, layout: Layout = "NCHW") -> NDArray[Any]:
        """Return the images after all steps."""
        if isinstance(seed, np.random.Generator):
            seed = int(seed.integers(2**64 - 1, dtype=np.uint64, endpoint=True))
        for k, step in enumerate(self.steps):
            images = step.augment_batch(images, derive_seed(seed, k), layout=layout)
        return images
