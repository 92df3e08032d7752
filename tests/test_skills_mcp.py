"""The skills as tools of an MCP server: the package's own client drives a simulated robot, and goes away in the middle."""

import asyncio
import http.client
import json
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from guides import run_guide
from waiting import wait_for

from rfx.cli import main
from rfx.cli.demo import child_environment
from rfx.errors import ConfigError, DTypeError, RfxConnectionError
from rfx.skills import Circle, Go2Skills, KinematicGo2, SkillLimits, SkillRegistry, skill

mcp = pytest.importorskip("mcp", reason="mcp is not installed")

from mcp.client.stdio import stdio_client  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402
from mcp.shared._httpx_utils import create_mcp_http_client  # noqa: E402

from rfx.skills import mcp_server  # noqa: E402
from rfx.skills.mcp_door import checked_loopback, checked_token  # noqa: E402
from rfx.skills.mcp_server import SkillServer  # noqa: E402

TOKEN = "a-token-of-this-test-only"
MODES = ("auto", "legacy")  # the protocol without a handshake, and the one with it


def serve(*words):
    return [sys.executable, "-m", "rfx", "skills", "serve", *words]


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()] if Path(path).exists() else []


def guard_says(path, action, word=""):
    found = [line for line in lines_of(path) if line["event"] == "guard" and line["action"] == action]
    return [line for line in found if word in line.get("why", "")]


def drives(path):
    return guard_says(path, "drive")


@asynccontextmanager
async def over_http(url, mode="auto", token=TOKEN):
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        create_mcp_http_client(headers) as client,
        mcp.Client(streamable_http_client(url, http_client=client), mode=mode) as session,
    ):
        yield session


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a robot in real time: its address and its audit file."""
    folder = tmp_path_factory.mktemp("http")
    audit, token = folder / "audit.jsonl", folder / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    words = ("--http", "127.0.0.1:0", "--token-file", str(token), "--audit", str(audit), "--radius", "50")
    child = subprocess.Popen(
        serve("--robot", "point", *words), stdout=subprocess.PIPE, env=child_environment(), text=True
    )
    yield json.loads(child.stdout.readline())["url"], audit
    child.terminate()
    assert child.wait(20) == 130
    child.stdout.close()
    assert guard_says(audit, "stop", "closed")


CLIENT = """
import asyncio, sys
import mcp
from mcp.client.stdio import stdio_client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

async def walk(transport, mode):
    async with mcp.Client(transport, mode=mode) as client:
        await client.call_tool("stand")
        print("walking", flush=True)
        await client.call_tool("walk", {"seconds": 18, "speed": 0.1})

async def main():
    where, mode, *words = sys.argv[1:]
    if where == "stdio":
        command, *rest = words
        await walk(stdio_client(StdioServerParameters(command=command, args=rest, env=ENVIRONMENT)), mode)
    else:
        async with create_mcp_http_client({"Authorization": "Bearer " + words[0]}) as client:
            await walk(streamable_http_client(where, http_client=client), mode)

