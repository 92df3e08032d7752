"""rfx.llm.preference and policy_loss against slow loops from the formulas and against differences."""

import math
import pickle

import numpy as np
import pytest

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.llm import (
    DPOPair,
    collate_pairs,
    dpo_loss,
    importance_ratios,
    ipo_loss,
    kto_loss,
    ppo_clip_loss,
    reduce_tokens,
)

INF, NAN = math.inf, math.nan


def slopes(function, x, step=1e-6):
    """Central differences of a number by each entry of x."""
    result = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        result[i] = (function(up) - function(down)) / (2 * step)
    return result


# -- pairs


def test_tokens_of_a_pair_can_be_read_back():
    pair = DPOPair([1, 2, 3], np.array([4, 5]), [6, 7, 8])
    assert (pair.prompt_len(), pair.chosen_len(), pair.rejected_len()) == (3, 2, 3)
    assert pair.prompt_tokens.tolist() == [1, 2, 3]
    assert pair.chosen_tokens.tolist() == [4, 5]
    assert pair.rejected_tokens.tolist() == [6, 7, 8]
    assert pair.prompt_tokens.dtype == np.uint32
    assert repr(pair) == "DPOPair(prompt=3, chosen=2, rejected=3)"


def test_a_pair_is_a_value():
    tokens = np.array([1, 2], np.uint32)
    pair = DPOPair(tokens, [3], [])
    tokens[0] = 9
    assert pair == DPOPair([1, 2], [3], [])
    assert pair != DPOPair([1, 2], [], [3])
    assert pair != "pair"
    assert len({pair, DPOPair([1, 2], [3], [])}) == 1
    copy = pickle.loads(pickle.dumps(pair))
    assert copy == pair
    for p in (pair, copy):
        with pytest.raises(ValueError, match="read-only"):
            p.prompt_tokens[0] = 1
        with pytest.raises(AttributeError):
            p.prompt_tokens = [1]


@pytest.mark.parametrize(
    ("tokens", "error"),
    [
        ([-1], InvalidValueError),
        ([2**32], InvalidValueError),
        ([0.5], DTypeError),
        ([[1]], ShapeError),
        ("ab", ShapeError),
    ],
)
def test_what_is_no_token_is_refused(tokens, error):
    with pytest.raises(error, match="rejected_tokens"):
        DPOPair([1], [1], tokens)


