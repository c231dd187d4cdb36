"""Problems found in what an author wrote -> values, sorted and rendered for a person.

A phase adds to `Problems` and goes on; it never raises for bad input. The sentences stand beside each
phase; this module knows only their shape.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from engine.language.source import Span


class Level(IntEnum):
    """How much a finding matters; an error means the policy decides nothing."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Note:
    """A second place that matters, and why: "declared here", "shadowed by"."""

    span: Span
    label: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """Text to be put in the place of a span."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One root cause: a stable slug, the smallest span, what is wrong and what to write instead.

    `fix` is what following the help does to the file, where the help proposes text.
    """

    slug: str
    level: Level
    message: str
    span: Span
    help: str | None = None
    notes: tuple[Note, ...] = ()
    fix: Replacement | None = None

    @property
    def sort_key(self) -> tuple[str, int, int, str]:
        return self.span.source.name, self.span.start, self.span.end, self.slug


@dataclass(slots=True)
class Problems:
    """Collects what the phases find; read back in file and line order."""

    found: list[Diagnostic] = field(default_factory=list)

    def add(self, diagnostic: Diagnostic) -> None:
        self.found.append(diagnostic)

    def add_all(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.found.extend(diagnostics)

    @property
    def has_errors(self) -> bool:
        return any(problem.level is Level.ERROR for problem in self.found)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(sorted(set(self.found), key=lambda problem: problem.sort_key))

    def __len__(self) -> int:
        return len(set(self.found))


def visible(text: str) -> str:
    """The text with every character that a terminal would act on, or hide, written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible_character(character) for character in text)


def _visible_character(character: str) -> str:
    # Cc control, Cf format (bidi, zero width), Cs surrogate, Co private use, Zl/Zp line separators.
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        code = ord(character)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}"
    return character
