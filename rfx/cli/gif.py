"""Moving pictures: an animated GIF by Pillow, which the plots bring along, or a strip of pictures without any library."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.cli.png import png_bytes, strip
from rfx.errors import DTypeError, MissingDependencyError, ShapeError

Picture = NDArray[np.uint8]
SMALLEST_MS = 20  # what viewers show as it is; below it many go slow instead


def checked_frames(frames: Sequence[Any]) -> list[Picture]:
    """Return frames of one size, each (height, width, 3) of uint8; DTypeError or ShapeError for others."""
    if not len(frames):
        raise ShapeError("expected at least one frame, got none")
    shape = np.shape(frames[0])
    for i, frame in enumerate(frames):
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
            raise DTypeError(
                f"expected frame {i} to be a uint8 array, got {getattr(frame, 'dtype', type(frame).__name__)}"
            )
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != shape or not frame.size:
            raise ShapeError(f"expected frame {i} of shape (height, width, 3) as the first, {shape}, got {frame.shape}")
    return list(frames)


def gif_bytes(frames: Sequence[Picture], frames_per_second: float) -> bytes:
    """Return an animated GIF that repeats for ever.

    Parameters
    ----------
    frames : sequence of ndarray of uint8, (height, width, 3)
        All of one size; 256 colours are chosen for all of them together.
    frames_per_second : float
        At most 50, more are shown as 50; GIF counts in hundredths of a second.

    Raises
    ------
    MissingDependencyError
        Pillow is not installed.
    """
    rate = arrays.number(frames_per_second, "frames_per_second", above=0.0)
    checked = checked_frames(frames)
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError("a GIF needs pillow: pip install 'rfx[demo]'; a .png needs nothing") from error
    samples = np.concatenate([frame[::4, ::4].reshape(1, -1, 3) for frame in _some(checked, 16)])
    palette = Image.fromarray(samples).quantize(256, method=Image.Quantize.MEDIANCUT)
    images = [Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in checked]
    out = io.BytesIO()
    duration = max(SMALLEST_MS, round(100.0 / rate) * 10)
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0, optimize=False)
    return out.getvalue()


def strip_bytes(frames: Sequence[Picture], count: int = 6) -> bytes:
    """Return at most ``count`` of the frames, evenly spread from first to last, side by side as a PNG."""
    return png_bytes(strip(_some(checked_frames(frames), arrays.integer(count, "count", minimum=1))))


def _some(frames: list[Picture], count: int) -> list[Picture]:
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    return [frames[i] for i in chosen]
