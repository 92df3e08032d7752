"""Generalised advantages as a plain loop."""

import numpy as np


def plain(rewards, values, dones, last, gamma, lam):
    """The backward loop with one mask, in the dtype of its inputs, as the formula is written."""
    real = rewards.dtype.type
    gamma, lam, ahead, running = real(gamma), real(lam), real(last), real(0)
    out = np.zeros_like(rewards)
    for t in range(len(rewards) - 1, -1, -1):
        going = real(1) - real(dones[t])
        running = rewards[t] + gamma * ahead * going - values[t] + gamma * lam * going * running
        out[t], ahead = running, values[t]
    return out
