"""Who is there on Zenoh: names under which bridges and clients can be found while they live, and asked.

Each is a liveliness token ``@rfx/<role>/<host>/<process>/<program>/<id>``. It vanishes with the session that declared it, also
when its process is killed. Chunks that begin with ``@`` are met by no wildcard, so nobody hears of them by accident.
"""

import os
import re
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple

COMMANDER, BRIDGE = "commander", "bridge"
ROOT = "@rfx"
ANSWER_S = 1.0  # how long those who are there have to say so
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class Presence(NamedTuple):
    """A bridge, or a client that may write low-level commands."""

    role: str
    host: str
    pid: str
    program: str
    id: str

    @classmethod
    def own(cls, role: str, session: Any) -> "Presence":
        """Return what to call ourselves."""
        program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
        return cls(role, _chunk(socket.gethostname()), str(os.getpid()), _chunk(program), session.id)

    @classmethod
    def from_key(cls, key: str) -> "Presence | None":
        """Read a token; None where it is none of ours."""
        root, *rest = key.split("/")
        return cls(*rest[:5]) if root == ROOT and len(rest) >= 5 else None

    @property
    def key(self) -> str:
        """The token."""
        return "/".join((ROOT, *self))

    def __str__(self) -> str:
        return f"{self.program} (process {self.pid} on {self.host}, over Zenoh)"


def _chunk(text: str) -> str:
    return _UNFIT.sub("_", text).strip("/")[:64] or "_"


def alive(session: Any, role: str, tail: str = "") -> list[str]:
    """Return the tokens of a role that live now, without our own; ``tail`` asks for those that go on with it."""
    found = session.raw.liveliness().get(f"{ROOT}/{role}/*/*/*/*{tail}", timeout=ANSWER_S)
    keys = [str(reply.ok.key_expr) for reply in found if reply.ok is not None]
    return sorted(key for key in keys if f"/{session.id}" not in key)
