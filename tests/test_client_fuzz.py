"""A hundred thousand commands from racing threads, many of them nonsense: nothing outside the envelope goes out."""

import contextlib
import json
import math
import random
import threading

import numpy as np

from rfx.errors import RfxError
from rfx.go2 import Go2, Go2Config, LowCmd, LowState
from rfx.go2.backends.base import StageTimes
from rfx.go2.messages import Response, SportModeState
from rfx.go2.sport_client import BODY_HEIGHT, EULER, FOOT_RAISE_HEIGHT, GAITS, TRICKS
from rfx.go2.sport_mode import SportMode
from rfx.go2.topics import SportApi
from rfx.robots import GO2
from rfx.sim import JointCommand, make_plant

COMMANDS, THREADS = 100_000, 4
OWN = 7  # gpio of the commands that the fuzz makes itself, whose positions are its own affair
LIMITS = (0.7, 0.3, 1.1)


class Recorder:
    """A link to nobody that keeps everything that is published, and answers every request at once."""

    def __init__(self):
        self.times = StageTimes()
        self.refused, self.last_refusal = 0, ""
        self.commands, self.requests, self.ready = [], [], []
        self.lock = threading.Lock()
        self.tick = 0

    def publish_low_cmd(self, cmd):
        data = cmd.to_cdr()
        with self.lock:
            self.commands.append(data)

    def publish_request(self, service, request):
        response = Response(data='{"name": ""}')
        response.header.identity.id = request.header.identity.id
        response.header.identity.api_id = request.header.identity.api_id
        with self.lock:
            self.requests.append((service, request.header.identity.api_id, request.parameter))
            if not request.header.policy.noreply:
                self.ready.append(response)

    def responses(self, service, timeout_s):
        with self.lock:
            came, self.ready = self.ready, []
        return came

    def serves(self, service):
        return True

    def other_commanders(self):
        return []

    def subscribe_state(self):
        return self

    def latest(self):
        with self.lock:
            self.tick += 2
            return LowState(tick=self.tick)

    def recv(self, timeout_s):
        return self.latest()

    def sport_state(self):
        return SportModeState(body_height=0.3)

    def is_connected(self):
        return True

    def disconnect(self):
        pass


def nonsense(rng):
    """A value that nobody should pass as a number, or one that is merely unusual."""
    return rng.choice(
        [math.nan, math.inf, -math.inf, 1e308, -1e30, 5e-324, 10**400, -7, 0, True, None, "1", b"1", [1, 2], {}, 1j]
        + [np.float32(0.2), np.float64("nan"), np.int64(2), np.array(0.1), np.array([1.0, 2.0]), rng.uniform(-1, 1), object()]
    )  # fmt: skip


def vector(rng):
    """Twelve positions, good or bad."""
    q = GO2.pose("stand") + np.array([rng.gauss(0, 0.3) for _ in range(12)])
    if rng.random() < 0.3:
        q[rng.randrange(12)] = rng.choice([math.nan, math.inf, 1e30, -9.0])
    return rng.choice([q, q, q, q.astype(np.float32), q.tolist(), q[:11], q.reshape(3, 4), nonsense(rng)])


def own_command(rng):
    cmd = LowCmd(gpio=OWN)
    for _ in range(rng.randrange(3)):
        slot = cmd.motor_cmd[rng.randrange(20)]
        setattr(slot, rng.choice(["q", "dq", "tau", "kp", "kd"]), rng.choice([math.nan, math.inf, -1.0, 0.5, 3e38]))
    return rng.choice([cmd, cmd, cmd, nonsense(rng)])


def one(go2, rng):
    """One command, chosen by chance."""
    v = [rng.choice([rng.uniform(-3, 3), nonsense(rng)]) for _ in range(3)]
    kind = rng.random()
    if kind < 0.35:
        go2.walk(*v, hold_s=rng.choice([None, 1.0, nonsense(rng)]))
    elif kind < 0.60:
        gains = rng.choice([20.0, 60.0, nonsense(rng)]), rng.choice([0.5, 4.0, nonsense(rng)])
        go2.set_motor_positions(vector(rng), *gains)
    elif kind < 0.75:
        go2.send(own_command(rng))
    elif kind < 0.80:
        go2.euler(*v)
    elif kind < 0.84:
        rng.choice([go2.body_height, go2.foot_raise_height, go2.speed_level, go2.gait, go2.trick])(v[0])
    elif kind < 0.88:
        rng.choice([lambda: go2.trick(rng.choice([*TRICKS])), lambda: go2.gait(rng.choice([*GAITS, 0, 4, 9]))])()
    elif kind < 0.95:
        go2.request(rng.choice([*SportApi, -1, 2**70, nonsense(rng)]), x=v[0], y=v[1], z=v[2])
    else:
        rng.choice([go2.stop, go2.damp, lambda: go2.damp(nonsense(rng)), go2.state, go2.is_connected])()


