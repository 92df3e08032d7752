"""Ratios between the policy that learns and the one that sampled, and the clipped loss over tokens."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx.arrays import floats, number
from rfx.errors import ConfigError, InvalidValueError, ShapeError
from rfx.llm.reduction import reduce_tokens, token_exp, token_mask, token_offsets

Floats = NDArray[np.float64]
Level = Literal["token", "sequence"]


@dataclass(frozen=True, eq=False, repr=False)
class TokenLoss:
    """A loss over tokens.

    Attributes
    ----------
    loss : float
    grad : ndarray, the shape of the log-probabilities, float64
        Derivative of ``loss`` by each of them; 0 behind the mask.
    ratios : ndarray, the same shape, float64
        New over old probability of each token, or of its sequence; 0 behind the mask.
    clip_fraction : float
        Share of tokens that do not push because they are clipped.
    """

    loss: float
    grad: Floats
    ratios: Floats
    clip_fraction: float

    def __repr__(self) -> str:
        return f"TokenLoss(loss={self.loss:.6g}, shape={self.grad.shape}, clip_fraction={self.clip_fraction:.3f})"


def _log_ratios(log_probs: Any, old_log_probs: Any, mask: Any) -> tuple[Floats, Any]:
    new = floats(log_probs, "log_probs", None, np.float64)
    old = floats(old_log_probs, "old_log_probs", None, np.float64)
    if new.shape != old.shape or new.ndim == 0:
        raise ShapeError(f"expected log_probs and old_log_probs of one shape (..., T), got {new.shape} and {old.shape}")
    seen = np.ones(new.shape, bool) if mask is None else token_mask(mask, new.shape)
    for name, array, good in (("log_probs", new, new < np.inf), ("old_log_probs", old, np.isfinite(old))):
        bad = seen & ~good
        if bad.any():
            at = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
            raise InvalidValueError(
                f"expected {name} to be finite where tokens count, got {array[at]} at {name}{list(at)}"
            )
    ratios = np.zeros(new.shape)
    ratios[seen] = new[seen] - old[seen]
    return ratios, seen


def _spread(per_sequence: Floats, offsets: NDArray[Any], shape: tuple[int, ...]) -> Floats:
    """Give each token the number of its sequence."""
    return np.repeat(per_sequence.ravel(), np.diff(offsets)).reshape(shape)


def _checked(ratios: Floats) -> Floats:
    if np.isinf(ratios).any():
        raise InvalidValueError("expected log_probs near enough to old_log_probs for finite ratios, got a ratio of inf")
    return ratios


def importance_ratios(
    log_probs: ArrayLike,
    old_log_probs: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    level: Level = "token",
    offsets: ArrayLike | None = None,
) -> Floats:
    """Return new over old probability, of each token or of each sequence.

    Parameters
    ----------
    log_probs, old_log_probs : array_like, shape (T,) or (..., T)
        What the two policies give to the sampled tokens; only the first may be -inf.
    mask : array_like of bool, the same shape, optional
        False: not looked at.
    level : {"token", "sequence"}
        "token": exp(new - old), 0 behind the mask. "sequence": exp of the mean of new - old over the sequence, which does
        not grow with its length (GSPO, Zheng et al. 2025, eq. 6); 1 for a sequence without tokens.
    offsets : array_like of int, shape (S + 1,), optional
        Where sequences begin in a vector of tokens.

    Returns
    -------
    ndarray, float64
        The shape of ``log_probs``; for "sequence" without its last axis, or (S,).

    Raises
    ------
    ShapeError, DTypeError, ConfigError, InvalidValueError
        Shapes differ; not numbers; an unknown level; not finite, or a ratio that is not.
    """
    if level not in ("token", "sequence"):
        raise ConfigError(f'expected level to be "token" or "sequence", got {level!r}')
    logs, seen = _log_ratios(log_probs, old_log_probs, mask)
    if level == "sequence":
        return _checked(token_exp(reduce_tokens(logs, seen, how="per_sequence_mean", offsets=offsets)))
    return _checked(np.where(seen, token_exp(logs), 0.0))


def ppo_clip_loss(
    log_probs: ArrayLike,
    old_log_probs: ArrayLike,
    advantages: ArrayLike,
    *,
    clip: float = 0.2,
    clip_high: float | None = None,
    mask: ArrayLike | None = None,
    level: Level = "token",
    reduction: str = "token_mean",
    offsets: ArrayLike | None = None,
    max_length: int | None = None,
) -> TokenLoss:
    """Compute the clipped surrogate -min(r A, clip(r, 1 - clip, 1 + clip_high) A) over tokens.

    Parameters
    ----------
    log_probs, old_log_probs : array_like, shape (T,) or (..., T)
        As for :func:`importance_ratios`.
    advantages : array_like
        One for each token (the shape of ``log_probs``) or one for each sequence (that without the last axis, or (S,)).
    clip, clip_high : float
        How far down and up a ratio may push; ``clip_high`` is ``clip`` if not given (DAPO: 0.2 and 0.28).
    mask : array_like of bool, optional
        False: the token does not count.
    level : {"token", "sequence"}
        Whose ratio r is (PPO and GRPO, or GSPO).
    reduction : {"token_mean", "sequence_mean", "fixed_mean", "sum"}
        See :func:`rfx.llm.reduce_tokens`.
    offsets, max_length : optional
        See there.

    Returns
    -------
    TokenLoss
        Loss, derivative, ratios and how many tokens are clipped.

    Raises
    ------
    ShapeError, DTypeError, ConfigError, InvalidValueError
        Shapes differ; not numbers; an unknown level or reduction; not finite or out of range.

    Notes
    -----
    Schulman et al. 2017, eq. 7. A token whose ratio left the interval on the side its advantage pushes to has the
    derivative 0.
    """
    low = number(clip, "clip", minimum=0.0)
    high = low if clip_high is None else number(clip_high, "clip_high", minimum=0.0)
    if reduction not in ("token_mean", "sequence_mean", "fixed_mean", "sum"):
        raise ConfigError(f'expected reduction "token_mean", "sequence_mean", "fixed_mean" or "sum", got {reduction!r}')
    _, seen = _log_ratios(log_probs, old_log_probs, mask)
    ratios = importance_ratios(log_probs, old_log_probs, seen, level=level, offsets=offsets)
    shape, at = seen.shape, token_offsets(offsets, seen.shape)
    if level == "sequence":
        ratios = np.where(seen, _spread(ratios, at, shape), 0.0)
    adv = _advantages(advantages, seen, at, offsets is not None)
    cut = seen & np.where(adv > 0, ratios > 1.0 + high, ratios < 1.0 - low) & (adv != 0)
    terms = -np.where(cut, np.where(adv > 0, 1.0 + high, 1.0 - low), ratios) * adv
    terms = np.where(seen, terms, 0.0)
    loss = reduce_tokens(terms, seen, how=reduction, offsets=offsets, max_length=max_length)
    slope = np.where(seen & ~cut, -ratios * adv, 0.0) * _weights(seen, reduction, at, offsets, max_length)
    if level == "sequence":  # each token moves the ratio of its sequence by 1 / length
        counts = reduce_tokens(seen, how="per_sequence_sum", offsets=offsets)
        sums = reduce_tokens(slope, how="per_sequence_sum", offsets=offsets)
        slope = np.where(seen, _spread(sums / np.maximum(counts, 1.0), at, shape), 0.0)
    clipped = reduce_tokens(cut, seen, how="token_mean", offsets=offsets)
    return TokenLoss(float(loss), slope + 0.0, ratios, float(clipped))


def _advantages(values: Any, seen: NDArray[Any], at: NDArray[Any], packed: bool) -> Floats:
    array = floats(values, "advantages", None, np.float64)
    rows = (len(at) - 1,) if packed else seen.shape[:-1]
    if array.shape == rows and array.shape != seen.shape:
        array = _spread(array, at, seen.shape)
    if array.shape != seen.shape:
        raise ShapeError(f"expected advantages of shape {seen.shape} or {rows}, got {array.shape}")
    bad = seen & ~np.isfinite(array)
    if bad.any():
        raise InvalidValueError(f"expected advantages to be finite where tokens count, got {array[bad][0]}")
    return np.where(seen, array, 0.0)


def _weights(seen: NDArray[Any], how: str, at: NDArray[Any], offsets: Any, max_length: int | None) -> Floats:
    """How much each token counts in the reduction: its derivative."""
    counts = reduce_tokens(seen, how="per_sequence_sum", offsets=offsets)
    if how == "sequence_mean":
        return _spread(1.0 / np.maximum(counts, 1.0), at, seen.shape) / max(np.size(counts), 1)
    if how == "fixed_mean":
        each = reduce_tokens(np.ones(seen.shape), how="fixed_mean", offsets=offsets, max_length=max_length)
        return np.full(seen.shape, each / max(seen.size, 1))
    return np.full(seen.shape, 1.0 if how == "sum" else 1.0 / max(float(np.sum(counts)), 1.0))
