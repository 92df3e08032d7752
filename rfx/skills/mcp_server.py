"""Skills as the tools of an MCP server, over stdio or over HTTP on this machine. The one door to ``mcp`` and ``uvicorn``.

A call whose client cancels it, closes its request or goes away ends at once, and what it moved stops. The package serves
both the protocol with a handshake and the one without; neither needs to tell us when a client dies, since its pipe or
socket is closed by the system.
"""

import asyncio
import hmac
import ipaddress
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rfx._version import __version__
from rfx.errors import ConfigError, DTypeError, MissingDependencyError, RfxConnectionError
from rfx.skills.caller import Caller
from rfx.skills.formats import ToolCall
from rfx.skills.registry import SkillRegistry
from rfx.skills.result import SkillResult

PROGRESS_S = 0.2  # how often progress is told
CALLS = 16  # more at the same time are refused; stops are not counted
SESSIONS = 16
MOST_BYTES = 256 * 1024  # of a request
LEAVE_S = 1.0
LINES = 64  # requests that are read ahead
TOKEN_LENGTH = 16  # characters, at least
_LINE = "rfx.line"  # where the scope of a request has its line
_LOG = logging.getLogger("rfx.skills")


def load_mcp() -> Any:
    """Return the package ``mcp``; MissingDependencyError without it."""
    try:
        import mcp
        import mcp.server.lowlevel
        import mcp.server.stdio
        import mcp.types
    except ImportError as error:
        raise MissingDependencyError("the MCP server needs the package mcp: pip install 'rfx[mcp]'") from error
    return mcp


class _Line:
    """The connection that an HTTP request came over, for as long as it is open."""

    def __init__(self) -> None:
        self.callers: set[Caller] = set()

    def cut(self) -> None:
        for caller in list(self.callers):
            _end(caller, "the client has closed its request")


def _end(caller: Caller, why: str) -> None:
    """Say that a caller is gone, in a thread: telling the robot may take its time, and others are served here."""
    threading.Thread(target=caller.gone, args=(why,), name="rfx skills caller gone", daemon=True).start()


class _Lines:
    """Lines of a file descriptor, read by a thread that nobody has to wait for: Ctrl+C gets through."""

    def __init__(self, descriptor: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(LINES)
        args = (os.dup(descriptor),)
        threading.Thread(target=self._read, args=args, name="rfx skills input", daemon=True).start()

    def _read(self, descriptor: int) -> None:
        rest = b""
        try:
            while len(rest) <= MOST_BYTES:
                got = os.read(descriptor, 65536)
                if not got:
                    break
                *lines, rest = (rest + got).split(b"\n")
                for line in lines:
                    self._room.acquire()
                    self._put(line.decode("utf-8", "replace"))
        except OSError as error:
            _LOG.warning("reading requests failed: %s", error)
        finally:
            self._put(None)

    def _put(self, line: str | None) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._queue.put_nowait, line)

    def __aiter__(self) -> "_Lines":
        return self

    async def __anext__(self) -> str:
        line = await self._queue.get()
        if line is None:
            raise StopAsyncIteration
        self._room.release()
        return line


