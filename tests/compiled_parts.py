"""Small networks and what they are shown, for the tests of rfx.nn.compiled."""

import numpy as np
from test_mlp import random_network

from rfx.nn.compiled import CompiledPolicy

RNG = np.random.default_rng


def small(inputs=6, seed=0, **settings):
    layers, tensors = random_network(RNG(seed), (inputs, 17, 3))
    return CompiledPolicy.from_layers(layers, tensors, **settings)


def observations(n, width=6, seed=1):
    return RNG(seed).normal(size=(n, width)).astype(np.float32)


def statistics(n, clip=2.0):
    rng = RNG(8)
    return {"mean": rng.normal(size=n), "var": rng.uniform(0.1, 4, size=n), "epsilon": 1e-5, "clip": clip}


def recurrent(seed=0):
    rng = RNG(seed)
    tensors = {"a": rng.normal(size=(20, 6)), "b": rng.normal(size=(20, 5)), "w": rng.normal(size=(3, 5))}
    layers = [{"type": "lstm", "weight_ih": "a", "weight_hh": "b"}, {"type": "linear", "weight": "w"}]
    return CompiledPolicy.from_layers(layers, tensors)
