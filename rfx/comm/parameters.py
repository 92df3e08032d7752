"""Parameters of a node: declared by its owner, seen and set by others over a transport."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rfx.comm.keys import KeyExpr
from rfx.comm.parameter import Parameter, checked_name, kind_of, shown
from rfx.comm.service import Service
from rfx.comm.subscription import TransportSubscription
from rfx.comm.transport import Transport
from rfx.comm.values import pack_value, unpack_value
from rfx.errors import CodecError, ConfigError, DTypeError, InvalidStateError, InvalidValueError, RfxError

MOST = 4096  # parameters of a server


def node_key(prefix: str, node: str, *parts: str) -> str:
    """Return ``prefix/node/parts``; InvalidValueError where the node's name is not one chunk without wildcards."""
    for text, name in ((prefix, "prefix"), (node, "a node's name")):
        if not isinstance(text, str):
            raise DTypeError(f"expected {name} to be a str, got {type(text).__name__}")
    base = KeyExpr(prefix)
    if base.is_pattern or "/" in node or "*" in node:
        raise InvalidValueError(f"expected a prefix and a node's name without wildcards, got {prefix!r} and {node!r}")
    return str(base.join(KeyExpr("/".join((node, *parts)))))


@dataclass(frozen=True)
class ParameterChange:
    """Values that changed together.

    Attributes
    ----------
    node : str
    version : int
        Counts the changes of that server, from 1.
    values, old : dict
        By name, after and before; None before a parameter was declared.
    source : str
        Who asked for it, as they call themselves.
    """

    node: str
    version: int
    values: dict[str, Any]
    old: dict[str, Any]
    source: str

    @classmethod
    def from_bytes(cls, payload: Any) -> "ParameterChange":
        """Read what a server publishes; CodecError for anything else."""
        about = unpack_value(payload)
        kinds = {"node": str, "version": int, "values": dict, "old": dict, "source": str}
        if not isinstance(about, dict) or set(about) != set(kinds):
            raise CodecError(f"expected a change of parameters, got {str(about)[:80]}")
        for name, kind in kinds.items():
            if not isinstance(about[name], kind):
                raise CodecError(f"expected {name} of a change to be a {kind.__name__}, got {str(about[name])[:80]}")
        return cls(**about)


class ParameterChanges:
    """Changes of a server's parameters, in their order; made by ``subscribe``. Ends with its ``with`` block.

    A jump in ``version`` says that some were lost for want of room: ask for all values then.
    """

    def __init__(self, subscription: TransportSubscription) -> None:
        self._subscription = subscription
        self.refused = 0

    def recv_timeout(self, seconds: float) -> ParameterChange | None:
        """Return the next change, None if there was none in time. InvalidStateError after the end."""
        envelope = self._subscription.recv_timeout(seconds)
        return None if envelope is None else self._read(envelope.payload)

    def try_recv(self) -> ParameterChange | None:
        """Return the next change, or None if there is none. InvalidStateError after the end."""
        envelope = self._subscription.try_recv()
        return None if envelope is None else self._read(envelope.payload)

    def _read(self, payload: Any) -> ParameterChange | None:
        try:
            return ParameterChange.from_bytes(payload)
        except CodecError:
            self.refused += 1
            return None

    def __iter__(self) -> Iterator[ParameterChange]:
        for envelope in self._subscription:
            change = self._read(envelope.payload)
            if change is not None:
                yield change

    def close(self) -> None:
        """End it. A second time does nothing."""
        self._subscription.close()

    def __enter__(self) -> "ParameterChanges":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ParameterChanges({self._subscription!r}, refused={self.refused})"


