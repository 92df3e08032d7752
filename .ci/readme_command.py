"""Print the command that the README gives under a marker such as ``<!-- command: test -->``."""

import re
import sys
from pathlib import Path


def command(name: str) -> str:
    text = (Path(__file__).parent.parent / "README.md").read_text()
    found = re.findall(rf"<!-- command: {re.escape(name)} -->\s*```bash\n(.*?)```", text, re.DOTALL)
    if len(found) != 1:
        raise SystemExit(f"expected one command {name!r} in README.md, found {len(found)}")
    return found[0].strip()


if __name__ == "__main__":
    print(command(sys.argv[1]))
