"""Pairs of completions, one preferred to the other, and losses that learn from them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx.arrays import finite, floats, integer, number
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.llm.reduction import token_exp, token_mask
from rfx.llm.tokens import listed, token_ids

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class DPOPair:
    """A prompt with two completions of it, the first preferred.

    Parameters
    ----------
    prompt_tokens, chosen_tokens, rejected_tokens : array_like of int, shape (n,)
        Token ids, 0 to 2**32 - 1; any may be empty. Kept as read-only uint32 copies.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Not vectors; not integers; out of range.

    Examples
    --------
    >>> pair = DPOPair([1, 2, 3], [4, 5], [6, 7, 8])
    >>> pair.chosen_len(), pair.rejected_len(), pair.chosen_tokens.tolist()
    (2, 3, [4, 5])
    """

    prompt_tokens: Any
    chosen_tokens: Any
    rejected_tokens: Any

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "chosen_tokens", "rejected_tokens"):
            tokens = token_ids(getattr(self, name), name, np.uint32).copy()
            tokens.flags.writeable = False
            object.__setattr__(self, name, tokens)

    def prompt_len(self) -> int:
        """Return the number of tokens of the prompt."""
        return len(self.prompt_tokens)

    def chosen_len(self) -> int:
        """Return the number of tokens of the preferred completion."""
        return len(self.chosen_tokens)

    def rejected_len(self) -> int:
        """Return the number of tokens of the other completion."""
        return len(self.rejected_tokens)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DPOPair):
            return NotImplemented
        return all(np.array_equal(a, b) for a, b in zip(self._parts(), other._parts(), strict=True))

    def __hash__(self) -> int:
        return hash(tuple(part.tobytes() for part in self._parts()))

    def _parts(self) -> tuple[NDArray[np.uint32], ...]:
        return self.prompt_tokens, self.chosen_tokens, self.rejected_tokens

    def __reduce__(self) -> tuple[Any, ...]:
        return DPOPair, self._parts()

    def __repr__(self) -> str:
        return f"DPOPair(prompt={self.prompt_len()}, chosen={self.chosen_len()}, rejected={self.rejected_len()})"


def collate_pairs(
    pairs: Iterable[DPOPair],
    *,
    pad: int = 0,
    max_length: int | None = None,
    overlong: Literal["raise", "keep_start", "keep_end"] = "raise",
    multiple_of: int = 1,
) -> dict[str, NDArray[Any]]:
    """Put B pairs into one batch of 2 B rows: the preferred completions first, then the others.

    Parameters
    ----------
    pairs : iterable of DPOPair
    pad : int
        Token id to the right of shorter rows.
    max_length : int, optional
        The most tokens of prompt and completion together.
    overlong : {"raise", "keep_start", "keep_end"}
        What to do with more: refuse, or keep that many from one end.
    multiple_of : int
        The width is rounded up to a multiple of this.

    Returns
    -------
    dict of str to ndarray, shape (2 B, L)
        ``input_ids`` int64, ``attention_mask`` uint8 and ``completion_mask`` uint8, which is 1 where loss is to be taken.
        Row i and row B + i are of pair i.

    Raises
    ------
    DTypeError, ConfigError, InvalidValueError
        Not pairs; an unknown ``overlong``; a row that is too long.
    """
    if overlong not in ("raise", "keep_start", "keep_end"):
        raise ConfigError(f'expected overlong to be "raise", "keep_start" or "keep_end", got {overlong!r}')
    filler, step = (
        integer(pad, "pad", minimum=-(2**63), maximum=2**63 - 1),
        integer(multiple_of, "multiple_of", minimum=1),
    )
    most = None if max_length is None else integer(max_length, "max_length", minimum=1)
    given = listed(pairs)
    for i, pair in enumerate(given):
        if not isinstance(pair, DPOPair):
            raise DTypeError(f"expected pairs[{i}] to be a DPOPair, got {type(pair).__name__}")
    rows = []
    for completion in ("chosen_tokens", "rejected_tokens"):
        for i, pair in enumerate(given):
            tokens = np.concatenate((pair.prompt_tokens, getattr(pair, completion)))
            begin = pair.prompt_len()
            if most is not None and len(tokens) > most:
                if overlong == "raise":
                    raise InvalidValueError(f"expected at most {most} tokens, got {len(tokens)} in pairs[{i}]")
                cut = len(tokens) - most if overlong == "keep_end" else 0
                tokens, begin = tokens[cut : cut + most], max(begin - cut, 0)
            rows.append((tokens, begin))
    width = -(-max((len(t) for t, _ in rows), default=0) // step) * step
    ids = np.full((len(rows), width), filler, np.int64)
    attention, completions = np.zeros((2, len(rows), width), np.uint8)
    for i, (tokens, begin) in enumerate(rows):
        ids[i, : len(tokens)] = tokens
        attention[i, : len(tokens)] = 1
        completions[i, begin : len(tokens)] = 1
    return {"input_ids": ids, "attention_mask": attention, "completion_mask": completions}


@dataclass(frozen=True, eq=False, repr=False)
class PreferenceLoss:
    """Loss of each pair, the rewards it implies, and its slope: (B,) float64 each.

    ``chosen_grad`` and ``rejected_grad`` are the derivatives of ``losses`` by the policy's log-probabilities.
    """

    losses: Vector
    chosen_rewards: Vector
    rejected_rewards: Vector
    chosen_grad: Vector
    rejected_grad: Vector

    @property
    def accuracy(self) -> float:
        """Share of pairs whose preferred completion has the higher reward; 0.0 without pairs."""
        return float(np.mean(self.chosen_rewards > self.rejected_rewards)) if len(self.losses) else 0.0

    def __repr__(self) -> str:
        return f"PreferenceLoss(pairs={len(self.losses)}, accuracy={self.accuracy:.3f})"


@dataclass(frozen=True, eq=False, repr=False)
class CompletionLoss:
    """Loss of each completion, the reward it implies, and the derivative by the policy's log-probability: (B,) float64."""

    losses: Vector
    rewards: Vector
    grad: Vector

    def __repr__(self) -> str:
        return f"CompletionLoss(completions={len(self.losses)})"


