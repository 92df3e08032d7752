"""Row 25: one LowState in and one LowCmd with its checksum out, against cyclonedds' own IDL classes."""

import numpy as np
import pytest

from rfx.go2.messages import LowCmd, LowState

GROUP = "row 25: LowState decode + LowCmd encode + CRC"


def low_state():
    rng = np.random.default_rng(0)
    state = LowState(tick=1234)
    state.set_motors(q=rng.normal(size=12), dq=rng.normal(size=12), tau_est=rng.normal(size=12))
    return state


def low_cmd():
    cmd = LowCmd()
    cmd.set_motors(q=np.linspace(-1, 1, 12), kp=50.0, kd=3.5)
    return cmd


@pytest.mark.benchmark(group=GROUP)
def test_rfx(benchmark):
    data, state, cmd = low_state().to_cdr(), LowState(), low_cmd()

    def round_trip():
        state.update_from_cdr(data)
        return cmd.to_cdr()

    out = benchmark(round_trip)
    assert state == LowState.from_cdr(data)
    assert LowCmd.from_cdr(out).crc_ok


@pytest.mark.benchmark(group=GROUP)
def test_rfx_with_a_new_object_and_its_checksum_checked(benchmark):
    data, cmd = low_state().to_cdr(), low_cmd()

    def round_trip():
        assert LowState.from_cdr(data).crc_ok
        return cmd.to_cdr()

    assert benchmark(round_trip) == cmd.to_cdr()


@pytest.mark.benchmark(group=GROUP)
def test_cyclonedds_idl_classes(benchmark):
    """Without the checksum: its classes have none."""
    idl = pytest.importorskip("rfx.go2.backends.idl", exc_type=ImportError)
    data, cmd = low_state().to_cdr(), low_cmd()
    peer_cmd, peer_state = idl.to_idl(cmd.seal()), idl.LowState

    def round_trip():
        peer_state.deserialize(data)
        return peer_cmd.serialize(use_version_2=False)

    assert benchmark(round_trip) == cmd.to_cdr()
