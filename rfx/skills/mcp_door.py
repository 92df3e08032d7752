"""Who gets in over HTTP, and what is known of the connection that a request came over."""

import hmac
import ipaddress
import socket
import threading
from typing import Any

from rfx.errors import ConfigError, RfxConnectionError
from rfx.skills.caller import Caller

TOKEN_LENGTH = 16  # characters, at least
LINE = "rfx.line"  # where the scope of a request has its line


class Line:
    """The connection that an HTTP request came over, for as long as it is open."""

    def __init__(self) -> None:
        self.callers: set[Caller] = set()

    def cut(self) -> None:
        """Say that it is closed."""
        for caller in list(self.callers):
            end_caller(caller, "the client has closed its request")


def end_caller(caller: Caller, why: str) -> None:
    """Say that a caller is gone, in a thread: telling the robot may take its time, and others are served here."""
    try:
        threading.Thread(target=caller.gone, args=(why,), name="rfx skills caller gone", daemon=True).start()
    except RuntimeError:  # no thread is left
        caller.gone(why)


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
        line = Line()
        try:
            await self._app({**scope, LINE: line}, receive, send)
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


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that clients can connect to. Raises RfxConnectionError where the port is taken."""
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
