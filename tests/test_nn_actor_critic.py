"""Actor and critic: the log-probability is that of the action that came out."""

import numpy as np
import pytest
import tinygrad_here  # noqa: F401
from scipy import integrate, stats
from tinygrad import Context, Tensor, TinyJit

from rfx.errors import InvalidStateError, InvalidValueError, ShapeError
from rfx.nn import ActorCritic, ObservationNormalizer, Policy
from rfx.nn.distributions import BOUND, gaussian_entropy, gaussian_log_prob, squashed_entropy, squashed_log_prob
from rfx.nn.layers import run_layers

RNG = np.random.default_rng(2)
OBS = RNG.standard_normal((4, 3)).astype(np.float32)


def tensors(*values):
    return [Tensor(np.asarray(v, np.float32)) for v in values]


def make(**options):
    return ActorCritic(3, 2, [5], seed=1, **options)


@pytest.fixture(scope="module", params=["squashed", "plain", "dependent"])
def ac(request):
    options = {
        "squashed": {},
        "plain": {"squash": False, "log_std_init": -0.5},
        "dependent": {"state_dependent_std": True},
    }
    return make(**options[request.param])


def moments(ac):
    """Mean before squashing and standard deviation, in float64, from the weights."""
    p = {name: value.astype(np.float64) for name, value in ac.get_parameters().items()}
    x = np.tanh(OBS @ p["backbone.0.weight"].T + p["backbone.0.bias"])
    mean = x @ p["actor_head.weight"].T + p["actor_head.bias"]
    if "log_std" in p:
        log_std = np.broadcast_to(p["log_std"], mean.shape)
    else:
        log_std = -5 + 3.5 * (1 + np.tanh(x @ p["log_std_head.weight"].T + p["log_std_head.bias"]))
    return mean, np.exp(log_std), x @ p["critic_head.weight"].T + p["critic_head.bias"]


def log_density(action, mean, std, squashed):
    if not squashed:
        return stats.norm.logpdf(action, mean, std).sum(-1)
    u = np.arctanh(action.astype(np.float64))
    return (stats.norm.logpdf(u, mean, std) - np.log1p(-(action.astype(np.float64) ** 2))).sum(-1)


def test_gaussian_log_prob_and_entropy_are_those_of_scipy():
    mean, log_std, value = RNG.standard_normal((3, 6, 4))
    found = gaussian_log_prob(*tensors(mean, log_std, value)).numpy()
    np.testing.assert_allclose(found, stats.norm.logpdf(value, mean, np.exp(log_std)).sum(-1), rtol=1e-4)
    np.testing.assert_allclose(
        gaussian_entropy(Tensor(log_std.astype(np.float32))).numpy(),
        stats.norm.entropy(scale=np.exp(log_std)).sum(-1),
        rtol=1e-5,
    )


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.8, 0.3), (-1.5, 1.0), (0.3, 2.0)])
def test_the_squashed_density_integrates_to_one(mean, std):
    grid = np.tanh(np.linspace(-7.0, 7.0, 4001))
    log_prob = squashed_log_prob(*tensors(np.full((4001, 1), mean), np.log([std]), grid[:, None])).numpy()
    u = np.arctanh(grid.astype(np.float32).astype(np.float64))
    mass = integrate.trapezoid(np.exp(log_prob.astype(np.float64)) * (1 - np.tanh(u) ** 2), u)
    want = stats.norm.cdf(7, mean, std) - stats.norm.cdf(-7, mean, std)
    assert mass == pytest.approx(want, abs=2e-4)


def test_the_squashed_density_is_the_slope_of_the_squashed_distribution():
    a, mean, std, h = np.linspace(-0.95, 0.95, 21), 0.4, 0.7, 1e-5
    slope = (stats.norm.cdf(np.arctanh(a + h), mean, std) - stats.norm.cdf(np.arctanh(a - h), mean, std)) / (2 * h)
    found = squashed_log_prob(*tensors(np.full((21, 1), mean), [np.log(std)], a[:, None])).numpy()
    np.testing.assert_allclose(np.exp(found), slope, rtol=1e-4)


