"""Clients of the MCP server that hang, and those that cannot be asked whether they are there."""

import asyncio
import json
import os
import signal
import subprocess
import threading
import time

import pytest
from waiting import wait_for

from rfx.cli.demo import child_environment
from rfx.errors import InvalidValueError
from rfx.skills import Caller, CancelToken, SkillRegistry, skill

mcp = pytest.importorskip("mcp", reason="mcp is not installed")

import anyio  # noqa: E402
from mcp import types  # noqa: E402
from mcp.shared.message import SessionMessage  # noqa: E402
from test_skills_mcp import TOKEN, drives, guard_says, serve, walking_client  # noqa: E402

from rfx.skills import mcp_door, mcp_pulse  # noqa: E402
from rfx.skills.mcp_server import SkillServer  # noqa: E402


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(mcp_pulse, "PING_S", 0.05)


# -- real clients that hang: stopped by the system, with their connection open


def hang(client, audit):
    """Let a walking client hang; whether the robot was stopped for it, in the middle of its walk."""
    try:
        assert client.stdout.readline() == "walking\n"
        assert wait_for(lambda: drives(audit), 20)
        for _ in range(4):  # it must have answered once; on a busy machine that may take its time
            time.sleep(0.5)
            client.send_signal(signal.SIGSTOP)
            if wait_for(lambda: guard_says(audit, "end", "not answered a ping"), 3):
                break
            client.send_signal(signal.SIGCONT)
        assert guard_says(audit, "end", "not answered a ping")
        (end,) = [line for line in guard_says(audit, "end") if line["move"] == "walk"]
        return end["seconds"] < 17
    finally:
        client.kill()
        client.wait()
        client.stdout.close()


def test_a_client_over_stdio_that_hangs_leaves_a_robot_at_rest(tmp_path):
    audit = tmp_path / "audit.jsonl"
    words = serve("--robot", "point", "--audit", str(audit), "--patience", "1")
    assert hang(walking_client("stdio", "legacy", *words), audit)


def test_a_client_over_http_that_hangs_leaves_a_robot_at_rest(tmp_path):
    audit = tmp_path / "audit.jsonl"
    words = ("--http", "127.0.0.1:0", "--audit", str(audit), "--patience", "1")
    environment = {**child_environment(), "RFX_SKILLS_TOKEN": TOKEN}
    child = subprocess.Popen(serve("--robot", "point", *words), stdout=subprocess.PIPE, env=environment, text=True)
    try:
        url = json.loads(child.stdout.readline())["url"]
        assert hang(walking_client(url, "legacy", TOKEN), audit)
    finally:
        child.terminate()
        assert child.wait(20) == 130
        child.stdout.close()


# -- in this process: a client made by hand, that answers as it likes


def skills():
    """A mover that goes on until it is cancelled or told to end, the event that ends it, and why it ended."""
    enough, reasons = threading.Event(), []

    @skill(timeout=30)
    def wander(cancel: CancelToken) -> str:
        """Walk."""
        while not enough.wait(0.01) and not cancel.cancelled:
            pass
        reasons.append(cancel.reason)
        cancel.check()
        return "there"

    return SkillRegistry([wander]), enough, reasons


def converse(registry, hear, patience_s=0.3):
    """Shake hands, call wander, let ``hear(message, answer)`` have every request of the server; the result of the call."""

    async def run():
        server = SkillServer(registry, patience_s=patience_s)
        to_server, incoming = anyio.create_memory_object_stream(10)
        outgoing, from_server = anyio.create_memory_object_stream(10)

        async def say(**message):
            await to_server.send(
                SessionMessage(types.jsonrpc_message_adapter.validate_python({"jsonrpc": "2.0", **message}))
            )

        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "hand", "version": "1"}}
        async with anyio.create_task_group() as group:
            serving = server.server
            group.start_soon(serving.run, incoming, outgoing, serving.create_initialization_options())
            await say(id=1, method="initialize", params=about)
            async for message in from_server:
                got = message.message
                if isinstance(got, types.JSONRPCRequest):
                    await hear(got, say)
                elif getattr(got, "id", None) == 1:
                    await say(method="notifications/initialized")
                    await say(id=2, method="tools/call", params={"name": "wander", "arguments": {}})
                elif getattr(got, "id", None) == 2:
                    group.cancel_scope.cancel()
                    return got.result

    return asyncio.run(run())


def test_a_client_that_answers_and_then_does_not_ends_its_move():
    registry, _, reasons = skills()
    pings = []

    async def hear(message, say):
        pings.append(message.method)
        if len(pings) < 3:
            await say(id=message.id, result={})

    result = converse(registry, hear)
    assert result["isError"]
    assert set(pings) == {"ping"}
    assert len(pings) == 3
    assert reasons == ["the client has not answered a ping for 0.3 s"]


