"""Key expressions: names with ``/`` between their chunks, and patterns of such names, by the rules of Zenoh.

``*`` stands for one chunk, ``**`` for any number of chunks, none too, and ``$*`` within a chunk for any characters, none
too. A chunk that begins with ``@`` is verbatim: only the same chunk matches it, no wildcard does. There is one way to
write each pattern: ``**/**`` and ``**/*`` are refused in favour of ``**`` and ``*/**``, a chunk ``$*`` in favour of ``*``.
"""

import re
from functools import lru_cache

from rfx.errors import DTypeError, InvalidValueError

_CHUNK = re.compile(r"(?:[^*$#?/]|\$\*(?!\$))+")


class KeyExpr:
    """A key, or a pattern of keys.

    Parameters
    ----------
    text : str
        Chunks with ``/`` between them, in canonical form.

    Raises
    ------
    DTypeError, InvalidValueError
        Not a str; empty, an empty chunk, ``#`` or ``?``, a ``*`` or ``$`` out of place, not in canonical form.

    Examples
    --------
    >>> KeyExpr("go2/*/state").includes("go2/left/state")
    True
    >>> KeyExpr("go2/**").intersects("*/state")
    True
    """

    __slots__ = ("_chunks", "_text")

    _chunks: tuple[str, ...]
    _text: str

    def __init__(self, text: "str | KeyExpr") -> None:
        if isinstance(text, KeyExpr):
            text = str(text)
        if not isinstance(text, str):
            raise DTypeError(f"expected a key expression to be a str, got {type(text).__name__}")
        object.__setattr__(self, "_text", text)
        object.__setattr__(self, "_chunks", _chunks_of(text))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a KeyExpr does not change: cannot set {name}")

    @property
    def chunks(self) -> tuple[str, ...]:
        """The parts between the slashes."""
        return self._chunks

    @property
    def is_pattern(self) -> bool:
        """Whether there is a wildcard in it."""
        return "*" in self._text

    def intersects(self, other: "str | KeyExpr") -> bool:
        """Return whether there is a key that both match."""
        return _intersect(self._chunks, KeyExpr(other)._chunks)

    def includes(self, other: "str | KeyExpr") -> bool:
        """Return whether this matches every key that ``other`` matches."""
        return _include(self._chunks, KeyExpr(other)._chunks)

    def join(self, other: "str | KeyExpr") -> "KeyExpr":
        """Return this and ``other`` with a ``/`` between them."""
        return KeyExpr(f"{self._text}/{KeyExpr(other)}")

    def __truediv__(self, other: "str | KeyExpr") -> "KeyExpr":
        return self.join(other)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"KeyExpr({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, KeyExpr) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return KeyExpr, (self._text,)


def _chunks_of(text: str) -> tuple[str, ...]:
    def refuse(what: str) -> InvalidValueError:
        return InvalidValueError(f"expected a key expression, got {text!r}: {what}")

    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise refuse("half of a surrogate pair in it") from error
    chunks = tuple(text.split("/"))
    before = ""
    for chunk in chunks:
        if not chunk:
            raise refuse("there are no empty chunks, also none before the first or behind the last slash")
        if chunk in ("*", "**"):
            if before == "**":
                raise refuse('"**/**" is written "**"' if chunk == "**" else '"**/*" is written "*/**"')
        elif chunk == "$*":
            raise refuse('a chunk "$*" is written "*"')
        elif not _CHUNK.fullmatch(chunk):
            raise refuse(f'"#" and "?" are not used, "*" stands alone or in "$*", "$" in single "$*", got {chunk!r}')
        before = chunk
    return chunks


def _verbatim(chunk: str) -> bool:
    return chunk.startswith("@")


@lru_cache(4096)
def _intersect(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    # row[j]: whether a[i:] and b[j:] intersect; from the ends
    row = [False] * (len(b) + 1)
    for i in range(len(a), -1, -1):
        below, row = row, [False] * (len(b) + 1)
        for j in range(len(b), -1, -1):
            if i == len(a) and j == len(b):
                row[j] = True
            elif i < len(a) and a[i] == "**":
                row[j] = below[j] or (j < len(b) and not _verbatim(b[j]) and row[j + 1])
            elif j < len(b) and b[j] == "**":
                row[j] = row[j + 1] or (i < len(a) and not _verbatim(a[i]) and below[j])
            elif i < len(a) and j < len(b):
                row[j] = below[j + 1] and _chunks_intersect(a[i], b[j])
    return row[0]


@lru_cache(4096)
def _include(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    # row[j]: whether a[i:] includes b[j:]
    row = [False] * (len(b) + 1)
    for i in range(len(a), -1, -1):
        below, row = row, [False] * (len(b) + 1)
        for j in range(len(b), -1, -1):
            if i == len(a):
                row[j] = j == len(b)
            elif a[i] == "**":
                row[j] = below[j] or (j < len(b) and not _verbatim(b[j]) and row[j + 1])
            elif j < len(b) and b[j] != "**":
                row[j] = below[j + 1] and _chunk_includes(a[i], b[j])
    return row[0]


def _symbols(chunk: str) -> list[str]:
    # characters, with "" for $*
    parts = chunk.split("$*")
    found = list(parts[0])
    for part in parts[1:]:
        found += ["", *part]
    return found


def _chunks_intersect(a: str, b: str) -> bool:
    if a == b:
        return True
    if _verbatim(a) or _verbatim(b):
        return False
    if a == "*" or b == "*":
        return True
    if "$*" not in a and "$*" not in b:
        return False
    return _walk(_symbols(a), _symbols(b), both=True)


def _chunk_includes(a: str, b: str) -> bool:
    if a == b:
        return True
    if _verbatim(a) or _verbatim(b):
        return False
    if a == "*":
        return True
    return b != "*" and "$*" in a and _walk(_symbols(a), _symbols(b), both=False)


def _walk(a: list[str], b: list[str], both: bool) -> bool:
    # whether b's text can be read by a; with `both` a $* of b takes in characters of a too
    row = [False] * (len(b) + 1)
    for i in range(len(a), -1, -1):
        below, row = row, [False] * (len(b) + 1)
        for j in range(len(b), -1, -1):
            if i == len(a) and j == len(b):
                row[j] = True
            elif i < len(a) and a[i] == "":
                row[j] = below[j] or (j < len(b) and row[j + 1])
            elif both and j < len(b) and b[j] == "":
                row[j] = row[j + 1] or (i < len(a) and below[j])
            elif i < len(a) and j < len(b):
                row[j] = a[i] == b[j] and below[j + 1]
    return row[0]
