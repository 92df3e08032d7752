"""Compiled policies against the tinygrad policies that they are made from."""

import numpy as np
import pytest

from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract import PolicyContract
from rfx.nn.contract_check import check_policy
from rfx.nn.contract_side import make_golden

pytest.importorskip("tinygrad")


@pytest.fixture(scope="module")
def nn():
    import rfx.nn

    try:
        rfx.nn.MLP(2, 1, hidden=[])(np.zeros((1, 2), np.float32)).numpy()
    except ImportError as error:
        pytest.skip(str(error))
    return rfx.nn


def normalizer(nn, n):
    rng = np.random.default_rng(9)
    fresh = nn.ObservationNormalizer(n, clip=3.0)
    fresh.update(rng.normal(size=(500, n)) * rng.uniform(0.5, 2, size=n) + rng.normal(size=n))
    return fresh


def test_a_hundred_thousand_observations_agree_with_tinygrad_to_a_hundred_thousandth(nn):
    policy = nn.MLP(48, 12, hidden=[256, 256])
    obs = np.random.default_rng(0).normal(size=(100_000, 48)).astype(np.float32)
    ours = CompiledPolicy.from_policy(policy)(obs)
    assert np.abs(ours - policy(obs).numpy()).max() < 1e-5


def test_a_policy_with_a_normaliser_agrees_from_memory_and_from_its_file(nn, tmp_path):
    policy = nn.ActorCritic(48, 12, hidden=[32])
    policy.normalizer = normalizer(nn, 48)
    policy.save(tmp_path / "walk")
    obs = np.random.default_rng(1).normal(size=(24, 48)).astype(np.float32) * 2
    wanted = policy(obs).numpy()
    np.testing.assert_allclose(CompiledPolicy.from_policy(policy)(obs), wanted, atol=1e-5)
    np.testing.assert_allclose(CompiledPolicy.load(tmp_path / "walk")(obs), wanted, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_recurrent_policy_agrees_step_by_step(nn, cell):
    policy = nn.RecurrentPolicy(9, 4, hidden=[16], cell=cell, size=20, seed=3)
    policy.normalizer = normalizer(nn, 9)
    compiled = CompiledPolicy.from_policy(policy)
    for obs in np.random.default_rng(4).normal(size=(4, 9)).astype(np.float32):
        np.testing.assert_allclose(compiled(obs), policy(obs[None]).numpy()[0], atol=1e-5)


def test_training_on_leaves_the_compiled_copy_as_it_was(nn):
    policy = nn.MLP(6, 3, hidden=[8], seed=1)
    compiled, obs = CompiledPolicy.from_policy(policy), np.ones(6, np.float32)
    before = compiled(obs)
    policy.set_parameters({name: value + 1 for name, value in policy.get_parameters().items()})
    assert np.array_equal(compiled(obs), before)
    assert not np.allclose(CompiledPolicy.from_policy(policy)(obs), before)


def test_golden_pairs_of_the_compiled_policy_are_saved_with_the_tinygrad_one(nn, tmp_path):
    policy = nn.go2_mlp(hidden=[32])
    contract = make_golden(CompiledPolicy.from_policy(policy), PolicyContract("legged_gym"))
    policy.save(tmp_path / "walk", contract=contract.to_dict())
    assert check_policy(tmp_path / "walk").ok
    again = nn.Policy.load(tmp_path / "walk")
    actions = again(contract.golden.observations).numpy()
    np.testing.assert_allclose(actions, contract.golden.actions, atol=1e-5)
    assert CompiledPolicy.from_policy(again).contract == contract


def test_a_policy_saved_with_its_contract_passes_the_check_against_its_own_answers(nn, tmp_path):
    contract = PolicyContract("unitree_rl_lab")
    policy = nn.MLP(contract.layout.observation.size, 12, hidden=[8], seed=1)
    golden = make_golden(policy, contract, steps=3)  # its actions are tinygrad's
    policy.save(tmp_path / "walk", contract=golden)
    assert check_policy(tmp_path / "walk").ok
    policy.set_parameters({name: 2.0 * values for name, values in policy.get_parameters().items()})
    policy.save(tmp_path / "walk", contract=golden)
    assert not check_policy(tmp_path / "walk").ok
