"""The parameters of another node."""

from collections.abc import Mapping
from typing import Any

from rfx.comm.calls import checked_timeout
from rfx.comm.parameter import Parameter
from rfx.comm.parameters import ParameterChanges, node_key
from rfx.comm.service_client import ServiceClient
from rfx.comm.transport import Transport
from rfx.errors import CodecError, ConfigError, DTypeError


class ParameterClient:
    """See and set the parameters of a node, wherever it runs.

    Parameters
    ----------
    transport : Transport
    node : str
        Its name, as its :class:`ParameterServer` has it.
    prefix : str
    timeout : float
        For how long to wait for an answer (s).
    source : str
        Who asks, for those who hear of a change.

    Notes
    -----
    Every call raises RfxTimeoutError where no server answers. What the server refuses raises the error it would raise
    there, which is a :class:`ServiceError` too, and then nothing has changed.
    """

    def __init__(
        self, transport: Transport, node: str, *, prefix: str = "rfx", timeout: float = 2.0, source: str = ""
    ) -> None:
        if not isinstance(source, str):
            raise DTypeError(f"expected source to be a str, got {type(source).__name__}")
        self.node = node
        self.source = source
        self.timeout = checked_timeout(timeout)
        self._key = node_key(prefix, node, "parameters")
        self._transport = transport
        self._client = ServiceClient(transport, self._key)

    def _ask(self, op: str, expected: str, **more: Any) -> Any:
        answer = self._client.call({"op": op, **more}, self.timeout)
        if not isinstance(answer, dict) or expected not in answer:
            raise CodecError(f"expected {expected} from {self._key}, got {str(answer)[:80]}")
        return answer[expected]

    def list(self) -> dict[str, Any]:
        """Return all values by name, of one moment."""
        values = self._ask("get", "values")
        if not isinstance(values, dict):
            raise CodecError(f"expected values by name from {self._key}, got {str(values)[:80]}")
        return values

    def get(self, name: str) -> Any:
        """Return a value; ConfigError for a name that is not declared."""
        values = self.list()
        if name not in values:
            raise ConfigError(f"expected one of the parameters {', '.join(sorted(values)) or '(none)'}, got {name!r}")
        return values[name]

    def describe(self) -> dict[str, Parameter]:
        """Return how each is declared."""
        about = self._ask("describe", "parameters")
        if not isinstance(about, list):
            raise CodecError(f"expected a list of parameters from {self._key}, got {str(about)[:80]}")
        return {p.name: p for p in map(Parameter.from_dict, about)}

    def set(self, name: str, value: Any) -> None:
        """Set one value; see :meth:`set_many`."""
        self.set_many({name: value})

    def set_many(self, values: Mapping[str, Any]) -> int:
        """Set several values together, all or none; return the version after it. See :meth:`ParameterServer.set_many`."""
        if not isinstance(values, Mapping):
            raise DTypeError(f"expected values by name, got {type(values).__name__}")
        return int(self._ask("set", "version", values=dict(values), source=self.source))

    def subscribe(self, capacity: int = 256) -> ParameterChanges:
        """Have the changes from now on kept, the oldest lost beyond so many."""
        return ParameterChanges(self._transport.subscribe(f"{self._key}/changed", capacity))

    def close(self) -> None:
        """Ask no more. A second time does nothing."""
        self._client.close()

    def __enter__(self) -> "ParameterClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ParameterClient({self._key!r}{', closed' if self._client.closed else ''})"