def test_a_batch_has_the_preferred_completions_first():
    batch = collate_pairs([DPOPair([1, 2], [3], [4, 5, 6]), DPOPair([7], [8, 9], [])], pad=-100)
    assert batch["input_ids"].tolist() == [
        [1, 2, 3, -100, -100],
        [7, 8, 9, -100, -100],
        [1, 2, 4, 5, 6],
        [7, -100, -100, -100, -100],
    ]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]
    assert batch["completion_mask"].tolist() == [[0, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert batch["input_ids"].dtype == np.int64


@pytest.mark.parametrize(
    ("overlong", "ids", "completion"),
    [("keep_start", [1, 2, 3], [0, 0, 1]), ("keep_end", [3, 4, 5], [1, 1, 1])],
)
def test_long_rows_keep_one_end(overlong, ids, completion):
    batch = collate_pairs([DPOPair([1, 2], [3, 4, 5], [6])], max_length=3, overlong=overlong)
    assert batch["input_ids"][0].tolist() == ids
    assert batch["completion_mask"][0].tolist() == completion
    assert batch["input_ids"][1].tolist() == [1, 2, 6]


def test_widths_are_rounded_up_and_nothing_is_a_batch_too():
    assert collate_pairs([DPOPair([1], [2], [3])], multiple_of=8)["input_ids"].shape == (2, 8)
    assert collate_pairs([])["input_ids"].shape == (0, 0)


@pytest.mark.parametrize(
    ("pairs", "options", "error"),
    [
        ([([1], [2], [3])], {}, DTypeError),
        ([DPOPair([1], [2], [3])], {"max_length": 1}, InvalidValueError),
        ([DPOPair([1], [2], [3])], {"overlong": "cut"}, ConfigError),
        ([DPOPair([1], [2], [3])], {"multiple_of": 0}, InvalidValueError),
    ],
)
def test_batches_that_cannot_be_made_are_refused(pairs, options, error):
    with pytest.raises(error):
        collate_pairs(pairs, **options)


# -- preference losses


def four(n=50, seed=0):
    return np.random.default_rng(seed).uniform(-80, -5, (4, n))


def sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_dpo_agrees_with_its_formula(label_smoothing):
    pc, pr, rc, rr = four()
    got = dpo_loss(pc, pr, rc, rr, beta=0.3, label_smoothing=label_smoothing)
    for i in range(len(pc)):
        z = 0.3 * ((pc[i] - pr[i]) - (rc[i] - rr[i]))
        expected = -(1 - label_smoothing) * math.log(sigmoid(z)) - label_smoothing * math.log(sigmoid(-z))
        assert got.losses[i] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(got.chosen_rewards, 0.3 * (pc - rc))
    np.testing.assert_allclose(got.rejected_rewards, 0.3 * (pr - rr))
    assert got.accuracy == np.mean(got.chosen_rewards > got.rejected_rewards)


@pytest.mark.parametrize(
    "loss", [dpo_loss, ipo_loss, lambda *a: dpo_loss(*a, beta=0.5, label_smoothing=0.1)], ids=["dpo", "ipo", "smoothed"]
)
def test_slopes_of_preference_losses_are_their_differences(loss):
    pc, pr, rc, rr = four(12, 1) / 20
    got = loss(pc, pr, rc, rr)
    np.testing.assert_allclose(
        got.chosen_grad, slopes(lambda x: loss(x, pr, rc, rr).losses.sum(), pc), rtol=1e-6, atol=1e-8
    )
    np.testing.assert_allclose(
        got.rejected_grad, slopes(lambda x: loss(pc, x, rc, rr).losses.sum(), pr), rtol=1e-6, atol=1e-8
    )


def test_dpo_stays_finite_far_out():
    got = dpo_loss([0.0, -1e5], [-1e5, 0.0], [0.0, 0.0], [0.0, 0.0], beta=1.0)
    np.testing.assert_array_equal(got.losses, [0.0, 1e5])
    np.testing.assert_array_equal(got.chosen_grad, [0.0, -1.0])


def test_an_untrained_policy_has_the_loss_log_two():
    assert dpo_loss([-3.0], [-4.0], [-3.0], [-4.0]).losses[0] == pytest.approx(math.log(2), rel=1e-15)


def test_ipo_agrees_with_its_formula():
    pc, pr, rc, rr = four()
    got = ipo_loss(pc, pr, rc, rr, beta=0.2)
    np.testing.assert_allclose(got.losses, ((pc - pr - rc + rr) - 2.5) ** 2, rtol=1e-12)


def test_kto_agrees_with_its_formula_and_its_differences():
    rng = np.random.default_rng(2)
    policy, reference = rng.uniform(-30, -5, (2, 40))
    desirable = rng.random(40) < 0.5
    options = {"kl": 1.5, "beta": 0.2, "desirable_weight": 1.3, "undesirable_weight": 0.7}
    got = kto_loss(policy, reference, desirable, **options)
    for i in range(40):
        r = policy[i] - reference[i]
        expected = 1.3 * (1 - sigmoid(0.2 * (r - 1.5))) if desirable[i] else 0.7 * (1 - sigmoid(0.2 * (1.5 - r)))
        assert got.losses[i] == pytest.approx(expected, rel=1e-9)
    difference = slopes(lambda x: kto_loss(x, reference, desirable, **options).losses.sum(), policy)
    np.testing.assert_allclose(got.grad, difference, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(got.rewards, 0.2 * (policy - reference))


def test_a_divergence_below_zero_counts_as_none():
    np.testing.assert_array_equal(
        kto_loss([-1.0], [-2.0], [True], kl=-5.0).losses, kto_loss([-1.0], [-2.0], [True]).losses
    )


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: dpo_loss([1.0], [1.0, 2.0], [1.0], [1.0]), ShapeError),
        (lambda: dpo_loss([NAN], [1.0], [1.0], [1.0]), InvalidValueError),
        (lambda: dpo_loss([-INF], [1.0], [1.0], [1.0]), InvalidValueError),
        (lambda: dpo_loss([1.0], [1.0], [1.0], [1.0], beta=0.0), InvalidValueError),
        (lambda: dpo_loss([1.0], [1.0], [1.0], [1.0], label_smoothing=0.5), InvalidValueError),
        (lambda: ipo_loss([[1.0]], [1.0], [1.0], [1.0]), ShapeError),
        (lambda: kto_loss([1.0], [1.0], [True, False]), ShapeError),
        (lambda: kto_loss([1.0], [1.0], [True], kl=NAN), InvalidValueError),
        (lambda: kto_loss([1.0], [1.0], [2]), DTypeError),
    ],
)
def test_preference_losses_refuse_what_does_not_fit(call, error):
    with pytest.raises(error):
        call()


