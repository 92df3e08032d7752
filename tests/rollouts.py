"""Random rollouts, and the definitions that estimators are held against: one environment, one step after the other."""

import math

import numpy as np

F32 = 2e-4  # sums of a few dozen float32 terms of size 10
EXACT = 1e-12


class Rollout:
    """Arrays (T, N) with ends of both kinds, among them both at once, in a row and at the last step."""

    def __init__(self, rng, steps=None, n=None, dtype=np.float64):
        steps = int(rng.integers(0, 40)) if steps is None else steps
        n = int(rng.integers(0, 6)) if n is None else n
        shape = (steps, n)
        often = rng.choice([0.0, 0.02, 0.2, 0.7], size=2)
        self.rewards, self.values, self.final = (rng.normal(size=shape).astype(dtype) for _ in range(3))
        self.q_values, self.log_rhos = (rng.normal(size=shape).astype(dtype) for _ in range(2))
        self.terminated, self.truncated = (rng.random(shape) < p for p in often)
        self.last = rng.normal(size=n).astype(dtype)
        self.gamma, self.lam = (float(rng.choice([0.0, 1.0, rng.random(), 0.99])) for _ in range(2))
        self.steps, self.n, self.dtype = steps, n, dtype

    def common(self):
        return self.terminated, self.truncated, self.final, self.last

    def env(self, i):
        """One environment as lists of floats: rewards, values, V(s') of each step, whether the episode ended there."""
        ahead = [*self.values[1:, i], self.last[i]]
        for t in range(self.steps):
            if self.terminated[t, i]:
                ahead[t] = 0.0
            elif self.truncated[t, i]:
                ahead[t] = self.final[t, i]
        ended = self.terminated[:, i] | self.truncated[:, i]
        lists = (self.rewards[:, i], self.values[:, i], ahead[: self.steps])
        return [[float(x) for x in column] for column in lists] + [ended.tolist()]

    def by_env(self, definition):
        """A result (T, N) from a definition for one environment."""
        columns = [definition(*self.env(i), i) for i in range(self.n)]
        return np.array(columns, np.float64).reshape(self.n, self.steps).T


def many(count, seed=0, **options):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield Rollout(rng, **options)


def gae_definition(case):
    """A_t = sum_l (gamma lambda)^l delta_{t+l} to the end of the episode (Schulman et al. 2016, eq. 16), by exact sums."""

    def one(rewards, values, ahead, ended, _):
        delta = [r + case.gamma * b - v for r, v, b in zip(rewards, values, ahead, strict=True)]
        result = []
        for t in range(len(delta)):
            terms, weight = [], 1.0
            for k in range(t, len(delta)):
                terms.append(weight * delta[k])
                weight *= case.gamma * case.lam
                if ended[k]:
                    break
            result.append(math.fsum(terms))
        return result

    return case.by_env(one)


def vtrace_definition(case, rho_bar, c_bar, pg_bar):
    """vs_t = V_t + sum_k gamma^(k-t) (prod_{t<=i<k} c_i) rho_k delta_k (Espeholt et al. 2018, eq. 1), and the advantages."""

    def one(rewards, values, ahead, ended, i):
        ratio = [math.exp(x) for x in case.log_rhos[:, i].tolist()]
        delta = [r + case.gamma * b - v for r, v, b in zip(rewards, values, ahead, strict=True)]
        vs, advantages = [], []
        for t in range(len(delta)):
            terms, weight = [values[t]], 1.0
            for k in range(t, len(delta)):
                terms.append(weight * min(rho_bar, ratio[k]) * delta[k])
                weight *= case.gamma * case.lam * min(c_bar, ratio[k])
                if ended[k]:
                    break
            vs.append(math.fsum(terms))
        for t in range(len(delta)):
            q = ahead[t]
            if not ended[t] and t + 1 < len(delta):
                q = case.lam * vs[t + 1] + (1.0 - case.lam) * ahead[t]
            advantages.append(min(pg_bar, ratio[t]) * (rewards[t] + case.gamma * q - values[t]))
        return list(zip(vs, advantages, strict=True))

    columns = [one(*case.env(i), i) for i in range(case.n)]
    both = np.array(columns, np.float64).reshape(case.n, case.steps, 2)
    return both[:, :, 0].T, both[:, :, 1].T


def discounted_definition(case):
    """sum_k gamma^k r_{t+k} to the end, and what the state there is worth."""
    return n_step_definition(case, max(case.steps, 1))


def n_step_definition(case, n):
    def one(rewards, _, ahead, ended, __):
        result = []
        for t in range(len(rewards)):
            terms = []
            for k in range(t, min(t + n, len(rewards))):
                terms.append(case.gamma ** (k - t) * rewards[k])
                if ended[k]:
                    break
            terms.append(case.gamma ** (k - t + 1) * ahead[k])
            result.append(math.fsum(terms))
        return result

    return case.by_env(one)


def td_lambda_definition(case):
    """(1 - lambda) sum_n lambda^(n-1) G^(n), the last return there is with all of the weight that is left."""

    def one(rewards, _, ahead, ended, __):
        result = []
        for t in range(len(rewards)):
            terms, reward, weight = [], 0.0, 1.0
            for k in range(t, len(rewards)):
                reward += case.gamma ** (k - t) * rewards[k]
                over = ended[k] or k == len(rewards) - 1
                part = reward + case.gamma ** (k - t + 1) * ahead[k]
                terms.append((weight if over else weight * (1.0 - case.lam)) * part)
                weight *= case.lam
                if over:
                    break
            result.append(math.fsum(terms))
        return result

    return case.by_env(one)


def retrace_definition(case, c_bar):
    """Q_t + sum_k gamma^(k-t) (prod_{t<i<=k} c_i) (r_k + gamma V'_k - Q_k) (Munos et al. 2016, eq. 3)."""

    def one(rewards, _, ahead, ended, i):
        q, logs = case.q_values[:, i].tolist(), case.log_rhos[:, i].tolist()
        result = []
        for t in range(len(rewards)):
            terms, weight = [q[t]], 1.0
            for k in range(t, len(rewards)):
                if k > t:
                    weight *= case.gamma * case.lam * min(c_bar, math.exp(logs[k]))
                terms.append(weight * (rewards[k] + case.gamma * ahead[k] - q[k]))
                if ended[k]:
                    break
            result.append(math.fsum(terms))
        return result

    return case.by_env(one)


def upgo_definition(case):
    """Forward from each step: go on while the step after it is no worse than its value, then take the value."""

    def one(rewards, values, ahead, ended, _):
        result = []
        for t in range(len(rewards)):
            total, weight, k = 0.0, 1.0, t
            while True:
                total, weight = total + weight * rewards[k], weight * case.gamma
                on = not ended[k] and k + 1 < len(rewards)
                if not on or rewards[k + 1] + case.gamma * ahead[k + 1] < values[k + 1]:
                    break
                k += 1
            result.append(total + weight * ahead[k])
        return result

    return case.by_env(one)
