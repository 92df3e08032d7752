"""Rows that show whether they are whole, and what processes do with them; imported by children, so it stays small."""

import time

import numpy as np


def transition(i, d=3, a=2):
    """Every number of it tells i, a whole number below 2**23."""
    return (
        np.full(d, i, np.float32),
        np.full(a, -i, np.float32),
        float(i),
        i % 2 == 0,
        i % 3 == 0,
        np.full(d, i + 0.5, np.float32),
    )


def transitions(first, n, d=3, a=2):
    i = np.arange(first, first + n, dtype=np.float32)
    tall = i[:, None]
    obs, actions = np.repeat(tall, d, axis=1), np.repeat(-tall, a, axis=1)
    return obs, actions, i, i % 2 == 0, i % 3 == 0, np.repeat(tall + 0.5, d, axis=1)


def whole(batch):
    """Whether each row is one transition: all of its columns belong together."""
    i = batch["rewards"]
    return bool(
        (batch["obs"] == i[:, None]).all()
        and (batch["actions"] == -i[:, None]).all()
        and (batch["next_obs"] == i[:, None] + 0.5).all()
        and (batch["terminated"] == (i % 2 == 0)).all()
        and (batch["truncated"] == (i % 3 == 0)).all()
    )


def produce(buffer, first, n):
    d = buffer.schema[0].shape[0]
    for i in range(first, first + n, 4):
        buffer.push(*transition(i, d))
        buffer.push_batch(*transitions(i + 1, 3, d))
    buffer.close()


def produce_until_killed(buffer):
    d, i = buffer.schema[0].shape[0], 0
    rows = [transition(i, d) for i in range(8)]
    while True:
        buffer.push(*rows[i % 8])
        i += 1


def push_batch_and_wait(buffer, rows):
    buffer.push_batch(*rows)
    time.sleep(1000)


def learn_until(buffer, stop, torn):
    seed = 0
    while not stop.is_set():
        seed += 1
        torn.value += len(buffer) > buffer.capacity
        torn.value += not whole(buffer.sample(8, seed))
    torn.value += seed == 0
