"""Each compiled module has a stub that names the same public things with the same parameters."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "rfx").rglob("*.pyx"))
FACES = [p for p in SOURCES if "kernels" not in p.parts]
KERNELS = [p for p in SOURCES if "kernels" in p.parts]


def module_of(path: Path):
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def public(names):
    return {n for n in names if not n.startswith("_")}


def stub_tree(path: Path) -> dict[str, ast.AST]:
    body = ast.parse(path.with_suffix(".pyi").read_text()).body
    return {n.name: n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}


def parameters(node: ast.FunctionDef) -> list[str]:
    a = node.args
    named = [*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg]
    return [x.arg for x in named if x is not None]


def own_members(module) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and (inspect.isclass(value) or callable(value))
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_compiled_module_has_a_stub(path):
    assert path.with_suffix(".pyi").exists()


@pytest.mark.parametrize("path", KERNELS, ids=lambda p: p.stem)
def test_every_kernel_has_a_pxd(path):
    assert path.with_suffix(".pxd").exists()


@pytest.mark.parametrize("path", FACES, ids=lambda p: str(p.relative_to(ROOT)))
def test_stub_names_what_the_module_has(path):
    assert public(stub_tree(path)) == public(own_members(module_of(path)))


@pytest.mark.parametrize("path", FACES, ids=lambda p: str(p.relative_to(ROOT)))
def test_stub_functions_have_the_parameters_of_the_module(path):
    module, tree = module_of(path), stub_tree(path)
    for name, value in own_members(module).items():
        stub = tree[name]
        if isinstance(stub, ast.FunctionDef):
            assert parameters(stub) == list(inspect.signature(value).parameters), name
            continue
        members = {n.name: n for n in stub.body if isinstance(n, ast.FunctionDef)}
        fields = {
            n.target.id
            for n in stub.body
            if isinstance(n, ast.AnnAssign) and "ClassVar" not in ast.unparse(n.annotation)
        }
        real = public(vars(value))
        assert public(members) | public(fields) == real, f"{name}: stub and module differ"
        for method in public(members):
            try:
                signature = inspect.signature(getattr(value, method))
            except (TypeError, ValueError):
                continue  # properties and slots have none
            stubbed = [p for p in parameters(members[method]) if p not in {"self", "cls"}]
            assert stubbed == [p for p in signature.parameters if p not in {"self", "cls"}], f"{name}.{method}"
