"""LSTM and GRU policies: one state per environment, reset by mask."""

import numpy as np
import pytest
import tinygrad_here  # noqa: F401
from tinygrad import Tensor
from tinygrad.nn import LSTMCell

from rfx.errors import ConfigError, DTypeError, RfxError, ShapeError
from rfx.nn import JitPolicy, Policy, RecurrentPolicy, read_policy_directory
from rfx.nn.layers import initial_state, run_layers

RNG = np.random.default_rng(3)
OBS = RNG.standard_normal((6, 4, 3)).astype(np.float32)  # steps, environments, numbers


@pytest.fixture(params=["lstm", "gru"])
def net(request):
    return RecurrentPolicy(3, 2, [4], cell=request.param, size=5, seed=1)


def expected(net, obs, resets=None):
    layers, weights = net.describe(), net.get_parameters()
    state, actions = initial_state(layers, weights, obs.shape[1]), []
    for t, row in enumerate(obs):
        if resets is not None:
            state = [tuple(np.where(resets[t][:, None], 0, part) for part in parts) for parts in state]
        action, state = run_layers(layers, weights, row, state)
        actions.append(action)
    return np.array(actions)


def test_the_lstm_is_that_of_tinygrad():
    ours, theirs = RecurrentPolicy(3, 2, size=5, seed=1).memory, LSTMCell(3, 5)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(theirs, name, getattr(ours, name))
    h, c, x = (Tensor(RNG.standard_normal(s).astype(np.float32)) for s in ((4, 5), (4, 5), (4, 3)))
    for one, two in zip(ours(x, (h, c)), theirs(x, (h, c)), strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_cells_are_those_of_torch(kind):
    torch = pytest.importorskip("torch")
    ours = RecurrentPolicy(3, 2, cell=kind, size=5, seed=1).memory
    theirs = torch.nn.LSTMCell(3, 5) if kind == "lstm" else torch.nn.GRUCell(3, 5)
    theirs.load_state_dict({n: torch.from_numpy(getattr(ours, n).numpy().copy()) for n in theirs.state_dict()})
    x, *state = (
        RNG.standard_normal(s).astype(np.float32) for s in ((4, 3), (4, 5), (4, 5))[: 3 if kind == "lstm" else 2]
    )
    found = ours(Tensor(x), tuple(Tensor(s) for s in state))
    given = tuple(torch.from_numpy(s) for s in state)
    want = theirs(torch.from_numpy(x), given if kind == "lstm" else given[0])
    for one, two in zip(found, want if kind == "lstm" else (want,), strict=True):
        np.testing.assert_allclose(one.numpy(), two.detach().numpy(), atol=1e-6)


def test_calls_carry_the_state_and_resets_clear_it_per_environment(net):
    resets = RNG.random((6, 4)) < 0.4
    want = expected(net, OBS, resets)
    results = [net(OBS[t], resets[t]) for t in range(6)]
    np.testing.assert_allclose([r.numpy() for r in results], want, atol=1e-5)
    net.reset()
    for t in range(6):
        net.reset(resets[t])
        np.testing.assert_allclose(net(Tensor(OBS[t])).numpy(), want[t], atol=1e-5)
    net.reset()
    np.testing.assert_allclose(net(OBS[0]).numpy(), net.forward(Tensor(OBS[0])).numpy(), atol=1e-6)


def test_another_number_of_environments_needs_a_reset(net):
    net(OBS[0])
    with pytest.raises(ShapeError, match="expected obs of 4 environments, got 1"):
        net(OBS[0, :1])
    net.reset()
    np.testing.assert_allclose(net(OBS[0, :1]).numpy(), expected(net, OBS[:1, :1])[0], atol=1e-5)


def test_a_state_goes_out_and_in(net):
    for t in range(3):
        net(OBS[t])
    kept = net.state
    one = net(OBS[3]).numpy()
    net.state = kept
    np.testing.assert_array_equal(net(OBS[3]).numpy(), one)
    for bad in ([], [Tensor.zeros(4, 6)], [1.0], [kept[0]] * 3):
        with pytest.raises(ShapeError, match="state of a"):
            net.state = bad


def test_unrolling_is_the_same(net):
    resets = RNG.random((3, 4)) < 0.3
    actions, last = net.unroll(OBS[:3], resets=resets)
    np.testing.assert_allclose(actions.numpy(), expected(net, OBS[:3], resets), atol=1e-5)
    assert len(last) == (2 if net.cell == "lstm" else 1)
    actions, _ = net.unroll(Tensor(OBS[3:4]), last, Tensor(np.zeros((1, 4), bool)))
    want = expected(net, OBS[:4], np.concatenate([resets, np.zeros((1, 4), bool)]))[3:]
    np.testing.assert_allclose(actions.numpy(), want, atol=1e-5)


def test_gradients_flow_through_time():
    net = RecurrentPolicy(1, 1, cell="gru", size=3, seed=1)
    obs = RNG.standard_normal((2, 4, 1)).astype(np.float32)
    net.unroll(obs)[0][1].sum().backward()  # the last action alone: the first step counts through the state only
    found = net.memory.weight_ih.grad.numpy()
    weights, h = net.get_parameters(), 1e-3
    for place in ((2, 0), (7, 0)):
        sums = []
        for sign in (1, -1):
            moved = weights["memory.weight_ih"].astype(np.float64)
            moved[place] += sign * h
            state, given = None, weights | {"memory.weight_ih": moved}
            for row in obs.astype(np.float64):
                action, state = run_layers(net.describe(), given, row, state)
            sums.append(action.sum())
        assert found[place] == pytest.approx((sums[0] - sums[1]) / (2 * h), rel=1e-3, abs=1e-5)


def test_a_saved_policy_comes_back_described(net, tmp_path):
    net(OBS[0])
    path = net.save(tmp_path / "walk")
    found = Policy.load(path)
    assert found.state is None
    net.reset()
    for t in range(2):
        np.testing.assert_allclose(found(OBS[t]).numpy(), net(OBS[t]).numpy(), atol=1e-6)
    files = read_policy_directory(path)
    want = expected(net, OBS[:1])[0]
    np.testing.assert_allclose(run_layers(files.layers, files.tensors, OBS[0])[0], want, atol=1e-5)
    assert sorted(files.tensors) == sorted(net.get_parameters())
    net.reset()
    np.testing.assert_allclose(JitPolicy(net)(OBS[0]).numpy(), want, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda net: net(OBS[0], [True]), ShapeError),
        (lambda net: net(OBS[0], np.zeros(4)), DTypeError),
        (lambda net: net(OBS), ShapeError),
        (lambda net: net.unroll(OBS[0]), ShapeError),
        (lambda net: net.unroll(OBS, resets=np.zeros((4, 6), bool)), ShapeError),
        (lambda net: RecurrentPolicy(3, 2, cell="rnn"), ConfigError),
        (lambda net: RecurrentPolicy(3, 2, size=0), RfxError),
    ],
)
def test_what_does_not_fit_is_refused(call, error):
    with pytest.raises(error):
        call(RecurrentPolicy(3, 2, size=5, seed=1))
