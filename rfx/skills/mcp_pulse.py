"""Whether the client of a call that moves the robot is still there: it is pinged, over the channel of that call.

A client that is killed closes its pipe or socket; one that hangs keeps it open, and only its silence tells. Silence counts
only against a client that has answered during the same call: one that cannot be asked, or never answers, is left alone.
"""

import time
from collections.abc import Callable
from typing import Any

PING_S = 1.0  # between an answer and the next ping
LOOK_S = 0.1
CLOSED = -32000  # the package's code for a connection that has ended


class Pulse:
    """Pings a client while one call runs.

    Parameters
    ----------
    mcp : module
        The package.
    context : mcp.server.context.ServerRequestContext
        Of the call.
    patience_s : float
        So long a client that has answered before may be silent (s).
    """

    def __init__(self, mcp: Any, context: Any, patience_s: float) -> None:
        self._mcp, self._context, self._patience_s = mcp, context, patience_s
        self._asked_s: float | None = None  # since when an answer is waited for
        self._answers = 0

    def __repr__(self) -> str:
        return f"Pulse({self._answers} answers, patience {self._patience_s:g} s)"

    @property
    def can_ask(self) -> bool:
        """Whether the protocol and the transport let a server ask its client anything."""
        return bool(getattr(self._context.session, "can_send_request", False))

    async def watch(self, silent: Callable[[str], None]) -> None:
        """Ping until cancelled; ``silent`` hears why, once, when a client that has answered does not any more."""
        import anyio

        if not self.can_ask:
            return
        async with anyio.create_task_group() as group:
            group.start_soon(self._ping)
            while True:
                await anyio.sleep(LOOK_S)
                asked = self._asked_s
                if self._answers and asked is not None and time.monotonic() - asked > self._patience_s:
                    silent(f"the client has not answered a ping for {self._patience_s:g} s")
                    group.cancel_scope.cancel()
                    return

    async def _ping(self) -> None:
        import anyio

        types, session = self._mcp.types, self._context.session
        channel = self._mcp.shared.message.ServerMessageMetadata(related_request_id=self._context.request_id)
        while True:
            self._asked_s = time.monotonic()
            try:
                await session.send_request(types.PingRequest(), types.EmptyResult, metadata=channel)
            except self._mcp.MCPError as error:  # what the client refuses it has heard
                if error.code == CLOSED or not self.can_ask:
                    self._asked_s = None
                    return
            except Exception:  # an answer that is none
                if not self.can_ask:
                    self._asked_s = None
                    return
            self._asked_s = None
            self._answers += 1
            await anyio.sleep(PING_S)
