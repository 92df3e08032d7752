"""What older policy files leave unsaid: their layers, told from the names of their tensors.

Policies of older versions have tanh behind every layer, the last one too; their tensors are called
``layers.0.weight``, ``layers.0.bias``, ... or ``backbone.0.weight``, ..., ``actor_head.weight``.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from rfx.errors import ConfigError

Layers = list[dict[str, Any]]


def stack(prefixes: list[str], tensors: Mapping[str, NDArray[Any]]) -> Layers:
    """Return linear layers with tanh behind each."""
    layers: Layers = []
    for prefix in prefixes:
        bias = f"{prefix}.bias"
        layers.append({"type": "linear", "weight": f"{prefix}.weight", "bias": bias if bias in tensors else None})
        layers.append({"type": "tanh"})
    return layers


def _numbered(prefix: str, tensors: Mapping[str, NDArray[Any]]) -> list[str]:
    places = sorted(int(m[1]) for name in tensors if (m := re.fullmatch(rf"{prefix}\.(\d{{1,4}})\.weight", name)))
    return [f"{prefix}.{i}" for i in places] if places == list(range(len(places))) else []


def legacy_layers(policy_type: str, tensors: Mapping[str, NDArray[Any]]) -> Layers | None:
    """Return the layers of an older MLP or ActorCritic; None for another class."""
    if policy_type == "MLP" and (names := _numbered("layers", tensors)):
        return stack(names, tensors)
    if policy_type == "ActorCritic" and "actor_head.weight" in tensors:
        return stack([*_numbered("backbone", tensors), "actor_head"], tensors)
    return None


def legacy_policy(tensors: Mapping[str, NDArray[Any]], what: str) -> dict[str, Any]:
    """Return the description of a single file of weights, as far as its names tell it.

    Raises
    ------
    ConfigError
        The names are those of no policy of older versions.
    """
    for policy_type in ("MLP", "ActorCritic"):
        layers = legacy_layers(policy_type, tensors)
        if layers is None:
            continue
        weights = [tensors[layer["weight"]] for layer in layers if layer["type"] == "linear"]
        if all(w.ndim == 2 for w in weights):
            sizes = [weights[0].shape[1], *(w.shape[0] for w in weights)]
            config = {"obs_dim": sizes[0], "act_dim": sizes[-1], "hidden": sizes[1:-1]}
            return {"policy_type": policy_type, "policy_config": config, "layers": layers}
    raise ConfigError(
        f"{what}: a file of weights that does not say which network they belong to; build the policy and give it the "
        "weights with set_parameters, or load a folder that Policy.save wrote"
    )


def legacy_normalizer(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an older normaliser, which divides by ``sqrt(var) + eps``, in today's terms; today's comes back as it is."""
    if (
        "eps" not in data
        or not isinstance(data.get("var"), list)
        or not all(_real(v) for v in (data["eps"], *data["var"]))
    ):
        return data
    epsilon = 1e-12
    var = [max((math.sqrt(max(v, 0.0)) + data["eps"]) ** 2 - epsilon, 0.0) if v >= 0 else v for v in data["var"]]
    kept = {key: value for key, value in data.items() if key not in ("eps", "state_dim")}
    return kept | {"var": var, "epsilon": epsilon}


def _real(value: Any) -> bool:
    return type(value) in (int, float)
