"""What is wrong with arguments, said so that the one who sent them can correct them."""

from dataclasses import dataclass

MAX_PROBLEMS = 8  # more are not told


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what was expected, what came."""

    path: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.path or 'arguments'}: expected {self.expected}, got {self.got}"


Problems = list[Problem]
