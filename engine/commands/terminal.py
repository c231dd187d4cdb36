"""The output of a command: the answer goes to standard output, everything else to standard error.

Colour only on a terminal, and never when NO_COLOR is set (no-color.org).
"""

import sys
from collections.abc import Mapping
from typing import Literal, TextIO, TypeAlias

Style: TypeAlias = Literal["red", "yellow", "green", "blue", "dim", "bold"]
CODES: dict[Style, str] = {"red": "31", "yellow": "33", "green": "32", "blue": "34", "dim": "2", "bold": "1"}


class Terminal:
    """Standard output and standard error of one command."""

    def __init__(self, out: TextIO, err: TextIO, variables: Mapping[str, str]) -> None:
        self.out, self.err = out, err
        self._plain = bool(variables.get("NO_COLOR")) or variables.get("TERM") == "dumb"

    @classmethod
    def standard(cls, variables: Mapping[str, str]) -> "Terminal":
        return cls(sys.stdout, sys.stderr, variables)

    def say(self, text: str) -> None:
        """Part of the answer."""
        self.out.write(text + "\n")

    def note(self, text: str) -> None:
        """Anything that is not the answer."""
        self.err.write(text + "\n")

    def styled(self, text: str, style: Style, stream: TextIO) -> str:
        if self._plain or not stream.isatty():
            return text
        return f"\x1b[{CODES[style]}m{text}\x1b[0m"
