"""``python -m rfx`` is the console script ``rfx``."""

import sys

from rfx.cli import main

if __name__ == "__main__":
    sys.exit(main())
