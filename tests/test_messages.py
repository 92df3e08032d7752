"""rfx.go2.messages: attributes, checksums, the C layout."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.go2.messages import (
    NO_POSITION,
    NO_VELOCITY,
    IMUState,
    LowCmd,
    LowState,
    MotorCmd,
    Request,
    Response,
    SportModeState,
    WirelessController,
    crc32_mpeg2,
)

FIXED = [LowCmd, LowState, SportModeState, WirelessController]


def slow_crc(data):
    """The polynomial division, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1
            crc &= 0xFFFFFFFF
    return crc


def zero_command():
    cmd = LowCmd()
    cmd.clear()
    return cmd


# -- checksum


def test_crc_check_value():
    assert crc32_mpeg2(b"123456789") == 0x0376E6E7


@given(st.binary(max_size=200))
def test_crc_is_the_polynomial_division(data):
    assert crc32_mpeg2(data) == slow_crc(data)


def test_command_checksums_known_from_the_robot():
    cmd = zero_command()
    assert cmd.compute_crc() == 0x4B5A4880
    cmd.head, cmd.level_flag = (0xFE, 0xEF), 0xFF
    assert cmd.compute_crc() == 0x322AC991
    for motor in cmd.motor_cmd:
        motor.mode = 1
    assert cmd.compute_crc() == 0x57ECF19D
    cmd.set_motors(q=1.0, kp=50.0, kd=3.5)
    assert cmd.compute_crc() == 0xAF99CE9A


@pytest.mark.parametrize("cls", [LowCmd, LowState])
def test_checksum_covers_the_struct_but_its_last_word(cls):
    rng = np.random.default_rng(5)
    message = cls()
    message.set_motors(q=rng.normal(size=12), dq=rng.normal(size=12))
    words = message.struct_bytes()[:-4]
    swapped = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
    assert message.compute_crc() == slow_crc(swapped)


@pytest.mark.parametrize("cls", [LowCmd, LowState])
def test_any_flipped_bit_breaks_the_checksum(cls):
    data = bytearray(cls().to_cdr())
    assert cls.from_cdr(data).crc_ok
    rng = np.random.default_rng(1)
    padding = 0
    for bit in rng.choice(np.arange(32, 8 * len(data)), 500, replace=False):
        data[bit // 8] ^= 1 << bit % 8
        if cls.from_cdr(data).crc_ok:
            assert cls.from_cdr(data) == cls.from_cdr(cls().to_cdr())  # a padding byte of CDR: no content changed
            padding += 1
        data[bit // 8] ^= 1 << bit % 8
    assert padding < 100


# -- layout


def test_sizes_on_the_wire_and_in_c():
    assert {c.__name__: (c.CDR_SIZE, c.LAYOUT.size) for c in FIXED} == {
        "LowCmd": (812, 812),
        "LowState": (1180, 1180),
        "SportModeState": (516, 516),
        "WirelessController": (22, 20),
    }


@pytest.mark.parametrize(
    ("path", "offset"),
    [
        ("imu_state.quaternion", 28),
        ("motor_state.0.q", 84),
        ("motor_state.7.q", 84 + 48 * 7),
        ("foot_force", 1084),
        ("tick", 1100),
        ("power_v", 1156),
    ],
)
def test_offsets_of_low_state_on_the_wire(path, offset):
    state = LowState()
    state.clear()
    before = state.to_cdr(seal=False)
    *parents, name = path.split(".")
    at = state
    for part in parents:
        at = at[int(part)] if part.isdigit() else getattr(at, part)
    value = getattr(at, name)
    setattr(at, name, (1, *value[1:]) if isinstance(value, tuple) else 1)
    after = state.to_cdr(seal=False)
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert offset <= changed[0] < offset + 4


# -- attributes


def test_a_new_command_asks_for_nothing():
    cmd = LowCmd()
    assert cmd.head == (0xFE, 0xEF)
    assert cmd.level_flag == 0xFF
    for motor in cmd.motor_cmd:
        assert (motor.mode, motor.kp, motor.kd, motor.tau) == (1, 0, 0, 0)
        assert (motor.q, motor.dq) == (np.float32(NO_POSITION), NO_VELOCITY)


def test_damping_brakes_the_twelve_motors():
    cmd = LowCmd()
    cmd.set_motors(q=0.5, kp=60.0)
    cmd.set_damping(3.0)
    np.testing.assert_array_equal(cmd.kp, 0)
    np.testing.assert_array_equal(cmd.kd, 3)
    np.testing.assert_array_equal(cmd.dq, 0)


def test_nested_messages_are_live_views_that_keep_their_parent():
    motor = LowCmd().motor_cmd[3]
    motor.q = 0.25
    assert motor.q == 0.25
    cmd = LowCmd()
    cmd.motor_cmd[-1].kp = 7
    assert cmd.motor_cmd[19].kp == 7
    assert len(cmd.motor_cmd) == 20
    with pytest.raises(IndexError, match="20 items"):
        cmd.motor_cmd[20]


def test_a_nested_message_is_copied_in_when_it_is_set():
    cmd, motor = LowCmd(), MotorCmd(mode=10, q=1.5)
    cmd.motor_cmd[2] = motor
    motor.q = 9
    assert cmd.motor_cmd[2].q == 1.5
    state, imu = LowState(), IMUState(quaternion=(1, 0, 0, 0))
    state.imu_state = imu
    assert state.imu_state == imu
    with pytest.raises(DTypeError, match="MotorCmd"):
        cmd.motor_cmd[0] = imu


@pytest.mark.parametrize("name", ["q", "dq", "tau", "kp", "kd"])
def test_bulk_setters_and_getters_of_commands_agree_with_the_slots(name):
    cmd = LowCmd()
    values = np.linspace(-1, 1, 12).astype(np.float32)
    cmd.set_motors(**{name: values})
    np.testing.assert_array_equal(getattr(cmd, name), values)
    np.testing.assert_array_equal([getattr(m, name) for m in cmd.motor_cmd][:12], values)
    assert getattr(cmd.motor_cmd[12], name) == getattr(LowCmd().motor_cmd[12], name)


@pytest.mark.parametrize("name", ["q", "dq", "ddq", "tau_est"])
def test_bulk_setters_and_getters_of_states_agree_with_the_slots(name):
    state = LowState()
    values = np.linspace(-1, 1, 12)
    state.set_motors(**{name: values}, temperature=range(30, 42))
    np.testing.assert_allclose([getattr(m, name) for m in state.motor_state][:12], values, rtol=1e-6)
    np.testing.assert_allclose(getattr(state, name), values, rtol=1e-6)
    assert [m.temperature for m in state.motor_state][:13] == [*range(30, 42), 0]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"q": np.full(12, np.nan)}, InvalidValueError),
        ({"kp": np.inf}, InvalidValueError),
        ({"q": 1e39}, InvalidValueError),
        ({"q": np.zeros(11)}, ShapeError),
        ({"q": np.zeros((12, 1))}, ShapeError),
        ({"q": "zero"}, DTypeError),
        ({"mode": 256}, InvalidValueError),
        ({"mode": 1.5}, DTypeError),
        ({"mode": [1] * 11}, ShapeError),
    ],
)
def test_bad_bulk_values_change_nothing(bad, error):
    cmd = LowCmd()
    before = cmd.copy()
    with pytest.raises(error):
        cmd.set_motors(**{"dq": 5.0, **bad})
    assert cmd == before


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("level_flag", 256, InvalidValueError),
        ("level_flag", -1, InvalidValueError),
        ("level_flag", 1.0, DTypeError),
        ("level_flag", "1", DTypeError),
        ("reserve", 2**32, InvalidValueError),
        ("head", (1,), ShapeError),
        ("head", (1, 256), InvalidValueError),
        ("motor_cmd", [], DTypeError),
        ("bms_cmd", None, DTypeError),
    ],
)
def test_values_that_do_not_fit_change_nothing(name, value, error):
    cmd = LowCmd()
    before = cmd.copy()
    with pytest.raises(error, match=name if name != "bms_cmd" else "BmsCmd"):
        setattr(cmd, name, value)
    assert cmd == before


