"""The ``rfx`` command."""


def main() -> int:
    """Run the console script."""
    raise SystemExit("rfx: no command yet")
