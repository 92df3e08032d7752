"""Random changes of batches of images, the same for the same seed on every machine.

Images are uint8 or float32 (float64 where nothing is computed), C-contiguous, in one of three layouts: "NCHW", "NHWC" or
"NHW". A seed is an integer of 64 bits, or a numpy Generator, which gives one. All channels of an image change alike, so
that stacked frames stay together. The results are copies.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t, uint64_t

from rfx.kernels.chacha cimport ChaCha, chacha_fill_units, chacha_seed
from rfx.kernels.image_color cimport Colors, jitter_images
from rfx.kernels.image_shift cimport Layout, crop_images, draw_boxes, draw_offsets, fill_boxes, shift_images

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError

cnp.import_array()

cdef object LARGEST_SEED = 2**64 - 1
cdef tuple MOVED = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))
cdef tuple COMPUTED = MOVED[:2]
cdef Py_ssize_t MOST_PAD = 2**31 - 1


def random_shift(images, pad, seed, *, mode="zeros", layout="NCHW", out=None):
    """Move each image by up to ``pad`` pixels in both directions.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W), (N, H, W, C) or (N, H, W)
        uint8, float32 or float64.
    pad : int
        At least 0. Image n becomes ``padded[n][dy:dy + H, dx:dx + W]`` of the image padded by this on all sides.
    seed : int or numpy.random.Generator
        For each image dy is drawn first, then dx, both within ``0..2 pad`` (ChaCha8).
    mode : {"zeros", "edge"}
        What the padding is: zeros, or copies of the nearest pixel, as DrQ-v2 has it.
    layout : {"NCHW", "NHWC", "NHW"}
    out : ndarray, optional
        Of the shape and dtype of images.

    Returns
    -------
    ndarray, shape and dtype of images

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError, ConfigError
        Wrong shape; wrong dtype; pad or seed out of range; no such mode or layout.

    Notes
    -----
    Kostrikov, Yarats and Fergus 2020; Yarats et al. 2021. Nothing is interpolated: shifts are whole pixels.
    """
    if not isinstance(mode, str) or mode not in ("zeros", "edge"):
        raise ConfigError(f"expected mode to be 'zeros' or 'edge', got {mode!r}")
    cdef Layout a
    cdef cnp.ndarray x = pictures(images, layout, MOVED, &a)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 0), margin = arrays.integer(pad, "pad", minimum=0, maximum=MOST_PAD)
    cdef bint edge = mode == "edge"
    cdef cnp.ndarray result = arrays.out_array(out, (<object>x).shape, (<object>x).dtype, x)
    cdef cnp.ndarray offsets = np.zeros((n, 2), np.int64)
    cdef int64_t* at = <int64_t*>cnp.PyArray_DATA(offsets)
    cdef const uint8_t* source = <const uint8_t*>cnp.PyArray_DATA(x)
    cdef uint8_t* target = <uint8_t*>cnp.PyArray_DATA(result)
    cdef uint64_t word = word_of(seed)
    cdef ChaCha rng
    with nogil:
        if margin:
            chacha_seed(&rng, word)
            draw_offsets(&rng, n, 2 * margin, 2 * margin, at)
        shift_images(source, target, n, a, at, margin, edge)
    return result


def random_shift_batch(images, batch_size, channels, height, width, pad, seed):
    """Do :func:`random_shift` with zeros on a flat array of ``batch_size * channels * height * width`` numbers.

    Returns
    -------
    ndarray, 1-D, dtype of images
    """
    cdef tuple shape = tuple([arrays.integer(value, name, minimum=0) for value, name in (
        (batch_size, "batch_size"), (channels, "channels"), (height, "height"), (width, "width"))])
    flat = np.asarray(images)
    count = shape[0] * shape[1] * shape[2] * shape[3]
    if flat.shape != (count,):
        raise ShapeError(f"expected images of shape ({count},), got {flat.shape}")
    return random_shift(flat.reshape(shape), pad, seed).reshape(-1)


def random_crop(images, size, seed, *, layout="NCHW", out=None):
    """Cut a piece of ``size`` (height, width) out of each image, at a random place.

    Parameters
    ----------
    images : ndarray
        As in :func:`random_shift`.
    size : int or (int, int)
        At least 1 and at most the size of the images.
    seed : int or numpy.random.Generator
        For each image the row is drawn first, then the column.
    layout : {"NCHW", "NHWC", "NHW"}
    out : ndarray, optional

    Returns
    -------
    ndarray, dtype of images

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError, ConfigError
        As :func:`random_shift`; images smaller than size.
    """
    cdef Layout a
    cdef cnp.ndarray x = pictures(images, layout, MOVED, &a)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 0), height, width
    height, width = pair_of(size, "size", 1)
    if height > a.height or width > a.width:
        raise ShapeError(f"expected images of at least {height} x {width} pixels, got {a.height} x {a.width}")
    shape = list((<object>x).shape)
    first = 2 if layout == "NCHW" else 1
    shape[first:first + 2] = height, width
    cdef cnp.ndarray result = arrays.out_array(out, tuple(shape), (<object>x).dtype, x)
    cdef cnp.ndarray offsets = np.zeros((n, 2), np.int64)
    cdef int64_t* at = <int64_t*>cnp.PyArray_DATA(offsets)
    cdef const uint8_t* source = <const uint8_t*>cnp.PyArray_DATA(x)
    cdef uint8_t* target = <uint8_t*>cnp.PyArray_DATA(result)
    cdef uint64_t word = word_of(seed)
    cdef ChaCha rng
    with nogil:
        chacha_seed(&rng, word)
        draw_offsets(&rng, n, a.height - height, a.width - width, at)
        crop_images(source, target, n, a, height, width, at)
    return result


def random_cutout(images, size, seed, *, value=0, layout="NCHW", out=None):
    """Fill a box of random size at a random place of each image.

    Parameters
    ----------
    images : ndarray
        As in :func:`random_shift`.
    size : int or (int, int)
        Least and largest side of the box, at least 1; it lies within the image.
    seed : int or numpy.random.Generator
        For each image height, width, row and column of the box are drawn.
    value : number, or array_like of shape (C,)
        What to fill with.
    layout : {"NCHW", "NHWC", "NHW"}
    out : ndarray, optional
        Of the shape and dtype of images.

    Returns
    -------
    ndarray, shape and dtype of images

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError, ConfigError
        As :func:`random_shift`; a box that does not fit; a value that the dtype cannot hold.
    """
    cdef Layout a
    cdef cnp.ndarray x = pictures(images, layout, MOVED, &a)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 0), least, most
    least, most = pair_of(size, "size", 1)
    if least > most:
        raise InvalidValueError(f"expected size as (least, largest), got {size}")
    if most > a.height or most > a.width:
        raise ShapeError(f"expected images of at least {most} x {most} pixels, got {a.height} x {a.width}")
    channels = (<object>x).shape[1 if layout == "NCHW" else 3] if layout != "NHW" else 1
    cdef cnp.ndarray color = filling(value, channels, (<object>x).dtype)
    cdef cnp.ndarray result = arrays.out_array(out, (<object>x).shape, (<object>x).dtype, x)
    cdef cnp.ndarray boxes = np.empty((n, 4), np.int64)
    cdef int64_t* at = <int64_t*>cnp.PyArray_DATA(boxes)
    cdef const uint8_t* pixel = <const uint8_t*>cnp.PyArray_DATA(color)
    cdef uint8_t* target = <uint8_t*>cnp.PyArray_DATA(result)
    cdef uint64_t word = word_of(seed)
    cdef ChaCha rng
    np.copyto(result, x)
    with nogil:
        chacha_seed(&rng, word)
        draw_boxes(&rng, n, a.height, a.width, least, most, at)
        fill_boxes(target, n, a, at, pixel)
    return result


def color_jitter(images, seed, *, brightness=0.0, contrast=0.0, saturation=0.0, layout="NCHW", out=None):
    """Change brightness, contrast and saturation of each image, in this order, by random factors.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W) or (N, H, W, C)
        uint8, or float32 within 0..1; C is a multiple of 3 (frames of red, green and blue, stacked).
    seed : int or numpy.random.Generator
        For each image the three factors are drawn.
    brightness, contrast, saturation : float
        At least 0; the factor is uniform within ``max(0, 1 - x)..1 + x``.
    layout : {"NCHW", "NHWC"}
    out : ndarray, optional
        Of the shape and dtype of images.

    Returns
    -------
    ndarray, shape and dtype of images
        Cut to 0..255 or 0..1 after each step; uint8 is rounded to the nearest.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError, ConfigError
        As :func:`random_shift`; channels in threes; float32 outside of 0..1.

    Notes
    -----
    With factors b, c and s: ``b x``; ``m + c (x - m)`` with m the mean luma of the image; ``y + s (x - y)`` with y the
    luma of the pixel. Luma is 0.299 red + 0.587 green + 0.114 blue. Each frame of a stack has a mean of its own.
    """
    cdef Layout a
    cdef Colors where
    cdef cnp.ndarray x = pictures(images, layout, COMPUTED, &a)
    if layout == "NHW" or (<object>x).shape[1 if layout == "NCHW" else 3] % 3:
        raise ShapeError(f"expected images with channels in threes, got shape {(<object>x).shape} as {layout}")
    cdef Py_ssize_t channels = (<object>x).shape[1 if layout == "NCHW" else 3], n = cnp.PyArray_DIM(x, 0)
    where.pixels, where.groups = a.height * a.width, channels // 3
    where.step = 1 if layout == "NCHW" else channels
    where.apart = where.pixels if layout == "NCHW" else 1
    cdef bint bytes_ = cnp.PyArray_TYPE(x) == cnp.NPY_UINT8
    cdef double most = 255.0 if bytes_ else 1.0
    if not bytes_ and (<object>x).size and not ((<object>x).min() >= 0.0 and (<object>x).max() <= 1.0):
        arrays.finite(x, "images")
        raise InvalidValueError(f"expected images within 0..1, got {(<object>x).min():g}..{(<object>x).max():g}")
    widths = [arrays.number(value, name, minimum=0.0) for value, name in (
        (brightness, "brightness"), (contrast, "contrast"), (saturation, "saturation"))]
    cdef cnp.ndarray result = arrays.out_array(out, (<object>x).shape, (<object>x).dtype, x)
    cdef cnp.ndarray units = np.empty((n, 3))
    cdef uint64_t word = word_of(seed)
    cdef ChaCha rng
    chacha_seed(&rng, word)
    chacha_fill_units(&rng, <double*>cnp.PyArray_DATA(units), 3 * n, 0.0, 1.0)
    low, high = np.maximum(0.0, 1.0 - np.array(widths)), 1.0 + np.array(widths)
    cdef cnp.ndarray factors = low + (high - low) * units
    cdef const double* factor = <const double*>cnp.PyArray_DATA(factors)
    cdef void* source = cnp.PyArray_DATA(x)
    cdef void* target = cnp.PyArray_DATA(result)
    with nogil:
        if bytes_:
            jitter_images(<const uint8_t*>source, <uint8_t*>target, n, where, factor, most)
        else:
            jitter_images(<const float*>source, <float*>target, n, where, factor, most)
    return result


cdef cnp.ndarray pictures(images, layout, tuple dtypes, Layout* a):
    # the images as they lie in memory
    if not isinstance(images, np.ndarray):
        raise DTypeError(f"expected images to be a numpy array, got {type(images).__name__}")
    if images.dtype not in dtypes:
        raise DTypeError(f"expected images of dtype {', '.join([str(d) for d in dtypes])}, got {images.dtype}")
    if not isinstance(layout, str) or layout not in ("NCHW", "NHWC", "NHW"):
        raise ConfigError(f"expected layout to be 'NCHW', 'NHWC' or 'NHW', got {layout!r}")
    if images.ndim != len(layout):
        raise ShapeError(f"expected images of shape ({', '.join(layout)}), got {images.shape}")
    shape = dict(zip(layout, images.shape))
    a.planes = shape["C"] if layout == "NCHW" else 1
    a.height, a.width = shape["H"], shape["W"]
    a.pixel = images.itemsize * (shape["C"] if layout == "NHWC" else 1)
    return np.require(images, requirements=["C", "A"])


cdef uint64_t word_of(seed) except? 1:
    if isinstance(seed, np.random.Generator):
        return seed.integers(LARGEST_SEED, dtype=np.uint64, endpoint=True)
    return arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)


cdef tuple pair_of(value, str name, least):
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ShapeError(f"expected {name} to be one or two integers, got {value!r}")
    return tuple([arrays.integer(n, name, minimum=least, maximum=MOST_PAD) for n in pair])


cdef cnp.ndarray filling(value, channels, dtype):
    # one number for each channel, exact where the dtype holds integers
    array = arrays.finite(arrays.floats(value, "value"), "value")
    if array.shape not in ((), (channels,)):
        raise ShapeError(f"expected value to be a number or of shape ({channels},), got {array.shape}")
    if dtype == np.uint8 and not np.all((array >= 0) & (array <= 255) & (array == np.round(array))):
        raise InvalidValueError(f"expected value to be integers within 0..255, got {value!r}")
    with np.errstate(over="ignore"):
        return arrays.finite(np.ascontiguousarray(np.broadcast_to(array, (channels,)).astype(dtype)), "value")