def test_a_float_that_does_not_fit_is_refused():
    with pytest.raises(InvalidValueError, match="float32"):
        MotorCmd(q=1e39)
    with pytest.raises(DTypeError, match="real number"):
        MotorCmd(q="1")


def test_unknown_attributes_are_refused():
    with pytest.raises(AttributeError):
        LowCmd().torque = 1
    with pytest.raises(DTypeError, match="torque"):
        MotorCmd(torque=1)


def test_getters_are_copies():
    state = LowState()
    state.q[:] = 1
    np.testing.assert_array_equal(state.q, 0)


@pytest.mark.parametrize("cls", [*FIXED, Request, Response])
def test_copies_pickles_and_equality(cls):
    message = cls()
    twin = pickle.loads(pickle.dumps(message))
    assert twin == message
    assert twin is not message
    assert message != object()
    if cls in FIXED:
        assert copy.deepcopy(message) == copy.copy(message) == message


def test_equality_sees_every_field():
    a, b = LowState(), LowState()
    b.fan_frequency = (0, 0, 0, 1)
    assert a != b


def test_views_pickle_as_messages_of_their_own():
    cmd = LowCmd()
    cmd.motor_cmd[4].tau = 2.5
    motor = pickle.loads(pickle.dumps(cmd.motor_cmd[4]))
    cmd.motor_cmd[4].tau = 0
    assert motor.tau == 2.5


@pytest.mark.parametrize("cls", [*FIXED, Request, Response, MotorCmd])
def test_repr_is_one_line(cls):
    text = repr(cls())
    assert text.startswith(cls.__name__)
    assert "\n" not in text
    assert len(text) < 300


def test_request_text_is_checked():
    request = Request(parameter='{"x": 0.3}')
    with pytest.raises(InvalidValueError, match="NUL"):
        request.parameter = "a\0b"
    with pytest.raises(InvalidValueError, match="valid text"):
        request.parameter = "\ud800"
    with pytest.raises(DTypeError, match="string"):
        request.parameter = b"x"
    with pytest.raises(DTypeError, match="bytes"):
        request.binary = "x"
    assert request.parameter == '{"x": 0.3}'
