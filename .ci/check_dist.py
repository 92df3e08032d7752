"""Check what is in the sdist and the wheel: sources in, generated C out, stubs and pxd files with the modules."""

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(folder: Path) -> None:
    [sdist] = folder.glob("*.tar.gz")
    [wheel] = folder.glob("*.whl")
    with tarfile.open(sdist) as archive:
        in_sdist = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    kinds = {".py", ".pyx", ".pxd", ".pyi", ".h", ".xml", ".typed"}
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "rfx").rglob("*") if p.suffix in kinds or p.name == "py.typed"}
    missing = sources - in_sdist
    assert not missing, f"missing from the sdist: {sorted(missing)}"
    missing = {s for s in sources if not s.endswith(".pyx")} - in_wheel
    assert not missing, f"missing from the wheel: {sorted(missing)}"
    for names in (in_sdist, in_wheel):
        generated = [n for n in names if n.endswith((".c", ".o")) or (n.endswith(".so") and names is in_sdist)]
        assert not generated, f"generated files shipped: {generated}"
    for pyx in (s for s in sources if s.endswith(".pyx")):
        stem = pyx.removesuffix(".pyx")
        assert any(n.startswith(stem + ".") and n.endswith((".so", ".pyd")) for n in in_wheel), f"{pyx} is not compiled"
    print(f"{len(in_sdist)} files in the sdist, {len(in_wheel)} in the wheel")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
