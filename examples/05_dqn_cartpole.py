"""Q-learning on CartPole with prioritized replay and three-step returns, numpy alone: some 20 seconds on one core."""

import itertools

import numpy as np

from rfx.buffers import PrioritizedReplayBuffer

ENVS, BATCH, GAMMA, LEARNING_RATE = 16, 128, 0.99, 1e-3
ROWS = np.arange(BATCH)


def step(state, action):
    """CartPole's physics for all environments (Barto, Sutton and Anderson 1983): next state, whether it fell."""
    x, v, angle, rate = state.T
    force, cos, sin = np.where(action == 1, 10.0, -10.0), np.cos(angle), np.sin(angle)
    pushed = (force + 0.05 * rate**2 * sin) / 1.1
    spin = (9.8 * sin - cos * pushed) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    after = np.stack(
        [x + 0.02 * v, v + 0.02 * (pushed - 0.05 * spin * cos / 1.1), angle + 0.02 * rate, rate + 0.02 * spin], 1
    )
    return after, (np.abs(after[:, 0]) > 2.4) | (np.abs(after[:, 2]) > 0.2095)


def network(rng):
    sizes = (4, 64, 64, 2)
    return [a for m, n in itertools.pairwise(sizes) for a in (rng.normal(0, np.sqrt(2 / m), (m, n)), np.zeros(n))]


def forward(weights, x):
    layers = [x]
    for k in range(0, len(weights), 2):
        x = x @ weights[k] + weights[k + 1]
        layers.append(x := np.maximum(x, 0) if k < len(weights) - 2 else x)
    return layers


def gradients(weights, layers, error):
    found = []
    for k in range(len(weights) - 2, -1, -2):
        found[:0] = [layers[k // 2].T @ error, error.sum(0)]
        error = (error @ weights[k].T) * (layers[k // 2] > 0)
    return found


def main(iterations):
    rng = np.random.default_rng(0)
    buffer = PrioritizedReplayBuffer(50_000, 4, (), act_dtype=np.int64, n_step=3, gamma=GAMMA, num_envs=ENVS)
    online, lengths, finished, state = network(rng), np.zeros(ENVS, int), [], rng.uniform(-0.05, 0.05, (ENVS, 4))
    target, moments = [w.copy() for w in online], [(np.zeros_like(w), np.zeros_like(w)) for w in online]
    for i in range(1, iterations + 1):
        greedy = forward(online, state)[-1].argmax(1)
        action = np.where(rng.random(ENVS) < max(0.02, 1 - 3 * i / iterations), rng.integers(2, size=ENVS), greedy)
        (after, fell), lengths = step(state, action), lengths + 1
        cut = ~fell & (lengths >= 500)
        done = fell | cut
        buffer.push_batch(state.astype(np.float32), action, np.ones(ENVS, "f4"), fell, cut, after.astype(np.float32))
        finished, lengths = finished + lengths[done].tolist(), np.where(done, 0, lengths)
        state = np.where(done[:, None], rng.uniform(-0.05, 0.05, (ENVS, 4)), after)
        batch = buffer.sample(BATCH, seed=i)
        best = forward(online, batch["next_obs"])[-1].argmax(1)
        value = forward(target, batch["next_obs"])[-1][ROWS, best]
        goal = batch["rewards"] + batch["discounts"] * ~batch["terminated"] * value
        layers, error = forward(online, batch["obs"]), np.zeros((BATCH, 2))
        td = layers[-1][ROWS, batch["actions"]] - goal
        error[ROWS, batch["actions"]] = batch["weights"] * np.clip(td, -1, 1) / BATCH
        for w, g, (m, v) in zip(online, gradients(online, layers, error), moments, strict=False):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            w -= LEARNING_RATE * (m / (1 - 0.9**i)) / (np.sqrt(v / (1 - 0.999**i)) + 1e-8)
        buffer.update_priorities(batch["indices"], np.abs(td) + 1e-3, batch["serials"])
        for w, slow in zip(online, target, strict=False):
            slow += 0.01 * (w - slow)
        if i % 300 == 0:
            print(f"{i:6d} iterations, the last 20 episodes lasted {np.mean(finished[-20:]):5.1f} steps")


if __name__ == "__main__":
    main(3000)
