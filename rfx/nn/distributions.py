"""Log-probabilities and entropies of Gaussian actions, plain and squashed through tanh.

A squashed action is ``a = tanh(u)`` with u normal, so by the change of variables
``log p(a) = log N(u) - sum log(1 - a^2)`` with ``u = atanh(a)``. Its entropy is that of u plus the mean of
``log(1 - tanh(u)^2)``, for which there is no closed form: it is integrated by Gauss-Hermite quadrature.
"""

import math

import numpy as np

from rfx.nn.engine import Tensor

BOUND = 1.0 - 2.0**-20  # the largest squashed action: atanh of it is 7.3, and float32 still tells it from 1
NODES = 48  # up to 32, tinygrad unrolls the sum, and compiles its gradient for nine seconds instead of one
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def gaussian_log_prob(mean: Tensor, log_std: Tensor, value: Tensor) -> Tensor:
    """Return the log-density (B,) of ``value`` (B, A) under independent normals."""
    z = (value - mean) * (-log_std).exp()
    return (-0.5 * z * z - log_std - _HALF_LOG_2PI).sum(-1)


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Return the entropy (...,) of independent normals, nats."""
    return (log_std + (0.5 + _HALF_LOG_2PI)).sum(-1)


def squash(value: Tensor) -> Tensor:
    """Return ``tanh(value)``, kept off the ends where its inverse would be infinite."""
    return value.tanh().clip(-BOUND, BOUND)


def squashed_log_prob(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
    """Return the log-density (B,) of actions (B, A) within (-1, 1); what lies further out counts as the largest."""
    a = action.clip(-BOUND, BOUND)
    up, down = 1.0 + a, 1.0 - a
    u = 0.5 * (up / down).log()
    return gaussian_log_prob(mean, log_std, u) - (up * down).log().sum(-1)


def squashed_entropy(mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the entropy (B,) of squashed normals, nats; good to 1e-4 for standard deviations up to 2, 1e-2 up to 4."""
    nodes, weights = np.polynomial.hermite.hermgauss(NODES)
    z = Tensor((nodes * math.sqrt(2.0)).astype(np.float32))
    w = Tensor((weights / math.sqrt(math.pi)).astype(np.float32))
    u = mean.unsqueeze(-1) + log_std.exp().unsqueeze(-1) * z
    log_slope = 2.0 * (math.log(2.0) - u - (-2.0 * u).softplus())  # log(1 - tanh(u)^2), without cancellation
    return gaussian_entropy(log_std) + (log_slope * w).sum(-1).sum(-1)
