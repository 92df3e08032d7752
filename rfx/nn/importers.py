"""Policies that others trained, as policy files with a contract: ONNX and TorchScript networks."""

import importlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import ConfigError
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract import PolicyContract
from rfx.nn.contract_side import make_golden
from rfx.nn.files import write_policy_directory
from rfx.nn.importers_deploy import contract_from_deploy
from rfx.nn.layers import ACTIVATIONS
from rfx.nn.onnx_read import Network, onnx_module, read_onnx
from rfx.robots import policy_layout

AGREEMENT = 1e-4  # between the network as it was and as it was read, on numbers of order one
PROBES = 32


def _probes(width: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(PROBES, width)).astype(np.float32)


def _stateless(network: Network) -> CompiledPolicy:
    layers, tensors, normalizer = network
    return CompiledPolicy.from_layers(layers, tensors, normalizer=normalizer)


def _apart(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    return float("inf") if ours.shape != theirs.shape else float(np.abs(ours - theirs).max())


def from_onnx(
    path: str | os.PathLike[str] | bytes, *, contract: PolicyContract | None = None, **settings: Any
) -> CompiledPolicy:
    """Compile the policy of an ONNX model.

    Parameters
    ----------
    path : path or bytes
        A feed-forward network: linear layers, activations, layer norms, a normaliser in front.
    contract : PolicyContract, optional
        Says how observations are stacked.
    **settings
        Of :meth:`CompiledPolicy.from_layers`.

    Raises
    ------
    MissingDependencyError, CodecError, ConfigError
        No package ``onnx``; no model; operators that no layer stands for; or what was read does not compute what the
        model computes.
    """
    layers, tensors, normalizer = _read_and_compared(path)
    stack = {} if contract is None else contract.settings
    options = {"normalizer": normalizer, "contract": contract, **stack, **settings}
    return CompiledPolicy.from_layers(layers, tensors, **options)


def _read_and_compared(path: str | os.PathLike[str] | bytes) -> Network:
    """Read an ONNX model, and compare with onnx's own slow evaluation of it."""
    data = path if isinstance(path, bytes) else Path(path).read_bytes()
    network = read_onnx(data)
    policy = _stateless(network)
    onnx = onnx_module()
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(onnx.load_model_from_string(data))
    name = next(iter(evaluator.input_names))
    probes = _probes(policy.input_dim)
    theirs = np.concatenate([np.reshape(evaluator.run(None, {name: row[None]})[0], (1, -1)) for row in probes])
    if _apart(policy(probes), theirs) > AGREEMENT:
        raise ConfigError(f"what was read differs from the ONNX model by {_apart(policy(probes), theirs):.1e}")
    return network


def _torch_candidates(weights: Mapping[str, NDArray[Any]]) -> Iterator[Network]:
    """Yield the networks that weights named ``actor.0.weight``, ... may belong to, the usual ones first."""
    numbered = re.compile(r"(?:^|\.)(\d+)\.weight$")
    prefixes = sorted(
        {name[: m.start()] for name in weights if (m := numbered.search(name))}, key=lambda p: "actor" not in p
    )
    for prefix in prefixes:
        places = sorted(
            int(m[1]) for name in weights if (m := numbered.search(name)) and name[: m.start()] == prefix
        )  # fmt: skip
        stem = f"{prefix}." if prefix else ""
        tensors = {
            f"{i}.{k}": weights[f"{stem}{i}.{k}"]
            for i in places
            for k in ("weight", "bias")
            if f"{stem}{i}.{k}" in weights
        }
        linear = [
            {"type": "linear", **{k: f"{i}.{k}" for k in ("weight", "bias") if f"{i}.{k}" in tensors}} for i in places
        ]  # fmt: skip
        if any(tensors[layer["weight"]].ndim != 2 for layer in linear):
            continue
        for name, last, normalizer in itertools.product(
            ("elu", *sorted(set(ACTIVATIONS) - {"elu"})), (None, "tanh"), _normalizers(weights)
        ):
            layers = [part for layer in linear for part in (layer, {"type": name})][:-1]
            yield [*layers, *([{"type": last}] if last else [])], tensors, normalizer


def _normalizers(weights: Mapping[str, NDArray[Any]]) -> list[dict[str, Any] | None]:
    """Return what statistics among the weights may mean: ``(x - mean) / (std + eps)`` with the usual eps."""

    def find(*names: str) -> Any:
        return next((weights[n] for n in weights if n.rpartition(".")[2] in names), None)

    mean, std, var = find("_mean", "running_mean"), find("_std"), find("_var", "running_var")
    if mean is None or (std is None and var is None):
        return [None]
    deviation = np.sqrt(np.asarray(var, np.float64)).ravel() if std is None else np.asarray(std, np.float64).ravel()
    found: list[dict[str, Any] | None] = []
    for eps in (1e-2, 1e-8, 1e-5):
        square, small = (deviation + eps) ** 2, 1e-12
        found.append(
            {"mean": np.ravel(mean).tolist(), "var": np.maximum(square - small, 0).tolist(), "epsilon": small,
             "clip": None, "count": 0.0}
        )  # fmt: skip
    return [*found, None]


def read_torchscript(path: str | os.PathLike[str]) -> Network:
    """Return (layers, tensors, normalizer) of an actor that ``torch.jit.save`` wrote.

    A TorchScript file tells its weights by name, but not which activation stands between them: each is tried, and the one
    that computes what the model computes is taken.

    Raises
    ------
    MissingDependencyError
        No torch.
    FileNotFoundError, CodecError
        No such file; not a TorchScript model.
    ConfigError
        No feed-forward network of the usual kind computes what the model computes.
    """
    from rfx.nn.torchscript import TorchJitPolicy

    model = TorchJitPolicy(path)
    weights = {name: np.array(value.cpu().numpy()) for name, value in model.model.state_dict().items()}
    theirs: dict[int, NDArray[Any] | None] = {}
    for network in _torch_candidates(weights):
        try:
            policy = _stateless(network)
        except ValueError:
            continue  # a normaliser of another width, layers that do not fit each other
        if policy.input_dim not in theirs:
            try:
                theirs[policy.input_dim] = model(_probes(policy.input_dim)).numpy()
            except (RuntimeError, ValueError):
                theirs[policy.input_dim] = None
        wanted = theirs[policy.input_dim]
        if wanted is not None and _apart(policy(_probes(policy.input_dim)), wanted) <= AGREEMENT:
            return network
    shown = ", ".join(sorted(weights)[:6])
    raise ConfigError(f"{path}: no feed-forward network of the weights {shown}, ... computes what the model computes")


def import_policy(
    model: str | os.PathLike[str], out: str | os.PathLike[str], contract: PolicyContract | str, **changes: Any
) -> Path:
    """Make a policy file of an ONNX or TorchScript model and a contract, with golden pairs.

    Parameters
    ----------
    model : path
        ``.onnx``, or anything else as TorchScript (such as the ``policy_1.pt`` of legged_gym).
    out : path
        The folder to write.
    contract : PolicyContract or str
        Or the name of a layout of ``rfx.robots.LAYOUTS``, for instance ``"legged_gym"``.
    **changes
        Fields of the contract that differ.

    Returns
    -------
    Path
        The folder; ``CompiledPolicy.load`` and ``rfx check`` take it.

    Raises
    ------
    ConfigError
        The network does not fit the contract, or is none of the usual.
    """
    given = contract if isinstance(contract, PolicyContract) else PolicyContract(policy_layout(contract))
    is_onnx = Path(model).suffix.lower() == ".onnx"
    layers, tensors, normalizer = _read_and_compared(model) if is_onnx else read_torchscript(model)
    given = given.replace(**changes, normalizer=normalizer is not None, golden=None)
    wanted = given.layout.observation.size * given.history
    policy = _stateless((layers, tensors, normalizer))
    if policy.input_dim != wanted:
        raise ConfigError(
            f"the network takes {policy.input_dim} numbers, {given.layout.name} with a history of {given.history} has {wanted}"
        )
    stacked = CompiledPolicy.from_layers(layers, tensors, normalizer=normalizer, **given.settings)
    config = {
        "policy_type": "Imported",
        "policy_config": {"source": Path(model).name},
        "layers": layers,
        "contract": make_golden(stacked, given).to_dict(),
    }
    return write_policy_directory(out, config, tensors, normalizer)


def import_isaac_lab(
    deploy: str | os.PathLike[str] | Mapping[str, Any], model: str | os.PathLike[str], out: str | os.PathLike[str],
    **changes: Any,
) -> Path:  # fmt: skip
    """Make a policy file of the ``deploy.yaml`` and the ONNX or TorchScript model of an Isaac Lab training.

    ``changes`` are fields of the contract, such as ``control_rate_hz``; see :func:`contract_from_deploy` and
    :func:`import_policy` for what is refused.
    """
    return import_policy(model, out, contract_from_deploy(deploy), **changes)


def import_legged_gym(
    model: str | os.PathLike[str], out: str | os.PathLike[str], layout: str = "legged_gym", **changes: Any
) -> Path:
    """Make a policy file of a policy that legged_gym (or unitree_rl_gym) exported.

    The layout is that of its Go2 configuration unless another is named; ``changes`` are fields of the contract.
    """
    return import_policy(model, out, layout, **changes)
