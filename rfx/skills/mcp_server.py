"""Skills as the tools of an MCP server, over stdio or over HTTP on this machine. The one door to ``mcp`` and ``uvicorn``.

A call whose client cancels it, closes its request or goes away ends at once, and what it moved stops. The package serves
both the protocol with a handshake and the one without; neither needs to tell us when a client dies, since its pipe or
socket is closed by the system.
"""

import _thread
import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rfx._version import __version__
from rfx.arrays import number
from rfx.errors import DTypeError, MissingDependencyError
from rfx.skills.caller import Caller
from rfx.skills.decorator import Skill
from rfx.skills.formats import ToolCall
from rfx.skills.mcp_door import LINE, Door, checked_loopback, checked_token, end_caller, listen
from rfx.skills.mcp_pulse import Pulse
from rfx.skills.mcp_threads import MOST_BYTES, Lines, Output, in_thread, shielded
from rfx.skills.registry import SkillRegistry
from rfx.skills.result import SkillResult, refusal

PROGRESS_S = 0.2  # how often progress is told
CALLS = 16  # more at the same time are refused; stops are not counted
SESSIONS = 256  # a client that dies leaves its own for half an hour, and a new one must get in to stop the robot
LEAVE_S = 1.0
_LOG = logging.getLogger("rfx.skills")


def load_mcp() -> Any:
    """Return the package ``mcp``; MissingDependencyError without it."""
    try:
        import mcp
        import mcp.server.lowlevel
        import mcp.server.stdio
        import mcp.shared.message
        import mcp.types
    except ImportError as error:
        raise MissingDependencyError("the MCP server needs the package mcp: pip install 'rfx[mcp]'") from error
    return mcp


class SkillServer:
    """Serve the skills of a registry by the Model Context Protocol.

    Parameters
    ----------
    registry : SkillRegistry
    name : str
        What the server calls itself.
    instructions : str
        Told to the model of every client.
    patience_s : float, optional
        A client that has answered pings during a call that moves, and then is silent for so long (s), counts as gone;
        None pings nobody.

    Attributes
    ----------
    server : mcp.server.lowlevel.Server
        What the package makes of it, for a transport of your own.

    Raises
    ------
    MissingDependencyError
        ``mcp`` is not installed.
    """

    def __init__(
        self, registry: SkillRegistry, *, name: str = "rfx", instructions: str = "", patience_s: float | None = 3.0
    ) -> None:
        if not isinstance(registry, SkillRegistry):
            raise DTypeError(f"expected a SkillRegistry, got {type(registry).__name__}")
        self.patience_s = None if patience_s is None else number(patience_s, "patience_s", above=0.0, maximum=60.0)
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
                result = await self._execute(context, call, ticket, found)
            finally:
                self._running -= not stops
        return self._mcp.types.CallToolResult.model_validate(self.registry.result_to_mcp(call, result))

    async def _execute(self, context: Any, call: ToolCall, ticket: Any, found: Skill | None) -> SkillResult:
        import anyio

        news: deque[tuple[float, float, str]] = deque(maxlen=1)
        caller = Caller(_name_of(context), progress=lambda *told: news.append(told))
        line = context.request.scope.get(LINE) if context.request is not None else None
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
                    try:
                        await context.session.report_progress(last, total, text)
                    except Exception as error:
                        end_caller(caller, f"the client could not be told of the progress: {error!r}")
                        return

        ended = False
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(tell)
                if self.patience_s is not None and found is not None and found.moves:
                    pulse = Pulse(self._mcp, context, self.patience_s)
                    group.start_soon(pulse.watch, lambda why: end_caller(caller, why))
                try:
                    result = await in_thread(work, "rfx skills call")  # of its own: nothing waits for another call
                except RuntimeError as error:  # no thread is left
                    stops = found is not None and found.stops
                    result = work() if stops else refusal("failed", f"no call can be made: {error}", "Try again later.")
                ended = True
                group.cancel_scope.cancel()
            return result
        finally:
            if not ended:
                end_caller(caller, "the client has cancelled the call, or is gone")
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

        async def talk() -> None:
            lines: Any = Lines(0, lambda error: _LOG.warning("reading requests failed: %s", error))
            output: Any = Output()
            try:
                async with self._mcp.server.stdio.stdio_server(lines, output) as (incoming, outgoing):
                    await self.server.run(incoming, outgoing, self.server.create_initialization_options())
            finally:
                output.close()

        try:
            anyio.run(shielded, talk)
        except* (BrokenPipeError, anyio.BrokenResourceError, anyio.ClosedResourceError) as broken:
            _LOG.info("the client has gone without a word: %r", broken)
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
        listener = listen(address, port)
        try:
            number = listener.getsockname()[1]
            app = self._app(token, number)
            options = {"log_level": "warning", "access_log": False, "ws": "none", "timeout_graceful_shutdown": 2}
            server = uvicorn.Server(uvicorn.Config(app, lifespan="on", **options))
            leave = server.handle_exit

            def handle_exit(number: int, frame: Any) -> None:
                self._ending = True  # first of all the robot stops: requests under way may take their time to end
                with suppress(RuntimeError):  # no thread is left: the robot is stopped when the server has ended
                    # not a threading.Thread: what the signal interrupted may hold the lock that one needs to begin
                    _thread.start_new_thread(self.registry.stop_all, ("the server is ending",))
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


def _name_of(context: Any) -> str:
    """Return what the client calls itself, for the audit log."""
    try:
        info = context.session.client_params.client_info
        return f"mcp {info.name} {info.version}"[:80]
    except AttributeError:
        return "mcp"