class SkillServer:
    """Serve the skills of a registry by the Model Context Protocol.

    Parameters
    ----------
    registry : SkillRegistry
    name : str
        What the server calls itself.
    instructions : str
        Told to the model of every client.

    Attributes
    ----------
    server : mcp.server.lowlevel.Server
        What the package makes of it, for a transport of your own.

    Raises
    ------
    MissingDependencyError
        ``mcp`` is not installed.
    """

    def __init__(self, registry: SkillRegistry, *, name: str = "rfx", instructions: str = "") -> None:
        if not isinstance(registry, SkillRegistry):
            raise DTypeError(f"expected a SkillRegistry, got {type(registry).__name__}")
        self._mcp = load_mcp()
        self.registry = registry
        self._running, self._ending = 0, False
        self.server = self._mcp.server.lowlevel.Server(
            name,
            version=__version__,
            instructions=instructions or None,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )

    def __repr__(self) -> str:
        return f"SkillServer({self.server.name!r}, {len(self.registry)} skills)"

    # -- requests

    async def _list_tools(self, context: Any, params: Any) -> Any:
        types = self._mcp.types
        return types.ListToolsResult(tools=[types.Tool.model_validate(tool) for tool in self.registry.to_mcp()])

    async def _call_tool(self, context: Any, params: Any) -> Any:
        ticket = self.registry.ticket()  # now: a stop that comes while a thread is found for this call ends it
        call = ToolCall(params.name, {} if params.arguments is None else params.arguments)
        found = self.registry.get(call.name)
        stops = found is not None and found.stops
        if not stops and self._ending:
            result = SkillResult(False, None, "stopped", "the server is ending", "Connect again later.")
        elif not stops and self._running >= CALLS:
            result = SkillResult(False, None, "busy", f"{CALLS} calls are under way", "Wait for them to end.")
        else:
            self._running += not stops
            try:
                result = await self._execute(context, call, ticket)
            finally:
                self._running -= not stops
        return self._mcp.types.CallToolResult.model_validate(self.registry.result_to_mcp(call, result))

    async def _execute(self, context: Any, call: ToolCall, ticket: Any) -> SkillResult:
        import anyio
        import anyio.to_thread

        news: list[tuple[float, float, str]] = []
        caller = Caller(_name_of(context), progress=lambda *told: news.append(told))
        line = context.request.scope.get(_LINE) if context.request is not None else None
        if line is not None:
            line.callers.add(caller)

        def work() -> SkillResult:
            with caller:
                return self.registry.execute(call.name, call.arguments, ticket=ticket)

        async def tell() -> None:
            last = -1.0
            while True:
                await anyio.sleep(PROGRESS_S)
                if news and news[-1][0] > last:  # the protocol wants it to grow
                    last, total, text = news[-1]
                    await context.session.report_progress(last, total, text)

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(tell)
                limiter = anyio.CapacityLimiter(1)  # a thread of its own: nothing waits for another call
                result: SkillResult = await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
                group.cancel_scope.cancel()
            return result
        except anyio.get_cancelled_exc_class():
            _end(caller, "the client has cancelled the call, or is gone")
            raise
        finally:
            if line is not None:
                line.callers.discard(caller)

    def _leave(self) -> None:
        """Stop whatever moves, and wait a little until what moved it has written that down."""
        self.registry.stop_all("the server has ended", caller="server")
        end = time.monotonic() + LEAVE_S
        while self.registry.mover and time.monotonic() < end:
            time.sleep(0.01)

    # -- over standard input and output

    def run_stdio(self) -> None:
        """Serve one client over standard input and output until it closes them; then whatever moves is stopped."""
        import anyio

        async def serve() -> None:
            lines: Any = _Lines(0)
            async with self._mcp.server.stdio.stdio_server(lines) as (incoming, outgoing):
                await self.server.run(incoming, outgoing, self.server.create_initialization_options())

        try:
            anyio.run(serve)
        except* BrokenPipeError:
            _LOG.info("the client has gone without a word")
        finally:
            self._leave()

    # -- over HTTP

    def run_http(
        self,
        token: str,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ready: Callable[[str], None] = lambda url: None,
    ) -> None:
        """Serve clients on this machine over HTTP until interrupted; then whatever moves is stopped.

        Parameters
        ----------
        token : str
            What a client has to send as ``Authorization: Bearer``; at least 16 characters, no blanks.
        host : str
            An address of this machine that others cannot reach.
        port : int
            0 for one that is free.
        ready : callable
            Takes the address once clients can connect.

        Raises
        ------
        ConfigError
            No loopback address, or no token to speak of.
        RfxConnectionError
            The port is taken.
        """
        import anyio
        import uvicorn

        address = checked_loopback(host)
        checked_token(token)
        listener = _listen(address, port)
        try:
            number = listener.getsockname()[1]
            app = self._app(token, number)
            options = {"log_level": "warning", "access_log": False, "ws": "none", "timeout_graceful_shutdown": 2}
            server = uvicorn.Server(uvicorn.Config(app, lifespan="on", **options))
            leave = server.handle_exit

            def handle_exit(number: int, frame: Any) -> None:
                self._ending = True  # first of all the robot stops: requests under way may take their time to end
                threading.Thread(target=self.registry.stop_all, args=("the server is ending",), daemon=True).start()
                leave(number, frame)

            server.handle_exit = handle_exit

            async def serve() -> None:
                announcing = asyncio.ensure_future(announce())
                try:
                    await server.serve(sockets=[listener])
                finally:
                    announcing.cancel()

            async def announce() -> None:
                while not server.started:
                    await asyncio.sleep(0.01)
                ready(f"http://{f'[{address}]' if ':' in address else address}:{number}/mcp")

            anyio.run(serve)
        finally:
            listener.close()
            self._leave()

    def _app(self, token: str, port: int) -> Any:
        from mcp.server.transport_security import TransportSecuritySettings

        hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
        origins = [f"http://{host}" for host in hosts]
        settings = TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
        inner = self.server.streamable_http_app(
            transport_security=settings, max_sessions=SESSIONS, max_request_body_size=MOST_BYTES
        )
        return Door(inner, token, hosts, origins)


