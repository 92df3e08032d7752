"""rfx.go2.backends.recorded: a flight log behind the same client, loop and clock as a robot."""

import threading

import pytest

from rfx.control import ControlLoop
from rfx.errors import InvalidStateError, RfxConnectionError
from rfx.go2 import Go2, Go2Config, RobotClock, topics
from rfx.go2.backends.base import DdsBackend, StateReceiver
from rfx.go2.backends.recorded import RecordedBackend
from rfx.go2.flight_log import FlightLog
from rfx.go2.messages import LowCmd, LowState, Request, SportModeState

TICKS = 20


@pytest.fixture
def log(tmp_path):
    with FlightLog(tmp_path / "a.mcap") as made:
        for i in range(TICKS):
            if i % 5 == 0:
                made.record(topics.SPORT_MODE_STATE, i, SportModeState(body_height=i / 10).to_cdr())
            state = LowState(tick=2 * i)
            state.set_motors(q=i / 100)
            state.imu_state.quaternion = (1.0, 0.0, 0.0, 0.0)
            made.record(topics.LOW_STATE, i, state.to_cdr())
        wrong = bytearray(LowState(tick=99).to_cdr())
        wrong[-1] ^= 1
        made.record(topics.LOW_STATE, TICKS, bytes(wrong))
    return made.path


def test_it_has_what_every_backend_has(log):
    backend = RecordedBackend(log)
    assert isinstance(backend, DdsBackend)
    assert isinstance(backend.subscribe_state(), StateReceiver)
    backend.disconnect()


def test_states_come_one_by_one_and_end(log):
    go2 = Go2(Go2Config(), backend := RecordedBackend(log))
    ticks, heights = [], []
    while go2.wait_state(0.0):
        ticks.append(go2.low_state().tick)
        heights.append(go2.sport_state().body_height)
    assert ticks == list(range(0, 2 * TICKS, 2))
    assert heights == pytest.approx([0.0] * 5 + [0.5] * 5 + [1.0] * 5 + [1.5] * 5)
    assert backend.over
    assert not backend.is_connected()
    assert (backend.subscribe_state().refused, "checksum" in backend.subscribe_state().last_refusal) == (1, True)


def test_a_control_loop_runs_over_a_recording_as_over_a_robot(log):
    sent = []
    backend = RecordedBackend(log, lambda *message: sent.append(message))
    with Go2(Go2Config().with_limits(stale_s=60.0), backend) as go2:
        assert go2.wait_state(0.0)
        cmd = LowCmd()

        def tick(iteration, dt):
            cmd.set_motors(q=go2.low_state().q * 2)
            go2.send(cmd)
            return True

        loop = ControlLoop(500.0, tick, clock=RobotClock(go2, alive=backend.is_connected))
        with pytest.raises(RfxConnectionError, match="gone"):
            loop.run()
        commands = list(sent)
    decoded = [LowCmd.from_cdr(data).q[0] for _, data in commands]
    assert decoded == pytest.approx([2 * i / 100 for i in range(TICKS)])
    assert {topic for topic, _ in sent} == {topics.LOW_CMD}


def test_requests_go_nowhere_and_nobody_answers(log):
    sent = []
    backend = RecordedBackend(log, lambda topic, data: sent.append(topic))
    backend.publish_request("motion_switcher", Request())
    assert sent == [topics.MOTION_SWITCHER_REQUEST]
    assert backend.responses("motion_switcher", 1.0) == []
    assert not backend.serves("sport")
    assert backend.other_commanders() == []


def test_a_closed_one_takes_nothing(log):
    backend = RecordedBackend(log)
    backend.disconnect()
    backend.disconnect()
    assert not backend.is_connected()
    with pytest.raises(InvalidStateError):
        backend.publish_low_cmd(LowCmd())
    with pytest.raises(InvalidStateError):
        backend.subscribe_state().recv(0.0)


def test_two_threads_share_what_comes(log):
    backend, found, errors = RecordedBackend(log), [], []

    def work():
        try:
            while (state := backend.subscribe_state().recv(0.0)) is not None:
                found.append(state.tick)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(found) == list(range(0, 2 * TICKS, 2))
    backend.disconnect()


def test_closing_waits_for_who_reads(log, monkeypatch):
    backend = RecordedBackend(log)
    messages, closing, ended = backend._messages, [], []

    def gated():
        for message in messages:
            if not closing:
                closing.append(threading.Thread(target=lambda: (backend.disconnect(), ended.append(True))))
                closing[0].start()
                closing[0].join(0.05)
                assert not ended
            yield message

    monkeypatch.setattr(backend, "_messages", gated())
    assert backend.subscribe_state().recv(0.0).tick == 0
    closing[0].join(10)
    with pytest.raises(InvalidStateError):
        backend.subscribe_state().recv(0.0)