def _log_probs(values: dict[str, ArrayLike]) -> list[Vector]:
    arrays = [finite(floats(v, name, (None,), np.float64), name) for name, v in values.items()]
    if len({len(a) for a in arrays}) > 1:
        raise ShapeError(f"expected {', '.join(values)} of one length, got {', '.join(str(len(a)) for a in arrays)}")
    return arrays


def _sigmoid(z: Vector) -> Vector:
    small = token_exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def _log_sigmoid(z: Vector) -> Vector:
    return np.minimum(z, 0.0) - np.log1p(token_exp(-np.abs(z)))


def dpo_loss(
    policy_chosen: ArrayLike,
    policy_rejected: ArrayLike,
    ref_chosen: ArrayLike,
    ref_rejected: ArrayLike,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
) -> PreferenceLoss:
    """Compute -log sigmoid(beta h), h = (policy_chosen - policy_rejected) - (ref_chosen - ref_rejected).

    Parameters
    ----------
    policy_chosen, policy_rejected, ref_chosen, ref_rejected : array_like, shape (B,)
        Log-probabilities of whole completions: sums over their tokens, see :func:`rfx.llm.reduce_tokens`.
    beta : float
        Above 0.
    label_smoothing : float
        0 to below 0.5: the chance that a preference is the wrong way round (conservative DPO).

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Lengths differ; not numbers; not finite or out of range.

    Notes
    -----
    Rafailov et al. 2023, eq. 7. Implied rewards are beta (policy - reference).
    """
    b = number(beta, "beta", above=0.0)
    e = number(label_smoothing, "label_smoothing", minimum=0.0, below=0.5)
    names = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
    pc, pr, rc, rr = _log_probs(
        dict(zip(names, (policy_chosen, policy_rejected, ref_chosen, ref_rejected), strict=True))
    )
    z = b * ((pc - pr) - (rc - rr))
    losses = -(1.0 - e) * _log_sigmoid(z) - e * _log_sigmoid(-z)
    slope = b * (e * _sigmoid(z) - (1.0 - e) * _sigmoid(-z))
    return PreferenceLoss(losses, b * (pc - rc), b * (pr - rr), slope, -slope)


def ipo_loss(
    policy_chosen: ArrayLike,
    policy_rejected: ArrayLike,
    ref_chosen: ArrayLike,
    ref_rejected: ArrayLike,
    *,
    beta: float = 0.1,
) -> PreferenceLoss:
    """Compute (h - 1 / (2 beta))^2 with h as in :func:`dpo_loss`; Azar et al. 2023, eq. 17.

    Give mean log-probabilities per token, not sums, if completions differ in length, as TRL does.
    """
    b = number(beta, "beta", above=0.0)
    names = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
    pc, pr, rc, rr = _log_probs(
        dict(zip(names, (policy_chosen, policy_rejected, ref_chosen, ref_rejected), strict=True))
    )
    off = (pc - pr) - (rc - rr) - 1.0 / (2.0 * b)
    return PreferenceLoss(off * off, b * (pc - rc), b * (pr - rr), 2.0 * off, -2.0 * off)


def kto_loss(
    policy: ArrayLike,
    reference: ArrayLike,
    desirable: ArrayLike,
    *,
    kl: float = 0.0,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> CompletionLoss:
    """Compute w (1 - sigmoid(beta (+-(r - kl)))) for single completions, r = policy - reference.

    Parameters
    ----------
    policy, reference : array_like, shape (B,)
        Log-probabilities of whole completions.
    desirable : array_like of bool, shape (B,)
        + where true, - where false.
    kl : float
        How far the policy is from the reference: the mean of policy - reference over completions that belong to other
        prompts. Below 0 counts as 0; nothing is differentiated through it.
    beta, desirable_weight, undesirable_weight : float
        Above 0; at least 0.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Lengths differ; not numbers; not finite or out of range.

    Notes
    -----
    Ethayarajh et al. 2024, eq. 8.
    """
    b = number(beta, "beta", above=0.0)
    good, poor = (
        number(desirable_weight, "desirable_weight", minimum=0),
        number(undesirable_weight, "undesirable_weight", minimum=0),
    )
    p, r = _log_probs({"policy": policy, "reference": reference})
    flags = token_mask(desirable, p.shape)
    side, weight = np.where(flags, 1.0, -1.0), np.where(flags, good, poor)
    z = b * side * ((p - r) - max(number(kl, "kl"), 0.0))
    likely, unlikely = _sigmoid(z), _sigmoid(-z)
    return CompletionLoss(weight * unlikely, b * (p - r), -weight * b * side * likely * unlikely)