class Door:
    """Lets in only who names this machine as the host, comes from no foreign page and brings the token (ASGI)."""

    def __init__(self, app: Any, token: str, hosts: list[str], origins: list[str]) -> None:
        self._app, self._token = app, token.encode()
        self._hosts, self._origins = set(hosts), set(origins)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope["headers"])
        if refusal is not None:
            status, text = refusal
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            if status == 401:
                headers.append((b"www-authenticate", b"Bearer"))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": text.encode()})
            return
        line = _Line()
        try:
            await self._app({**scope, _LINE: line}, receive, send)
        finally:
            line.cut()  # the response is complete, or the client has closed it

    def _refusal(self, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        found: dict[bytes, list[bytes]] = {}
        for key, value in headers:
            found.setdefault(key.lower(), []).append(value)
        hosts, origins = found.get(b"host", []), found.get(b"origin", [])
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            return 421, "expected the Host of this machine and port"
        if origins and (len(origins) != 1 or origins[0].decode("latin-1").lower() not in self._origins):
            return 403, "expected no Origin, or that of this machine and port"
        given = found.get(b"authorization", [])
        scheme, _, token = (given[0] if len(given) == 1 else b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            return 401, "expected Authorization: Bearer with the token of this server"
        return None


def checked_loopback(host: str) -> str:
    """Return an address that only this machine reaches; ConfigError for others."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise ConfigError(f"expected a loopback address such as 127.0.0.1, got {host!r}: others must not reach the robot")


def checked_token(token: str) -> str:
    """Return a token that is one; ConfigError for what is short, or what a header cannot carry."""
    if not isinstance(token, str) or len(token) < TOKEN_LENGTH:
        raise ConfigError(f"expected a token of at least {TOKEN_LENGTH} characters, got {len(token or '')}")
    if not all("!" <= letter <= "~" for letter in token):
        raise ConfigError("expected a token of printable ASCII characters without blanks")
    return token


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(64)
    except (OSError, OverflowError) as error:
        listener.close()
        raise RfxConnectionError(f"expected to listen on {address} port {port}, got {error}") from error
    return listener


def _name_of(context: Any) -> str:
    """Return what the client calls itself, for the audit log."""
    try:
        info = context.session.client_params.client_info
        return f"mcp {info.name} {info.version}"[:80]
    except AttributeError:
        return "mcp"