def test_a_hundred_thousand_commands_publish_nothing_outside_the_envelope():
    backend = Recorder()
    config = Go2Config.loopback(1).with_walk_limits(*LIMITS)
    go2 = Go2(config, backend)
    go2._keep(backend.latest())
    done, failures = [0] * THREADS, []

    def work(index):
        rng = random.Random(index)
        try:
            for _ in range(COMMANDS // THREADS):
                with contextlib.suppress(RfxError):  # refused, as it should be
                    one(go2, rng)
                done[index] += 1
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    go2.disconnect()
    assert not failures
    assert sum(done) == COMMANDS
    assert not [t for t in threading.enumerate() if "keeper" in t.name]
    check_commands(backend.commands)
    check_requests(backend.requests)


def check_commands(sent):
    """Every low-level command is whole, finite and has no negative gain; ours stay within the joints' travel."""
    assert len(sent) > 5000
    low, high = GO2.lower.astype(np.float32), GO2.upper.astype(np.float32)
    placed = 0
    for data in sent:
        cmd = LowCmd.from_cdr(data)
        assert cmd.crc_ok
        assert cmd.is_safe
        if cmd.gpio != OWN and cmd.kp.any():
            placed += 1
            assert ((cmd.q >= low) & (cmd.q <= high)).all()
    assert placed > 1000


def check_requests(sent):
    """Every request carries JSON without NaN; velocities and postures stay within their limits."""
    moves = 0
    for service, api_id, parameter in sent:
        given = json.loads(parameter or "{}", parse_constant=refuse)
        if service != "sport":
            continue
        if api_id == SportApi.MOVE:
            moves += 1
            assert all(abs(given[axis]) <= most for axis, most in zip("xyz", LIMITS, strict=True))
        elif api_id == SportApi.EULER:
            assert all(abs(given[axis]) <= most for axis, most in zip("xyz", EULER, strict=True))
        elif api_id in (SportApi.BODY_HEIGHT, SportApi.FOOT_RAISE_HEIGHT):
            low, high = BODY_HEIGHT if api_id == SportApi.BODY_HEIGHT else FOOT_RAISE_HEIGHT
            assert low <= given["data"] <= high
        elif api_id == SportApi.SPEED_LEVEL:
            assert given["data"] in (-1, 0, 1)
    assert moves > 1000


def refuse(word):
    raise AssertionError(f"{word} was published")


def test_the_robots_sport_mode_takes_any_request_and_commands_finite_numbers():
    plant, sport, command, rng = make_plant("joint"), SportMode(), JointCommand(), random.Random(1)
    plant.reset("stand")
    state, limit = plant.state, 1e3
    sport.begin(state)
    for _ in range(5000):
        texts = ["", "{", "null", "[]", "NaN", '{"data": 1e999}', '{"data": "x"}', "\\u0000", '{"x": {}}']
        values = json.dumps({key: rng.choice([rng.uniform(-2, 2), 1e9, 0, True]) for key in ("x", "y", "z", "data")})
        code, data = sport.handle(rng.choice([*SportApi, 0, -5, 2**62]), rng.choice([*texts, values, values, values]))
        assert isinstance(int(code), int)
        assert isinstance(data, str)
        sport.sticks(*(rng.choice([0.0, 0.5, math.nan, 1e30]) for _ in range(3)), rng.randrange(2**16))
        for _ in range(2):
            sport.update(state, command)
            for row in (command.q[command.q < 2e9], command.tau, command.kp, command.kd):
                assert (np.abs(row) < limit).all()
            state = plant.step(command)
    assert np.isfinite(state.q).all()