# -- ratios and the clipped loss


def batch(seed=0, shape=(5, 7)):
    rng = np.random.default_rng(seed)
    old = rng.uniform(-6, -0.1, shape)
    new = old + rng.normal(0, 0.3, shape)
    mask = rng.random(shape) < 0.8
    mask[1] = False
    return new, old, rng.normal(size=shape), mask


def clip_loss(new, old, adv, mask, low, high, level, reduction, max_length):
    """Token by token, from the definition."""
    sums, counts = [], []
    for i in range(len(new)):
        at = np.flatnonzero(mask[i])
        mean = sum(new[i, t] - old[i, t] for t in at) / max(len(at), 1)
        total = 0.0
        for t in at:
            r = math.exp(mean if level == "sequence" else new[i, t] - old[i, t])
            total -= min(r * adv[i, t], min(max(r, 1 - low), 1 + high) * adv[i, t])
        sums.append(total)
        counts.append(len(at))
    return {
        "sum": sum(sums),
        "token_mean": sum(sums) / sum(counts),
        "sequence_mean": sum(s / max(c, 1) for s, c in zip(sums, counts, strict=True)) / len(sums),
        "fixed_mean": sum(sums) / (len(sums) * max_length),
    }[reduction]


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("reduction", ["sum", "token_mean", "sequence_mean", "fixed_mean"])
@pytest.mark.parametrize("seed", range(4))
def test_the_clipped_loss_and_its_slope_agree_with_the_definition(level, reduction, seed):
    new, old, adv, mask = batch(seed)
    options = {"clip": 0.2, "clip_high": 0.28, "level": level, "reduction": reduction, "max_length": 9}
    got = ppo_clip_loss(new, old, adv, mask=mask, **options)
    assert got.loss == pytest.approx(clip_loss(new, old, adv, mask, 0.2, 0.28, level, reduction, 9), rel=1e-12)
    difference = slopes(lambda x: ppo_clip_loss(x, old, adv, mask=mask, **options).loss, new)
    np.testing.assert_allclose(got.grad, difference, rtol=1e-5, atol=1e-9)
    assert (got.grad[~mask] == 0).all()
    assert (got.ratios[~mask] == 0).all()


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("reduction", ["sum", "token_mean", "sequence_mean", "fixed_mean"])
def test_packed_tokens_give_the_loss_of_their_rows(level, reduction):
    new, old, adv, mask = batch(3)
    options = {"level": level, "reduction": reduction, "max_length": 7}
    rows = ppo_clip_loss(new, old, adv, mask=mask, **options)
    flat = [a.ravel() for a in (new, old, adv)]
    packed = ppo_clip_loss(*flat, mask=mask.ravel(), offsets=np.arange(6) * 7, **options)
    assert packed.loss == rows.loss
    np.testing.assert_array_equal(packed.grad, rows.grad.ravel())
    assert packed.clip_fraction == rows.clip_fraction


def test_advantages_of_sequences_go_to_all_of_their_tokens():
    new, old, _, mask = batch(4)
    adv = np.array([1.0, -1.0, 0.5, 0.0, -2.0])
    each = ppo_clip_loss(new, old, np.repeat(adv[:, None], 7, axis=1), mask=mask)
    assert ppo_clip_loss(new, old, adv, mask=mask).loss == each.loss
    offsets = np.arange(6) * 7
    assert ppo_clip_loss(new.ravel(), old.ravel(), adv, mask=mask.ravel(), offsets=offsets).loss == each.loss


