"""As a user works: every example of the design document, and train, save, load elsewhere, compare."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tinygrad_here  # noqa: F401
from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn import Linear
from tinygrad.nn.optim import Adam

from rfx.nn import (
    MLP,
    ActorCritic,
    JitPolicy,
    ObservationNormalizer,
    Policy,
    go2_actor_critic,
    go2_mlp,
    read_policy_directory,
    register_policy,
)
from rfx.nn.layers import run_layers
from rfx.robots import GO2


def test_the_first_example_and_the_policy_for_the_go2():
    policy = go2_mlp()
    obs = Tensor.randn(1, 48)
    for _ in range(3):
        actions = policy(obs)
    assert actions.shape == (1, 12)
    assert policy.hidden == [256, 256]
    assert [layer.weight.shape for layer in policy.layers] == [(256, 48), (256, 256), (12, 256)]
    assert go2_mlp(hidden=[512, 512]).hidden == [512, 512]
    want = run_layers(policy.describe(), policy.get_parameters(), obs.numpy())[0]
    np.testing.assert_allclose(actions.numpy(), want, atol=1e-5)


def test_the_example_of_a_policy_of_ones_own(tmp_path):
    class CustomPolicy(Policy):
        def __init__(self):
            self.l1 = Linear(48, 256)
            self.l2 = Linear(256, 12)

        def forward(self, obs: Tensor) -> Tensor:
            x = self.l1(obs).tanh()
            return self.l2(x).tanh()

    policy = CustomPolicy()
    obs = np.ones((1, 48), np.float32)
    assert policy(obs).shape == (1, 12)
    path = policy.save(tmp_path / "custom")
    register_policy(CustomPolicy)
    found = Policy.load(path)
    assert isinstance(found, CustomPolicy)
    np.testing.assert_allclose(found(obs).numpy(), policy(obs).numpy(), atol=1e-6)


def test_the_examples_of_mlp_and_jit():
    policy = MLP(obs_dim=48, act_dim=12, hidden=[32, 32])
    obs = Tensor.randn(1, 48)
    assert policy(obs).shape == (1, 12)
    jit_policy = JitPolicy(policy)
    first = jit_policy(obs)
    second = jit_policy(obs)
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    assert MLP(48, 12).hidden == [256, 256]


def test_the_examples_of_actor_and_critic():
    ac = ActorCritic(48, 12)
    obs = Tensor.randn(32, 48)
    actions, values = ac.forward_actor_critic(obs)
    assert (actions.shape, values.shape) == ((32, 12), (32, 1))
    assert ac.hidden == go2_actor_critic().hidden == [256, 256]
    assert go2_actor_critic(hidden=[512, 512]).hidden == [512, 512]


def test_a_policy_is_trained_saved_and_used_elsewhere(tmp_path):
    rng = np.random.default_rng(0)
    teacher = rng.standard_normal((6, 2)) * 0.5
    normalizer = ObservationNormalizer(6)
    policy = MLP(6, 2, [8], seed=0)
    optimiser = Adam(policy.parameters(), lr=0.02)

    @TinyJit
    def learn(obs, actions):
        loss = (policy.forward(obs) - actions).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.realize()

    losses = []
    with Context(TRAINING=1):
        for _ in range(150):
            raw = 3.0 + 2.0 * rng.standard_normal((32, 6))
            obs = normalizer(raw).astype(np.float32)
            actions = np.tanh((raw - 3.0) / 2.0 @ teacher).astype(np.float32)
            losses.append(learn(policy.tensor(obs), Tensor(actions).realize()).item())
    assert np.mean(losses[-20:]) < 0.05 * losses[0]

    normalizer.frozen = True
    path = policy.save(tmp_path / "walk", normalizer=normalizer, robot_config=GO2, training_info={"steps": 150})
    raw = 3.0 + 2.0 * rng.standard_normal((5, 6))
    np.save(tmp_path / "obs.npy", raw)
    code = (
        "import sys, numpy as np\n"
        "from rfx.nn import Policy\n"
        "policy = Policy.load('walk')\n"
        "np.save('actions.npy', policy(np.load('obs.npy')).numpy())\n"
        "assert policy.training_info == {'steps': 150} and policy.robot_config.name == 'go2'\n"
    )
    root = str(Path(__file__).parent.parent)
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{code}"], check=True, cwd=tmp_path
    )
    found = np.load(tmp_path / "actions.npy")
    np.testing.assert_allclose(found, np.tanh((raw - 3.0) / 2.0 @ teacher), atol=0.2)
    inside = normalizer.normalize(raw)
    np.testing.assert_allclose(found, policy(inside).numpy(), atol=1e-5)
    files = read_policy_directory(path)
    np.testing.assert_allclose(found, run_layers(files.layers, files.tensors, inside)[0], atol=1e-5)


def test_a_policy_gradient_finds_the_better_action():
    ac = ActorCritic(1, 1, [], seed=0, log_std_init=-1.0)
    optimiser = Adam(ac.parameters(), lr=0.03)

    @TinyJit
    def learn(obs, action, advantage, old):
        _, log_prob, _, value = ac.get_action_and_value(obs, action)
        ratio = (log_prob - old).exp()
        clipped = ratio.clip(0.8, 1.2)
        loss = -(ratio * advantage).minimum(clipped * advantage).mean()
        loss = loss + 0.5 * (value - advantage).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.realize()

    obs = np.ones((64, 1), np.float32)
    for i in range(20):
        action, log_prob, *_ = ac.get_action_and_value(obs, seed=i)
        reward = -np.square(action.numpy()[:, 0] - 0.6)
        advantage = ((reward - reward.mean()) / reward.std()).astype(np.float32)
        with Context(TRAINING=1):
            for _ in range(4):
                learn(Tensor(obs).realize(), action, Tensor(advantage).realize(), log_prob)
    assert ac(obs[:1]).item() == pytest.approx(0.6, abs=0.15)