@pytest.mark.parametrize("std", [0.05, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("mean", [0.0, 0.7, -3.0])
def test_the_squashed_entropy_is_the_integral(mean, std):
    def part(u):
        return -stats.norm.pdf(u, mean, std) * (
            stats.norm.logpdf(u, mean, std) - 2 * (np.log(2) - u - np.logaddexp(0, -2 * u))
        )

    want = integrate.quad(part, mean - 12 * std, mean + 12 * std, limit=400)[0]
    found = squashed_entropy(*tensors([[mean]], [np.log(std)])).numpy()
    assert found.shape == (1,)
    assert found[0] == pytest.approx(want, abs=1e-4)


def test_the_ends_give_finite_numbers_and_gradients():
    mean, log_std, action = tensors([[0.0, 50.0, -50.0]], [0.0, -5.0, 2.0], [[1.0, -1.0, 1.0]])
    log_prob = squashed_log_prob(mean, log_std, action)
    (log_prob.sum() + squashed_entropy(mean, log_std).sum()).backward()
    assert np.isfinite(log_prob.numpy()).all()
    assert np.isfinite(mean.grad.numpy()).all()
    assert np.isfinite(log_std.grad.numpy()).all()


def test_actions_come_with_their_own_log_prob(ac):
    mean, std, value = moments(ac)
    action, log_prob, entropy, found = (t.numpy() for t in ac.get_action_and_value(OBS, seed=5))
    assert (action.shape, log_prob.shape, entropy.shape, found.shape) == ((4, 2), (4,), (), (4,))
    np.testing.assert_allclose(log_prob, log_density(action, mean, std, ac.squash), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found, value[:, 0], atol=1e-5)
    if ac.squash:
        assert np.abs(action).max() <= BOUND
    else:
        assert entropy == pytest.approx(stats.norm.entropy(scale=std).sum(-1).mean(), abs=1e-4)


def test_the_update_sees_the_log_prob_of_the_draw(ac):
    for _ in range(3):
        action, log_prob, entropy, value = ac.get_action_and_value(OBS, seed=6)
    again = ac.get_action_and_value(Tensor(OBS), action)
    for one, two in zip((action, log_prob, entropy, value), again, strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=2e-5)


def test_saturated_actions_keep_one_log_prob():
    ac = make(log_std_init=2.0)
    action, log_prob, *_ = ac.get_action_and_value(np.tile(OBS, (50, 1)), seed=1)
    assert np.abs(action.numpy()).max() == np.float32(BOUND)
    again = ac.get_action_and_value(np.tile(OBS, (50, 1)), action.numpy())[1]
    np.testing.assert_allclose(log_prob.numpy(), again.numpy(), atol=1e-3)


def test_a_seed_fixes_the_draw_and_draws_differ(ac):
    one, two, other = (ac.get_action_and_value(OBS, seed=s)[0].numpy() for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).min() > 0
    free = [ac.get_action_and_value(OBS)[0].numpy() for _ in range(3)]
    assert np.abs(free[0] - free[1]).min() > 0
    assert np.abs(free[1] - free[2]).min() > 0
    Tensor.manual_seed(3)
    one = ac.get_action_and_value(OBS)[0].numpy()
    Tensor.manual_seed(3)
    np.testing.assert_array_equal(one, ac.get_action_and_value(OBS)[0].numpy())


def test_the_draws_have_the_distribution_they_claim():
    ac = make(squash=False, log_std_init=-0.5)
    mean, std, _ = moments(ac)
    many = np.repeat(OBS[:1], 4000, axis=0)
    action = ac.get_action_and_value(many, seed=9)[0].numpy()
    for i in range(2):
        assert stats.kstest(action[:, i], stats.norm(mean[0, i], std[0, i]).cdf).pvalue > 1e-3


def test_no_gradient_flows_through_a_draw_and_it_flows_through_the_update():
    ac = make()
    with Context(TRAINING=1):
        action, log_prob, _, value = ac.get_action_and_value(OBS, seed=1)
        log_prob.sum().backward()
        first = ac.actor_head.bias.grad.numpy()
        ac.actor_head.bias.grad = None
        _, log_prob, entropy, value = ac.get_action_and_value(OBS, action.numpy())
        (log_prob.sum() + 0 * entropy + 0 * value.sum()).backward()
    np.testing.assert_allclose(first, ac.actor_head.bias.grad.numpy(), atol=1e-5)
    mean, std, _ = moments(ac)
    want = ((np.arctanh(action.numpy().astype(np.float64)) - mean) / std**2).sum(0)
    np.testing.assert_allclose(first, want, rtol=1e-3, atol=1e-4)


def test_the_forward_methods_agree(ac):
    mean, value = ac.forward_actor_critic(Tensor(OBS))
    assert (mean.shape, value.shape) == ((4, 2), (4, 1))
    want, _, want_value = moments(ac)
    np.testing.assert_allclose(mean.numpy(), np.tanh(want) if ac.squash else want, atol=1e-5)
    np.testing.assert_allclose(value.numpy(), want_value, atol=1e-5)
    np.testing.assert_allclose(ac(OBS).numpy(), mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(run_layers(ac.describe(), ac.get_parameters(), OBS)[0], mean.numpy(), atol=1e-5)


def test_a_saved_actor_critic_comes_back(ac, tmp_path):
    found = Policy.load(ac.save(tmp_path / "walk"))
    assert found.config_dict() == ac.config_dict()
    for one, two in zip(ac.get_action_and_value(OBS, seed=4), found.get_action_and_value(OBS, seed=4), strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-6)


def test_a_normaliser_counts_in_every_method():
    ac, raw = make(layer_norm=True), OBS * 3 + 1
    ac.normalizer = ObservationNormalizer(3)
    ac.normalizer.update(raw)
    inside = ac.normalizer.normalize(raw.astype(np.float64))
    with_it = [*ac.forward_actor_critic(raw), *ac.get_action_and_value(raw, seed=1), ac(raw)]
    ac.normalizer = None
    without = [*ac.forward_actor_critic(inside), *ac.get_action_and_value(inside, seed=1), ac(inside)]
    for one, two in zip(with_it, without, strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=2e-5)


def test_shapes_and_seeds_that_cannot_be_are_refused():
    ac = make()
    with pytest.raises(ShapeError, match="obs of shape"):
        ac.get_action_and_value(OBS[0])
    with pytest.raises(ShapeError, match="action of shape"):
        ac.get_action_and_value(OBS, np.zeros((4, 3)))
    with pytest.raises(InvalidValueError, match="seed"):
        ac.get_action_and_value(OBS, seed=-1)
    with pytest.raises(InvalidValueError, match="log_std_init"):
        make(log_std_init=9.0)
    step = TinyJit(lambda x: ac.get_action_and_value(x, seed=1)[0])
    step(Tensor(OBS).realize())
    with pytest.raises(InvalidStateError, match="constant"):
        step(Tensor(OBS).realize())


def test_no_hidden_layer_is_allowed():
    ac = ActorCritic(3, 2, [], seed=1)
    assert ac.get_action_and_value(OBS, seed=1)[0].shape == (4, 2)
