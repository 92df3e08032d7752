"""Policies in tinygrad, and their files. Names load on first use; the files need numpy only."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.nn.actor_critic import ActorCritic as ActorCritic
    from rfx.nn.actor_critic import go2_actor_critic as go2_actor_critic
    from rfx.nn.compiled import CompiledPolicy as CompiledPolicy
    from rfx.nn.contract import GoldenPairs as GoldenPairs
    from rfx.nn.contract import PolicyContract as PolicyContract
    from rfx.nn.contract_check import CheckReport as CheckReport
    from rfx.nn.contract_check import check_policy as check_policy
    from rfx.nn.contract_diagnosis import diagnose as diagnose
    from rfx.nn.contract_side import ContractSide as ContractSide
    from rfx.nn.contract_side import make_golden as make_golden
    from rfx.nn.contract_side import write_contract as write_contract
    from rfx.nn.files import PolicyFiles as PolicyFiles
    from rfx.nn.files import read_policy_directory as read_policy_directory
    from rfx.nn.files import write_policy_directory as write_policy_directory
    from rfx.nn.importers import from_onnx as from_onnx
    from rfx.nn.importers import import_isaac_lab as import_isaac_lab
    from rfx.nn.importers import import_legged_gym as import_legged_gym
    from rfx.nn.importers import import_policy as import_policy
    from rfx.nn.importers_deploy import contract_from_deploy as contract_from_deploy
    from rfx.nn.jit import JitPolicy as JitPolicy
    from rfx.nn.mlp import MLP as MLP
    from rfx.nn.mlp import go2_mlp as go2_mlp
    from rfx.nn.normalizer import ObservationNormalizer as ObservationNormalizer
    from rfx.nn.onnx_write import to_onnx as to_onnx
    from rfx.nn.policy import Policy as Policy
    from rfx.nn.policy import register_policy as register_policy
    from rfx.nn.recurrent import RecurrentPolicy as RecurrentPolicy
    from rfx.nn.torchscript import TorchJitPolicy as TorchJitPolicy

# public name -> the module it lives in
_HOME = {
    "ActorCritic": "rfx.nn.actor_critic",
    "CheckReport": "rfx.nn.contract_check",
    "CompiledPolicy": "rfx.nn.compiled",
    "ContractSide": "rfx.nn.contract_side",
    "GoldenPairs": "rfx.nn.contract",
    "JitPolicy": "rfx.nn.jit",
    "MLP": "rfx.nn.mlp",
    "ObservationNormalizer": "rfx.nn.normalizer",
    "Policy": "rfx.nn.policy",
    "PolicyContract": "rfx.nn.contract",
    "PolicyFiles": "rfx.nn.files",
    "RecurrentPolicy": "rfx.nn.recurrent",
    "TorchJitPolicy": "rfx.nn.torchscript",
    "check_policy": "rfx.nn.contract_check",
    "contract_from_deploy": "rfx.nn.importers_deploy",
    "diagnose": "rfx.nn.contract_diagnosis",
    "from_onnx": "rfx.nn.importers",
    "go2_actor_critic": "rfx.nn.actor_critic",
    "go2_mlp": "rfx.nn.mlp",
    "import_isaac_lab": "rfx.nn.importers",
    "import_legged_gym": "rfx.nn.importers",
    "import_policy": "rfx.nn.importers",
    "make_golden": "rfx.nn.contract_side",
    "read_policy_directory": "rfx.nn.files",
    "register_policy": "rfx.nn.policy",
    "to_onnx": "rfx.nn.onnx_write",
    "write_contract": "rfx.nn.contract_side",
    "write_policy_directory": "rfx.nn.files",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.nn' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
