"""The stairs go one way: this test holds the list of floors of the house (docs/house.md)."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rfx"

FLOORS = {
    "errors": 0, "_version": 0,
    "arrays": 0.5,
    "kernels": 1,
    "seeding": 2, "robots": 2,
    "math": 3, "control": 3, "buffers": 3, "estimators": 3, "llm": 3, "envs": 3,
    "nn": 4, "comm": 4, "sim": 4,
    "go2": 5,
    "skills": 6, "training": 6, "cli": 6,
    "__init__": 7, "__main__": 7,
}  # fmt: skip

# A heavy dependency has one door. The key is the import, the value the folders or files that may have it.
DOORS = {
    "cyclonedds": ("go2/backends/",),
    "zenoh": ("comm/zenoh.py",),
    "tinygrad": ("nn/",),
    "mujoco": ("sim/",),
    "ray": ("training/",),
    "torch": ("nn/torchscript.py",),
    "matplotlib": ("cli/", "control/stats.py"),
    "h5py": ("buffers/readers.py",),
    "minari": ("buffers/readers.py",),
    "dust_dds": ("go2/backends/dust.py",),
    "mcp": ("skills/mcp_server.py",),
    "starlette": ("skills/mcp_server.py",),
    "uvicorn": ("skills/mcp_server.py",),
    "anthropic": ("skills/models.py",),
    "openai": ("skills/models.py",),
}

SOURCES = sorted(p for p in PACKAGE.rglob("*") if p.suffix in {".py", ".pyx", ".pxd"})
CIMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+))", re.MULTILINE)


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> set[str]:
    text = path.read_text()
    if path.suffix != ".py":
        return {a or b for a, b in CIMPORT.findall(text)}
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            if node.module == "rfx":
                found |= {f"rfx.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_from_floors_below(path):
    room = room_of(path)
    assert room in FLOORS, f"{room} is not on the list of floors"
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "rfx" or len(parts) == 1:
            continue
        target = parts[1]
        if target == room or target == "__version__":
            continue
        assert target in FLOORS, f"{path}: {name} is not on the list of floors"
        neighbour_ok = room == "cli" and FLOORS[target] == FLOORS["cli"]
        assert FLOORS[target] < FLOORS[room] or neighbour_ok, f"{path} (floor {FLOORS[room]}) imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_dependencies_come_through_their_one_door(path):
    relative = str(path.relative_to(PACKAGE))
    for name in imports_of(path):
        door = DOORS.get(name.split(".")[0])
        assert door is None or relative.startswith(door), f"{relative} imports {name}, whose door is {door}"


def test_the_import_reader_sees_cimports_and_lazy_imports(tmp_path):
    source = tmp_path / "a.pyx"
    source.write_text("from rfx.kernels.ring cimport push\ncdef void f():\n    import rfx.go2\n")
    assert imports_of(source) == {"rfx.kernels.ring", "rfx.go2"}