class ParameterServer:
    """The parameters of a node. Reading waits for nobody.

    Parameters
    ----------
    node : str
        Name of the node: one chunk of a key.
    transport : Transport, optional
        Where others see and set them; None for a private one.
    prefix : str
        The service is ``<prefix>/<node>/parameters``, changes come under ``<prefix>/<node>/parameters/changed``.
    check : callable, optional
        ``check(values)`` with all values as they would be after a change; what it raises refuses the change.

    Examples
    --------
    >>> server = ParameterServer("go2")
    >>> server.declare("walk.max_vx", 0.5, minimum=0, maximum=1)
    0.5
    >>> server.set("walk.max_vx", 0.8)
    >>> server.get("walk.max_vx")
    0.8
    """

    def __init__(
        self,
        node: str,
        transport: Transport | None = None,
        *,
        prefix: str = "rfx",
        check: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        if check is not None and not callable(check):
            raise DTypeError(f"expected check to be callable, got {type(check).__name__}")
        self.node = node
        self._key = node_key(prefix, node, "parameters")
        self._own = Transport() if transport is None else None
        self._transport = transport if transport is not None else self._own
        self._check = check
        self._lock = threading.RLock()  # held while a change is checked, made and published, so that all see one order
        self._checking = False
        self._declared: dict[str, Parameter] = {}
        self._values: dict[str, Any] = {}  # never changed in place
        self._version = 0
        assert self._transport is not None
        self._service = Service(self._transport, self._key, self._handle, workers=2)

    # -- for its owner

    def declare(
        self,
        name: str,
        default: Any,
        *,
        kind: str | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
        choices: tuple[str, ...] | list[str] | None = None,
        length: int | None = None,
        read_only: bool = False,
        description: str = "",
    ) -> Any:
        """Declare a parameter and return its value: the default, or what it has been set to since it was declared so.

        Parameters
        ----------
        name : str
            Words of letters, digits and ``_`` with dots between them.
        default : bool, int, float, str or list of numbers
            Its kind is the parameter's, unless ``kind`` says otherwise: an int default for a float.
        kind, minimum, maximum, choices, length, read_only, description
            See :class:`rfx.comm.parameter.Parameter`.

        Raises
        ------
        ConfigError
            It is declared in another way already, or the declaration contradicts itself.
        DTypeError, InvalidValueError, ShapeError
            The name or the default may not be.
        """
        made = Parameter(
            checked_name(name),
            kind_of(default) if kind is None else kind,
            default,
            minimum,
            maximum,
            None if choices is None else tuple(choices),
            length,
            read_only,
            description,
        )
        with self._lock:
            known = self._declared.get(name)
            if known is None:
                if len(self._declared) >= MOST:
                    raise InvalidStateError(f"expected at most {MOST} parameters, got one more")
                self._commit({name: made.default}, "", made)
            elif known != made:
                raise ConfigError(f"expected {name} as it was declared before, {known}, got {made}")
            return shown(self._values[name])

    def get(self, name: str) -> Any:
        """Return a value; ConfigError for a name that is not declared."""
        values = self._values
        if name not in values:
            raise ConfigError(f"expected one of the parameters {', '.join(sorted(values)) or '(none)'}, got {name!r}")
        return shown(values[name])

    def list(self) -> dict[str, Any]:
        """Return all values by name, of one moment."""
        return {name: shown(value) for name, value in self._values.items()}

    def describe(self) -> dict[str, Parameter]:
        """Return how each is declared."""
        return dict(self._declared)

    def set(self, name: str, value: Any, *, owner: bool = False) -> None:
        """Set one value; see :meth:`set_many`."""
        self.set_many({name: value}, owner=owner)

    def set_many(self, values: Mapping[str, Any], *, owner: bool = False, source: str = "") -> int:
        """Set several values together: all or none.

        Parameters
        ----------
        values : mapping
            By name.
        owner : bool
            Whether read-only ones may be set, too.
        source : str
            Who asks, for those who hear of the change.

        Returns
        -------
        int
            The version after it. Values that are the same as before are no change.

        Raises
        ------
        ConfigError, DTypeError, InvalidValueError, ShapeError
            A name that is not declared, or a value that may not be: nothing is changed then.
        InvalidStateError
            A read-only parameter.
        """
        if not isinstance(values, Mapping):
            raise DTypeError(f"expected values by name, got {type(values).__name__}")
        with self._lock:
            checked = {}
            for name, value in values.items():
                self.get(name)
                parameter = self._declared[name]
                if parameter.read_only and not owner:
                    raise InvalidStateError(f"expected a parameter that may be set, got {name}, which is read-only")
                new = parameter.checked(value)
                if new != self._values[name]:
                    checked[name] = new
            if checked:
                self._commit(checked, source)
            return self._version

    def _commit(self, changed: dict[str, Any], source: str, declared: Parameter | None = None) -> None:
        if self._checking:
            raise InvalidStateError("expected check to look only, got a change by check itself")
        assert self._transport is not None
        if self.closed or self._transport.closed:
            raise InvalidStateError(f"expected an open server of {self._key}, got one that is closed")
        after = {**self._values, **changed}
        if self._check is not None and declared is None:
            self._checking = True
            try:
                self._check({name: shown(value) for name, value in after.items()})
            finally:
                self._checking = False
        old = {name: shown(self._values.get(name)) for name in changed}
        new = {name: shown(value) for name, value in changed.items()}
        about = {"node": self.node, "version": self._version + 1, "values": new, "old": old, "source": source}
        payload = pack_value(about)
        before = self._values, self._declared
        if declared is not None:
            self._declared = {**self._declared, declared.name: declared}
        self._values = after  # before it is told, so that who hears of it sees it
        self._version += 1
        try:
            self._transport.publish(f"{self._key}/changed", payload)
        except RfxError:  # closed meanwhile, or the link is down: what was not told has not been
            self._values, self._declared = before
            self._version -= 1
            raise

    def subscribe(self, capacity: int = 256) -> ParameterChanges:
        """Have the changes from now on kept, the oldest lost beyond so many."""
        assert self._transport is not None
        return ParameterChanges(self._transport.subscribe(f"{self._key}/changed", capacity))

    @property
    def version(self) -> int:
        """How many changes there were."""
        return self._version

    def state_dict(self) -> dict[str, Any]:
        """Return all values, for :meth:`load_state_dict`."""
        return {"node": self.node, "values": self.list()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set all values, read-only ones too; ConfigError where the names are not exactly the declared ones."""
        if not isinstance(state, Mapping) or not isinstance(state.get("values"), Mapping):
            raise DTypeError(f"expected what state_dict() returned, got {str(state)[:80]}")
        with self._lock:
            if set(state["values"]) != set(self._declared):
                difference = sorted(map(str, set(state["values"]) ^ set(self._declared)))
                raise ConfigError(f"expected values of the declared parameters, got others: {', '.join(difference)}")
            self.set_many(state["values"], owner=True, source="load_state_dict")

    # -- for others

    def _handle(self, asked: Any) -> Any:
        if not isinstance(asked, dict) or asked.get("op") not in ("get", "describe", "set"):
            raise InvalidValueError(f"expected an op of get, describe or set, got {str(asked)[:80]}")
        if asked["op"] == "set":
            source = asked.get("source", "")
            if not isinstance(source, str) or len(source) > 200:
                raise DTypeError(f"expected source to be a str of at most 200 characters, got {str(source)[:80]}")
            return {"version": self.set_many(asked.get("values", {}), source=source)}
        with self._lock:
            if asked["op"] == "get":
                return {"version": self._version, "values": self.list()}
            return {"version": self._version, "parameters": [p.to_dict() for p in self._declared.values()]}

    @property
    def closed(self) -> bool:
        """Whether nobody can set anything any more."""
        return self._service.closed

    def close(self) -> None:
        """Answer no more; values can still be read. A second time does nothing."""
        self._service.close()
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> "ParameterServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        return f"ParameterServer({self.node!r}, parameters={len(self._declared)}, version={self._version}{closed})"