def test_clipped_tokens_are_counted_and_do_not_push():
    ratios = np.log([[1.5, 1.5, 0.5, 0.5]])
    got = ppo_clip_loss(ratios, np.zeros((1, 4)), [[1.0, -1.0, 1.0, -1.0]])
    assert got.clip_fraction == 0.5
    np.testing.assert_allclose(got.grad, [[0.0, 1.5 / 4, -0.5 / 4, 0.0]], rtol=1e-15)
    assert got.loss == pytest.approx((-1.2 + 1.5 - 0.5 + 0.8) / 4)


def test_ratios_are_those_of_tokens_or_of_sequences():
    new, old, _, mask = batch(5)
    d = np.where(mask, new - old, 0.0)
    np.testing.assert_allclose(importance_ratios(new, old, mask), np.where(mask, np.exp(d), 0.0), rtol=1e-15)
    means = d.sum(1) / np.maximum(mask.sum(1), 1)
    np.testing.assert_allclose(importance_ratios(new, old, mask, level="sequence"), np.exp(means), rtol=1e-14)
    assert importance_ratios(new, old, mask, level="sequence")[1] == 1.0
    assert importance_ratios([-1.0, -3.0], [-2.0, -2.0], level="sequence") == 1.0


def test_an_impossible_token_has_the_ratio_zero():
    np.testing.assert_array_equal(importance_ratios([-INF, -1.0], [-1.0, -1.0]), [0.0, 1.0])
    assert importance_ratios([-INF, -1.0], [-1.0, -1.0], level="sequence") == 0.0


def test_masked_tokens_may_be_anything():
    new, old, adv, mask = batch(6)
    expected = ppo_clip_loss(new, old, adv, mask=mask)
    for array in (new, old, adv):
        array[~mask] = NAN
    got = ppo_clip_loss(new, old, adv, mask=mask)
    assert got.loss == expected.loss
    np.testing.assert_array_equal(got.grad, expected.grad)


def test_no_tokens_give_no_loss():
    for level in ("token", "sequence"):
        got = ppo_clip_loss(np.empty((0, 4)), np.empty((0, 4)), np.empty(0), level=level)
        assert (got.loss, got.clip_fraction) == (0.0, 0.0)
    assert ppo_clip_loss([[1.0]], [[1.0]], [1.0], mask=[[False]]).loss == 0.0


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([NAN], [0.0], [1.0]), {}, InvalidValueError, r"log_probs\[0\]"),
        (([0.0], [-INF], [1.0]), {}, InvalidValueError, r"old_log_probs\[0\]"),
        (([0.0], [-800.0], [1.0]), {}, InvalidValueError, "ratio of inf"),
        (([0.0], [0.0], [INF]), {}, InvalidValueError, "advantages"),
        (([0.0], [0.0, 0.0], [1.0]), {}, ShapeError, "one shape"),
        (([0.0, 0.0], [0.0, 0.0], [1.0, 1.0, 1.0]), {}, ShapeError, "advantages"),
        (([0.0], [0.0], [1.0]), {"level": "word"}, ConfigError, "level"),
        (([0.0], [0.0], [1.0]), {"reduction": "mean"}, ConfigError, "reduction"),
        (([0.0], [0.0], [1.0]), {"clip": -0.1}, InvalidValueError, "clip"),
        (([0.0], [0.0], [1.0]), {"offsets": [0, 2]}, InvalidValueError, "offsets"),
    ],
)
def test_the_clipped_loss_refuses_what_does_not_fit(arguments, options, error, message):
    with pytest.raises(error, match=message):
        ppo_clip_loss(*arguments, **options)


def test_a_step_against_the_slope_lowers_the_loss():
    new, old, adv, mask = batch(7)
    got = ppo_clip_loss(new, old, adv, mask=mask, level="sequence")
    stepped = ppo_clip_loss(new - 1e-3 * got.grad, old, adv, mask=mask, level="sequence")
    assert stepped.loss < got.loss
    assert reduce_tokens(got.grad**2, how="sum") > 0


def test_results_say_in_one_line_what_they_are():
    assert repr(ppo_clip_loss([[0.0]], [[0.0]], [1.0])) == "TokenLoss(loss=-1, shape=(1, 1), clip_fraction=0.000)"
    assert repr(dpo_loss([2.0], [1.0], [1.0], [1.0])) == "PreferenceLoss(pairs=1, accuracy=1.000)"
    assert repr(kto_loss([2.0], [1.0], [True])) == "CompletionLoss(completions=1)"