asyncio.run(main())
"""


def walking_client(*words, **options):
    code = CLIENT.replace("ENVIRONMENT", repr(dict(child_environment())))
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, env=child_environment(), text=True, **options
    )


# -- over standard input and output


def test_a_client_over_stdio_makes_the_walking_robot_stand_walk_and_report(tmp_path):
    pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    audit, told = tmp_path / "audit.jsonl", []

    async def hear(done, total, text):
        told.append((done, total))

    async def drive():
        command, *rest = serve("--robot", "sim", "--audit", str(audit))
        parameters = mcp.StdioServerParameters(command=command, args=rest, env=dict(child_environment()))
        async with mcp.Client(stdio_client(parameters)) as client:
            assert "robot dog" in client.instructions
            early = await client.call_tool("walk", {"distance": 0.5})
            assert early.is_error
            assert "Call stand first" in early.content[0].text
            assert not (await client.call_tool("stand")).is_error
            walked = await client.call_tool("walk", {"distance": 0.5}, progress_callback=hear)
            assert not walked.is_error, walked.content
            return walked.structured_content, (await client.call_tool("report_state")).structured_content

    walked, report = asyncio.run(drive())
    assert abs(walked["distance"] - 0.5) < 0.2  # in real time: a machine that stalls lets it walk on for 0.4 s
    assert abs(report["x"] - 0.5) < 0.2
    assert len(told) >= 2
    assert told == sorted(told)
    assert guard_says(audit, "stop", "closed")  # the client has left: the server has ended in good order


def test_a_client_that_is_killed_leaves_a_robot_at_rest(tmp_path):
    audit = tmp_path / "audit.jsonl"
    client = walking_client("stdio", "auto", *serve("--robot", "point", "--audit", str(audit)), stderr=subprocess.PIPE)
    assert client.stdout.readline() == "walking\n"
    assert wait_for(lambda: drives(audit), 20)
    client.kill()
    client.wait()
    assert "Traceback" not in client.stderr.read()  # of the server, which ends, too
    client.stdout.close()
    client.stderr.close()
    assert guard_says(audit, "stop", "closed")
    (end,) = [line for line in guard_says(audit, "end") if line["move"] == "walk"]
    assert any(word in end["why"] for word in ("gone", "stop", "the server has ended"))
    assert end["seconds"] < 17


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_server_in_good_order(tmp_path, number):
    audit = tmp_path / "audit.jsonl"
    command = serve("--robot", "point", "--audit", str(audit))
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"skills: " in child.stderr.readline()
    child.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "nothing"}\n\xff\xfe\n')
    child.stdin.write(b"no json\n" * 1000)  # these are on their way when the signal comes
    child.stdin.flush()
    child.stdout.readline()  # it listens
    child.send_signal(number)
    assert child.wait(20) == 130
    for stream in (child.stdin, child.stdout, child.stderr):
        stream.close()
    assert guard_says(audit, "stop", "closed")


# -- over HTTP


@pytest.mark.parametrize("mode", MODES)
def test_a_client_over_http_moves_the_robot(server, mode):
    async def drive():
        async with over_http(server[0], mode) as client:
            await client.call_tool("stand")
            turned = await client.call_tool("turn", {"degrees": 20})
            return await client.list_tools(), turned.structured_content

    tools, turned = asyncio.run(drive())
    assert abs(turned["turned"] - 20) < 12  # in real time: a machine that stalls lets it turn on for 0.4 s
    hints = {tool.name: tool.annotations for tool in tools.tools}
    assert hints["report_state"].read_only_hint
    assert not hints["report_state"].destructive_hint
    assert hints["walk"].destructive_hint
    assert not hints["stop"].destructive_hint
    assert {tool.name for tool in tools.tools if tool.output_schema} >= {"walk", "report_state"}


@pytest.mark.parametrize("mode", MODES)
def test_a_client_over_http_that_is_killed_leaves_a_robot_at_rest(server, mode):
    url, audit = server
    begun, ended = (
        len(drives(audit)),
        len(guard_says(audit, "end", "gone")) + len(guard_says(audit, "end", "closed its")),
    )
    client = walking_client(url, mode, TOKEN)
    assert client.stdout.readline() == "walking\n"
    assert wait_for(lambda: len(drives(audit)) > begun, 20)
    client.kill()
    client.wait()
    client.stdout.close()

    def at_rest():
        return len(guard_says(audit, "end", "gone")) + len(guard_says(audit, "end", "closed its")) > ended

    assert wait_for(at_rest, 15)
    assert guard_says(audit, "end")[-1]["seconds"] < 17


@pytest.mark.parametrize("mode", MODES)
def test_a_client_cancels_its_own_walk_and_stops_that_of_another(server, mode):
    url, audit = server

    async def walking(client, count):
        call = asyncio.create_task(client.call_tool("walk", {"seconds": 18, "speed": 0.1}))
        while len(drives(audit)) <= count:
            assert not call.done()
            await asyncio.sleep(0.02)
        return call

    async def drive():
        async with over_http(url, mode) as one, over_http(url, mode) as two:
            await one.call_tool("stand")
            call = await walking(one, len(drives(audit)))
            call.cancel()
            while guard_says(audit, "end")[-1]["move"] != "walk":
                await asyncio.sleep(0.02)
            cancelled = guard_says(audit, "end")[-1]["why"]
            call = await walking(one, len(drives(audit)))
            busy = await two.call_tool("turn", {"degrees": 10})
            stopped = await two.call_tool("stop")
            return cancelled, busy, stopped, await call

    begun = len(guard_says(audit, "end"))
    cancelled, busy, stopped, ended = asyncio.run(drive())
    assert len(guard_says(audit, "end")) > begun
    assert cancelled != "done"
    assert '"busy"' in busy.content[0].text
    assert not stopped.is_error
    assert ended.is_error
    assert '"stopped"' in ended.content[0].text


def ask(url, headers, method="POST", path="/mcp"):
    host = url.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=20)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}) if method == "POST" else None
    connection.putrequest(method, path, skip_host="Host" in headers)
    for key, value in headers.items():
        connection.putheader(key, value)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body.encode() if body else None)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


GOOD = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "Accept": "application/json"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer \xff\xfe"}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": "127.0.0.1:1.evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_who_has_no_token_or_comes_from_elsewhere_is_refused(server, method, headers, status):
    assert ask(server[0], {**GOOD, **headers}, method) == status


def test_who_has_the_token_comes_in_and_only_through_the_one_path(server):
    assert ask(server[0], GOOD) not in (401, 403, 421)
    assert ask(server[0], {**GOOD, "Origin": "http://" + server[0].split("/")[2]}) not in (401, 403, 421)
    assert ask(server[0], {k: v for k, v in GOOD.items() if k != "Authorization"}, path="/other") == 401
    assert ask(server[0], GOOD, path="/other") == 404


def test_clients_that_died_with_their_sessions_open_keep_nobody_out(server):
    url, _ = server
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "dead", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about})
    headers = {**GOOD, "Accept": "application/json, text/event-stream"}
    for _ in range(20):
        connection = http.client.HTTPConnection(url.split("/")[2], timeout=20)
        connection.request("POST", "/mcp", body, headers)
        assert connection.getresponse().status == 200
        connection.close()

    async def stop():
        async with over_http(url, "legacy") as client:
            return await client.call_tool("stop")

    assert not asyncio.run(stop()).is_error


# -- in this process


def talk(registry, conversation, **options):
    async def run():
        async with mcp.Client(SkillServer(registry, **options).server) as client:
            return await conversation(client)

    return asyncio.run(run())


def test_errors_say_what_to_do():
    robot = KinematicGo2()
    robot.stand()
    registry = Go2Skills(robot, SkillLimits(area=Circle(1.0))).registry()

    async def conversation(client):
        return [
            await client.call_tool(name, arguments)
            for name, arguments in [
                ("wlak", {}),
                ("walk", {"distance": "far"}),
                ("walk", {"distance": 5}),
                ("walk", {"distance": 1, "speed": 1.5}),
            ]
        ]

    answers = talk(registry, conversation)
    assert all(answer.is_error for answer in answers)
    said = [json.loads(answer.content[0].text) for answer in answers]
    assert [one["kind"] for one in said] == ["unknown skill", "arguments", "limit", "limit"]
    assert said[0]["hint"] == "Did you mean 'walk'?"
    assert all(one["hint"] for one in said)
    assert robot.received.fastest[0] <= 0.5


def test_a_storm_of_calls_does_not_keep_a_stop_waiting():
    release, waiting = threading.Event(), []

    @skill(effects="reads")
    def ponder() -> None:
        """Take long."""
        waiting.append(1)
        release.wait(20)

    @skill(effects="stops")
    def halt() -> str:
        """Stop."""
        return "halted"

    async def conversation(client):
        calls = [asyncio.create_task(client.call_tool("ponder")) for _ in range(mcp_server.CALLS + 5)]
        while len(waiting) < mcp_server.CALLS:
            await asyncio.sleep(0.01)
        stopped = await client.call_tool("halt")
        release.set()
        return stopped, await asyncio.gather(*calls)

    stopped, answers = talk(SkillRegistry([ponder, halt]), conversation)
    assert stopped.structured_content == {"result": "halted"}
    assert sum(answer.is_error for answer in answers) == 5


def test_a_call_that_came_before_a_stop_does_not_begin_after_it():
    robot = KinematicGo2()
    robot.stand()
    registry = Go2Skills(robot).registry()
    ticket = registry.ticket()
    registry.execute("stop")
    assert registry.execute("walk", {"distance": 0.5}, ticket=ticket).kind == "stopped"
    assert robot.received.drives == 0
    assert registry.execute("walk", {"distance": 0.5}).ok


def test_a_server_has_what_it_needs_or_says_so():
    with pytest.raises(DTypeError, match="SkillRegistry"):
        SkillServer(None)
    server = SkillServer(SkillRegistry())
    assert "0 skills" in repr(server)
    with pytest.raises(ConfigError, match="loopback"):
        server.run_http(TOKEN, "0.0.0.0")
    with pytest.raises(ConfigError, match="16 characters"):
        server.run_http("short")
    with pytest.raises(RfxConnectionError, match="listen"):
        server.run_http(TOKEN, port=70000)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_only_loopback_is_served(host):
    with pytest.raises(ConfigError, match="loopback"):
        checked_loopback(host)
    assert [checked_loopback(h) for h in ("localhost", "127.0.0.1", "::1")] == ["127.0.0.1", "127.0.0.1", "::1"]


@pytest.mark.parametrize("token", ["", "short", "with blanks in the middle", "nön-ascii-letters-here", None])
def test_a_token_is_long_and_plain(token):
    with pytest.raises(ConfigError, match="token"):
        checked_token(token)


def test_the_page_holds():
    run_guide("mcp.md")


# -- the command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--http", "127.0.0.1:0"], "expected a token"),
        (["--http", "0.0.0.0:0"], "loopback"),
        (["--http", "8765"], "HOST:PORT"),
        (["--http", "127.0.0.1:x"], "HOST:PORT"),
        (["--http", "127.0.0.1:0", "--token-file", "/nowhere/token"], "file with a token"),
        (["--radius", "0.1"], "margin"),
        (["--speed", "nan"], "speed"),
    ],
)
def test_the_command_says_what_is_wrong_before_it_starts(words, said, capsys, monkeypatch):
    monkeypatch.delenv("RFX_SKILLS_TOKEN", raising=False)
    assert main(["skills", "serve", *words]) == 1
    assert said in capsys.readouterr().err


def test_a_file_that_others_may_read_keeps_no_token(tmp_path, capsys):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o644)
    assert main(["skills", "serve", "--http", "127.0.0.1:0", "--token-file", str(path)]) == 1
    assert "chmod 600" in capsys.readouterr().err


def test_the_command_lists_the_skills(capsys):
    assert main(["skills", "list", "--radius", "3"]) == 0
    said = capsys.readouterr().out
    assert "report_state (reads)" in said
    assert "circle of 3 m" in said
