"""What a docstring says: the summary, and a description for each parameter (numpydoc and Google sections)."""

import inspect
import re

_SECTION = re.compile(
    r"(Args|Arguments|Parameters|Params|Attributes|Returns?|Yields?|Raises|Examples?|Notes?|See Also|References|"
    r"Warns|Warnings?|Other Parameters|Keyword Args|Keyword Arguments|Todo):?\s*$"
)
_OF_PARAMETERS = {"Args", "Arguments", "Parameters", "Params", "Attributes", "Keyword Args", "Keyword Arguments"}
_OF_PARAMETERS |= {"Other Parameters"}
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_GOOGLE_ENTRY = re.compile(r"(\*{0,2}\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


def parse(text: str | None) -> tuple[str, dict[str, str]]:
    """Return what comes before the first section, and the description of each parameter.

    Parameters
    ----------
    text : str or None
        A docstring.
    """
    lines = inspect.cleandoc(text or "").splitlines()
    head: list[str] = []
    described: dict[str, str] = {}
    i, inside = 0, False
    while i < len(lines):
        found = _section_at(lines, i)
        if found is None:
            if not inside:
                head.append(lines[i])
            i += 1
            continue
        inside = True
        name, numpy, start = found
        end = start
        while end < len(lines) and _section_at(lines, end) is None:
            end += 1
        if name in _OF_PARAMETERS:
            described |= _numpy(lines[start:end]) if numpy else _google(lines[start:end])
        i = end
    return _paragraphs(head), described


def _section_at(lines: list[str], i: int) -> tuple[str, bool, int] | None:
    """Return the name of the section that begins at line i, whether it is numpydoc, and where its body begins."""
    match = _SECTION.match(lines[i])
    if match is None:
        return None
    if i + 1 < len(lines) and re.fullmatch(r"-{3,}\s*", lines[i + 1]):
        return match[1], True, i + 2
    return (match[1], False, i + 1) if lines[i].rstrip().endswith(":") else None


def _numpy(lines: list[str]) -> dict[str, str]:
    described: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        entry = _NUMPY_ENTRY.match(line) if line[:1].strip() else None
        if entry:
            names = [n.strip().lstrip("*") for n in entry[1].split(",")]
        elif line.strip():
            for name in names:
                described.setdefault(name, []).append(line.strip())
    return {name: " ".join(words) for name, words in described.items()}


def _google(lines: list[str]) -> dict[str, str]:
    described: dict[str, list[str]] = {}
    name, indent = "", None
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if depth == 0:  # prose again
            break
        indent = depth if indent is None else indent
        entry = _GOOGLE_ENTRY.match(line.strip()) if depth <= indent else None
        if entry:
            name = entry[1].lstrip("*")
            described[name] = [entry[2]] if entry[2] else []
        elif name:
            described[name].append(line.strip())
    return {name: " ".join(words) for name, words in described.items() if words}


def _paragraphs(lines: list[str]) -> str:
    blocks = re.split(r"\n\s*\n", "\n".join(lines).strip())
    return "\n".join(" ".join(block.split()) for block in blocks if block.strip())
