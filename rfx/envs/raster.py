"""Lines, discs and shapes on an RGB picture, with smooth edges, in numpy alone."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]
Colour = tuple[int, int, int]

BLACK, GREY = (30, 30, 30), (150, 150, 150)


class Canvas:
    """A picture of a part of the plane; x to the right, y up.

    Parameters
    ----------
    width, height : int
        In pixels.
    left, bottom : float
        What is at the lower left corner.
    scale : float
        Pixels per unit.
    """

    def __init__(self, width: int, height: int, left: float, bottom: float, scale: float) -> None:
        self.scale = scale
        self._left, self._bottom = left, bottom
        self._colours = np.full((height, width, 3), 255.0)
        # the middle of each pixel
        self._x: Array = left + (np.arange(width, dtype=np.float64) + 0.5) / scale
        self._y: Array = bottom + (height - np.arange(height, dtype=np.float64) - 0.5) / scale

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a disc."""
        window, px, py = self._around(x - radius, x + radius, y - radius, y + radius)
        self._blend(window, radius - np.hypot(px - x, py - y), colour)

    def line(self, start: ArrayLike, end: ArrayLike, width: float, colour: Colour) -> None:
        """Draw a line with round ends, ``width`` wide in units of the plane."""
        (x0, y0), (x1, y1) = np.asarray(start, np.float64), np.asarray(end, np.float64)
        half = width / 2.0
        window, px, py = self._around(min(x0, x1) - half, max(x0, x1) + half, min(y0, y1) - half, max(y0, y1) + half)
        dx, dy = x1 - x0, y1 - y0
        length = float(np.hypot(dx, dy))
        u, v = (dx / length, dy / length) if length > 0.0 else (1.0, 0.0)
        along = np.clip((px - x0) * u + (py - y0) * v, 0.0, length)
        self._blend(window, half - np.hypot(px - x0 - along * u, py - y0 - along * v), colour)

    def box(self, centre: ArrayLike, size: tuple[float, float], angle: float, colour: Colour) -> None:
        """Fill a rectangle, turned counterclockwise by ``angle`` radians."""
        x, y = np.asarray(centre, np.float64)
        reach = float(np.hypot(*size)) / 2.0
        window, px, py = self._around(x - reach, x + reach, y - reach, y + reach)
        c, s = np.cos(angle), np.sin(angle)
        u, v = (px - x) * c + (py - y) * s, (py - y) * c - (px - x) * s
        self._blend(window, np.minimum(size[0] / 2.0 - abs(u), size[1] / 2.0 - abs(v)), colour)

    def below(self, heights: ArrayLike, colour: Colour) -> None:
        """Fill what is below a curve, given by its height at :attr:`columns`."""
        height, width, _ = self._colours.shape
        window = (slice(0, height), slice(0, width))
        self._blend(window, np.asarray(heights, np.float64)[None, :] - self._y[:, None], colour)

    @property
    def columns(self) -> Array:
        """The x of each column of pixels."""
        return self._x

    def picture(self) -> NDArray[np.uint8]:
        """Return what has been drawn, (height, width, 3) uint8."""
        return np.round(self._colours).astype(np.uint8)

    def _around(self, left: float, right: float, bottom: float, top: float) -> tuple[tuple[slice, slice], Array, Array]:
        """The pixels that a part of the plane touches, as a window, and their x and y."""
        height, width, _ = self._colours.shape
        edges = (
            np.array([left - self._left, right - self._left, top - self._bottom, bottom - self._bottom]) * self.scale
        )
        first, last, upper, lower = np.clip(edges, -4, 2 * (width + height))
        columns = slice(max(int(first) - 1, 0), min(max(int(last) + 2, 0), width))
        rows = slice(max(int(height - upper) - 1, 0), min(max(int(height - lower) + 2, 0), height))
        return (rows, columns), self._x[None, columns], self._y[rows, None]

    def _blend(self, window: tuple[slice, slice], inside: Array, colour: Colour) -> None:
        """Mix a colour in where ``inside``, the distance to the edge of a shape, is above 0; half a pixel is soft."""
        cover = np.clip(inside * self.scale + 0.5, 0.0, 1.0)[..., None]
        under = self._colours[window]
        self._colours[window] = under + cover * (np.asarray(colour) - under)
