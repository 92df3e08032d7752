"""rfx.estimators.augmentation and image_augmentation against numpy, image by image."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rlox_core import rlox_core

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.estimators import (
    Chain,
    ColorJitter,
    Cutout,
    ImageAugmentation,
    RandomCrop,
    RandomShift,
    color_jitter,
    random_crop,
    random_cutout,
    random_shift,
    random_shift_batch,
)
from rfx.seeding import ChaCha8Rng, derive_seed

DTYPES = [np.uint8, np.float32, np.float64]
LAYOUTS = ["NCHW", "NHWC", "NHW"]
AUGMENTATIONS = [RandomShift(2), RandomShift(2, "edge"), RandomCrop(5, 4), Cutout(2, 4), ColorJitter(0.4, 0.4, 0.4)]


def pictures(dtype=np.uint8, n=6, c=3, h=9, w=8, seed=0):
    x = np.random.default_rng(seed).integers(1, 256, (n, c, h, w))
    return (x / 255).astype(dtype) if np.dtype(dtype).kind == "f" else x.astype(dtype)


def laid_out(x, layout):
    """(N, C, H, W) images in another layout; NHW takes the first channel."""
    return np.ascontiguousarray({"NCHW": x, "NHWC": x.transpose(0, 2, 3, 1), "NHW": x[:, 0]}[layout])


def draws(seed, *limits):
    """One integer of each range for each of many images, drawn in order."""
    rng = ChaCha8Rng(seed)
    while True:
        yield [rng.integers(n) for n in limits]


def slow_shift(x, pad, seed, mode):
    options = {"mode": "constant"} if mode == "zeros" else {"mode": "edge"}
    out = []
    for image, (dy, dx) in zip(x, draws(seed, 2 * pad + 1, 2 * pad + 1), strict=False):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), **options)
        out.append(padded[:, dy : dy + x.shape[2], dx : dx + x.shape[3]])
    return np.array(out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["zeros", "edge"])
@settings(max_examples=30)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 12), st.integers(0, 2**64 - 1))
def test_shift_is_a_window_of_the_padded_image(dtype, layout, mode, h, w, pad, seed):
    x = pictures(dtype, 5, 2, h, w, seed % 2**32)
    expected = laid_out(slow_shift(x, pad, seed, mode), layout)
    shifted = random_shift(laid_out(x, layout), pad, seed, mode=mode, layout=layout)
    assert shifted.dtype == dtype
    np.testing.assert_array_equal(shifted, expected)


def test_shift_is_rloxs_to_the_bit():
    rlox = rlox_core()
    for n, c, h, w, pad in ((7, 3, 12, 10, 4), (3, 1, 2, 2, 5), (2, 2, 5, 5, 0)):
        flat = pictures(np.float32, n, c, h, w).ravel()
        for seed in (0, 1, 42, 2**64 - 1):
            theirs = rlox.random_shift_batch(flat, n, c, h, w, pad, seed)
            np.testing.assert_array_equal(random_shift_batch(flat, n, c, h, w, pad, seed), theirs)


def test_known_shifts():
    """Without rlox: below 3, seed 42 draws 0, then 2."""
    x = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3).repeat(2, 0)
    shifted = random_shift(x, 1, 42, layout="NHW")
    np.testing.assert_array_equal(shifted[0], [[0, 0, 0], [2, 3, 0], [5, 6, 0]])


def test_pad_0_copies():
    x = pictures()
    y = random_shift(x, 0, 1)
    np.testing.assert_array_equal(x, y)
    assert not np.shares_memory(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 8), st.integers(0, 2**64 - 1))
def test_crop_is_a_window(dtype, layout, height, width, seed):
    x = pictures(dtype)
    windows = zip(x, draws(seed, 9 - height + 1, 8 - width + 1), strict=False)
    expected = np.array([image[:, y : y + height, z : z + width] for image, (y, z) in windows])
    cropped = random_crop(laid_out(x, layout), (height, width), seed, layout=layout)
    np.testing.assert_array_equal(cropped, laid_out(expected, layout))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cutout_fills_one_box_in_each_image(dtype, layout):
    x = pictures(dtype, n=40)
    value = [0.0, 1.0, 0.0] if layout != "NHW" else [0.0]
    y = random_cutout(laid_out(x, layout), (2, 5), 7, value=value, layout=layout)
    rng = ChaCha8Rng(7)
    expected = x.copy()
    for image in expected:
        h, w = 2 + rng.integers(4), 2 + rng.integers(4)
        top, left = rng.integers(9 - h + 1), rng.integers(8 - w + 1)
        image[:, top : top + h, left : left + w] = np.reshape([0, 1, 0], (3, 1, 1))
    np.testing.assert_array_equal(y, laid_out(expected, layout))


def slow_jitter(image, factors, most):
    """One (3, H, W) image with luma after BT.601."""
    b, c, s = factors
    luma = np.array([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    x = np.clip(b * image.astype(np.float64), 0, most)
    middle = (luma * x).sum(0).mean()
    x = np.clip(middle + c * (x - middle), 0, most)
    gray = (luma * x).sum(0)
    return np.clip(gray + s * (x - gray), 0, most)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("widths", [(0.4, 0.3, 0.5), (0.0, 0.0, 2.0), (1.5, 0.0, 0.0), (0.0, 0.9, 0.0)])
def test_jitter_is_the_formula(dtype, layout, widths):
    x, most = pictures(dtype, c=6), 255.0 if dtype == np.uint8 else 1.0
    units = ChaCha8Rng(3).uniform(0.0, 1.0, (6, 3))
    low, high = np.maximum(0.0, 1.0 - np.array(widths)), 1.0 + np.array(widths)
    factors = low + (high - low) * units
    expected = np.array(
        [[slow_jitter(i[g : g + 3], f, most) for g in (0, 3)] for i, f in zip(x, factors, strict=True)]
    ).reshape(x.shape)
    options = dict(zip(("brightness", "contrast", "saturation"), widths, strict=True))
    changed = color_jitter(laid_out(x, layout), 3, layout=layout, **options)
    assert changed.dtype == dtype
    tolerance = 0.5 + 1e-9 if dtype == np.uint8 else 1e-6
    np.testing.assert_allclose(changed.astype(np.float64), laid_out(expected, layout), rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_jitter_by_nothing_changes_nothing(dtype):
    x = pictures(dtype)
    np.testing.assert_allclose(color_jitter(x, 1), x, rtol=0, atol=1e-7)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=repr)
def test_every_augmentation_keeps_the_protocol(augmentation):
    x = pictures(np.float32, n=8)
    before = x.copy()
    assert isinstance(augmentation, ImageAugmentation)
    first = augmentation.augment_batch(x, 5)
    np.testing.assert_array_equal(first, augmentation.augment_batch(x, 5))
    assert (first != augmentation.augment_batch(x, 6)).any()
    wide = augmentation.augment_batch(laid_out(x, "NHWC"), 5, layout="NHWC")
    np.testing.assert_array_equal(wide, laid_out(first, "NHWC"))
    np.testing.assert_array_equal(x, before)
    assert augmentation.augment_batch(x[:0], 5).shape == (0, *first.shape[1:])
    assert pickle.loads(pickle.dumps(augmentation)) == augmentation
    rngs = [np.random.default_rng(1) for _ in range(2)]
    np.testing.assert_array_equal(*(augmentation.augment_batch(x, rng) for rng in rngs))


def test_images_do_not_depend_on_those_after_them():
    x = pictures()
    np.testing.assert_array_equal(random_shift(x, 3, 9)[:2], random_shift(x[:2], 3, 9))


def test_a_chain_gives_each_step_a_seed_of_its_own():
    class Invert:
        def augment_batch(self, images, seed, *, layout="NCHW"):
            return 255 - images

    x = pictures()
    chain = Chain((RandomShift(2), Invert(), RandomCrop(4, 4)))
    expected = random_crop(255 - random_shift(x, 2, derive_seed(11, 0)), 4, derive_seed(11, 2))
    np.testing.assert_array_equal(chain.augment_batch(x, 11), expected)
    assert chain.augment_batch(x, np.random.default_rng(0)).shape == (6, 3, 4, 4)
    with pytest.raises(DTypeError, match=r"steps\[0\]"):
        Chain((3,))


@pytest.mark.parametrize(
    "change",
    [
        lambda x, **o: random_shift(x, 2, 3, **o),
        lambda x, **o: random_cutout(x, 3, 3, **o),
        lambda x, **o: color_jitter(x, 3, contrast=0.5, **o),
        lambda x, **o: random_crop(x, (9, 8), 3, **o),
    ],
)
def test_out_is_written_and_returned(change):
    x = pictures()
    out = np.empty_like(x)
    assert change(x, out=out) is out
    np.testing.assert_array_equal(out, change(x))
    with pytest.raises(InvalidValueError, match="overlap"):
        change(x, out=x)
    with pytest.raises(DTypeError, match="uint8"):
        change(x, out=np.empty(x.shape, np.float32))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 9), st.integers(0, 2**64 - 1))
def test_nothing_is_written_beside_out(layout, h, w, pad, seed):
    x = laid_out(pictures(n=3, h=h, w=w), layout)
    memory = np.full(x.size + 128, 77, np.uint8)
    out = memory[64:-64].reshape(x.shape)
    random_shift(x, pad, seed, layout=layout, out=out)
    random_shift(x, pad, seed, mode="edge", layout=layout, out=out)
    random_cutout(x, (1, min(h, w)), seed, layout=layout, out=out)
    random_crop(x, (h, w), seed, layout=layout, out=out)
    color_jitter(x, seed, brightness=1.0, contrast=1.0, saturation=1.0, layout=layout, out=out)
    assert (memory[:64] == 77).all()
    assert (memory[-64:] == 77).all()


def test_not_contiguous_images_are_taken():
    x = pictures(h=18, w=16)
    np.testing.assert_array_equal(random_shift(x[:, :, ::2, ::2], 2, 3), random_shift(x[:, :, ::2, ::2].copy(), 2, 3))


@pytest.mark.parametrize("shape", [(2, 0, 3, 3), (2, 3, 0, 3), (2, 3, 3, 0), (0, 3, 3, 3)])
def test_empty_images_stay_empty(shape):
    x = np.zeros(shape, np.uint8)
    assert random_shift(x, 2, 1).shape == shape
    assert random_shift(x, 2, 1, mode="edge").shape == shape


def test_wrong_arguments_are_refused():
    x = pictures()
    with pytest.raises(ShapeError, match="N, C, H, W"):
        random_shift(x[0], 1, 1)
    with pytest.raises(DTypeError, match="int64"):
        random_shift(x.astype(int), 1, 1)
    with pytest.raises(DTypeError, match="numpy array"):
        random_shift(x.tolist(), 1, 1)
    with pytest.raises(ConfigError, match="layout"):
        random_shift(x, 1, 1, layout="CHWN")
    with pytest.raises(ConfigError, match="mode"):
        random_shift(x, 1, 1, mode="wrap")
    for pad in (-1, 2**40):
        with pytest.raises(InvalidValueError, match="pad"):
            random_shift(x, pad, 1)
    for seed in (-1, 2**64):
        with pytest.raises(InvalidValueError, match="seed"):
            random_shift(x, 1, seed)
    with pytest.raises(DTypeError, match="seed"):
        random_shift(x, 1, 1.5)
    with pytest.raises(ShapeError, match="at least 10 x 4"):
        random_crop(x, (10, 4), 1)
    with pytest.raises(InvalidValueError, match="size"):
        random_crop(x, 0, 1)
    with pytest.raises(ShapeError, match="size"):
        random_crop(x, (1, 2, 3), 1)
    with pytest.raises(ShapeError, match="at least 9 x 9"):
        random_cutout(x, (2, 9), 1)
    with pytest.raises(InvalidValueError, match="least"):
        random_cutout(x, (4, 2), 1)
    for value in (256, -1, 0.5, math.nan):
        with pytest.raises(InvalidValueError, match="value"):
            random_cutout(x, 2, 1, value=value)
    with pytest.raises(ShapeError, match="value"):
        random_cutout(x, 2, 1, value=[1, 2])
    with pytest.raises(ShapeError, match="threes"):
        color_jitter(x[:, :2], 1)
    with pytest.raises(InvalidValueError, match="brightness"):
        color_jitter(x, 1, brightness=-0.1)
    for bad in (1.5, -0.1, math.nan):
        with pytest.raises(InvalidValueError, match="images"):
            color_jitter(np.full((1, 3, 2, 2), bad, np.float32), 1)
    with pytest.raises(ShapeError, match="images"):
        random_shift_batch(x.ravel(), 6, 3, 9, 7, 1, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomShift(-1),
        lambda: RandomShift(1, "wrap"),
        lambda: RandomCrop(0, 1),
        lambda: Cutout(3, 2),
        lambda: Cutout(2, 3, math.nan),
        lambda: ColorJitter(-0.5),
    ],
)
def test_wrong_options_are_refused_when_made(make):
    with pytest.raises(InvalidValueError):
        make()
