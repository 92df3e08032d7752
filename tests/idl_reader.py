"""A tool that knows nothing of ours: it reads IDL text, and CDR bytes by it alone."""

import re
import struct

CODES = {
    "octet": "B",
    "boolean": "?",
    "short": "h",
    "unsigned short": "H",
    "long": "i",
    "unsigned long": "I",
    "long long": "q",
    "float": "f",
}
FIELD = re.compile(r"^\s*(?P<kind>[\w:<> ]+?) (?P<name>\w+)(\[(?P<count>\d+)\])?;$")


def structs(text):
    """Return {full name: [(kind, name, count or None)]}."""
    made, modules, fields = {}, [], None
    for line in text.splitlines():
        if line.startswith("module"):
            modules = re.findall(r"module (\w+) \{", line)
        elif line.startswith("struct"):
            fields = made.setdefault("::".join([*modules, line.split()[1]]), [])
        elif line.startswith("}") or not line:
            continue
        else:
            found = FIELD.match(line)
            fields.append((found["kind"], found["name"], found["count"] and int(found["count"])))
    return made


class Decoder:
    def __init__(self, text, data):
        assert data[:2] == b"\x00\x01"
        self.structs, self.data, self.at = structs(text), data[4:], 0

    def number(self, code):
        size = struct.calcsize(code)
        self.at += -self.at % size
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += size
        return value

    def value(self, kind):
        if kind in CODES:
            return self.number(CODES[kind])
        if kind == "string":
            n = self.number("I")
            self.at += n
            return self.data[self.at - n : self.at - 1].decode()
        if kind.startswith("sequence<"):
            return [self.value(kind[9:-1]) for _ in range(self.number("I"))]
        fields = self.structs[kind]
        return {n: [self.value(k) for _ in range(c)] if c else self.value(k) for k, n, c in fields}