def test_a_client_that_never_answers_a_ping_keeps_working():
    registry, enough, reasons = skills()

    async def hear(message, say):
        threading.Timer(0.6, enough.set).start()

    result = converse(registry, hear)
    assert not result["isError"]
    assert reasons == [""]


@pytest.mark.parametrize("answer", [{"error": {"code": -32601, "message": "what is a ping?"}}, {"result": {"x": 1}}])
def test_an_answer_that_is_none_tells_that_a_client_is_there(answer):
    registry, enough, reasons = skills()
    pings = []

    async def hear(message, say):
        pings.append(message)
        await say(id=message.id, **answer)
        if len(pings) == 12:
            enough.set()

    result = converse(registry, hear, patience_s=20.0)
    assert not result["isError"]
    assert reasons == [""]


def test_a_server_without_patience_pings_nobody():
    registry, enough, _ = skills()
    threading.Timer(0.5, enough.set).start()

    async def hear(message, say):
        raise AssertionError("no request was expected")

    assert not converse(registry, hear, patience_s=None)["isError"]
    with pytest.raises(InvalidValueError, match="patience_s"):
        SkillServer(registry, patience_s=0.0)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_of_the_package_walks_on_under_pings_or_without(mode):
    registry, enough, reasons = skills()

    async def run():
        async with mcp.Client(SkillServer(registry, patience_s=20.0).server, mode=mode) as client:
            threading.Timer(0.6, enough.set).start()
            return await client.call_tool("wander")

    assert not asyncio.run(run()).is_error
    assert reasons == [""]


# -- what else may go wrong between a client and its move


def test_a_client_that_cannot_be_told_of_progress_counts_as_gone(monkeypatch):
    registry, _, reasons = skills()
    wander = registry.unregister("wander")

    @skill(timeout=30)
    def walk(cancel: CancelToken) -> str:
        """Walk, and say so."""
        from rfx.skills.caller import report_progress

        report_progress(1.0, 2.0, "half")
        return wander(cancel=cancel)

    registry.register(walk)

    async def broken(self, *_):
        raise anyio.BrokenResourceError

    async def run():
        async with mcp.Client(SkillServer(registry).server) as client:
            return await client.call_tool("walk")

    monkeypatch.setattr("mcp.server.session.ServerSession.report_progress", broken)
    assert asyncio.run(run()).is_error
    assert "could not be told" in reasons[0]


def test_a_caller_is_told_to_be_gone_also_when_no_thread_is_left(monkeypatch):
    def none_left(self):
        raise RuntimeError("can't start new thread")

    caller = Caller("planner")
    monkeypatch.setattr(threading.Thread, "start", none_left)
    mcp_door.end_caller(caller, "bye")
    assert caller.reason == "bye"


def test_the_program_does_not_wait_for_a_call_that_hangs():
    registry, enough, _ = skills()

    async def run():
        async with mcp.Client(SkillServer(registry).server) as client:
            call = asyncio.create_task(client.call_tool("wander"))
            while not registry.mover:
                await asyncio.sleep(0.01)
            new = set(threading.enumerate()) - before
            enough.set()
            await call
            return new

    before = set(threading.enumerate())
    assert all(thread.daemon for thread in asyncio.run(run()))


@pytest.mark.parametrize("name", ["wander", "halt"])
def test_a_stop_needs_no_thread_and_other_calls_say_that_there_is_none(monkeypatch, name):
    registry, enough, _ = skills()
    enough.set()

    @skill(effects="stops")
    def halt() -> str:
        """Stop."""
        return "halted"

    def none_left(self):
        raise RuntimeError("can't start new thread")

    registry.register(halt)

    async def run():
        async with mcp.Client(SkillServer(registry).server) as client:
            monkeypatch.setattr(threading.Thread, "start", none_left)
            try:
                return await client.call_tool(name)
            finally:
                monkeypatch.undo()

    assert asyncio.run(run()).is_error == (name == "wander")


def test_a_server_whose_client_does_not_read_ends_when_it_is_told_to(tmp_path):
    audit = tmp_path / "audit.jsonl"
    command = [*serve("--robot", "point", "--audit", str(audit))]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=child_environment()
    )
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "hand", "version": "1"}}

    def say(**message):
        child.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        child.stdin.flush()

    say(id=1, method="initialize", params=about)
    child.stdout.readline()
    say(method="notifications/initialized")
    os.set_blocking(child.stdin.fileno(), False)
    try:
        for i in range(2, 60):  # its answers fill the pipe, which nobody reads
            say(id=i, method="tools/list")
    except BlockingIOError:
        pass
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)
    try:
        assert child.wait(20) == 130
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), child.stdin.fileno())
        child.stdin.close()
    assert guard_says(audit, "stop", "closed")
