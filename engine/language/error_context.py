"""One statement as its author sees it: its words, what was mended in it, and the place where Lark stopped.

Wider than the grammar on purpose: `==`, `32kb` and `meta/llama-3` are one word each here, so that a mistake
can be underlined and shown rightly written as a whole. Offsets in a draft are turned back into those of
the source.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.language.diagnostics import Replacement
from engine.language.source import Source, Span
from engine.language.statement_forms import STATEMENTS
from engine.language.wording import shortened

CLAUSES = ("when", "unless", "because")
_OTHER_WORDS = [
    "after",
    "all",
    "and",
    "any",
    "by",
    "chain",
    "empty",
    "expect",
    "first",
    "given",
    "had",
    "has",
    "in",
    "is",
    "never",
    "not",
    "only",
    "or",
    "refused",
    "some",
    "then",
    "use",
    "watch",
]
WORDS = frozenset((*STATEMENTS, *CLAUSES, *_OTHER_WORDS))


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of one statement, perhaps already mended, and where each of its characters stood in the
    source."""

    source: Source
    text: str
    origin: Sequence[int]  # offsets in the source; for what an edit put in, ~ the offset it stands before

    def span(self, start: int, end: int) -> Span:
        """The stretch of the source; its last character for what stands behind the end."""
        first = self._offset(min(start, len(self.origin) - 1))
        return self.source.span(first, max(self._offset(end - 1), first) + 1)

    def _offset(self, index: int) -> int:
        offset = self.origin[index]
        return offset if offset >= 0 else min(~offset, len(self.source.text) - 1)

    def is_inserted(self, start: int, end: int) -> bool:
        """Whether all of this was put in by edits."""
        return all(offset < 0 for offset in self.origin[start:end])

    def edited(self, edit: "Edit") -> "Draft":
        start, end = edit.start, edit.end
        # What is put in stands for what it replaces, from its first character to its last.
        last = min(max(end - 1, start), len(self.origin) - 1)
        inserted = [~self._offset(min(start + shift, last)) for shift in range(len(edit.text))]
        if inserted:
            inserted[-1] = ~self._offset(last)
        return Draft(
            self.source,
            self.text[:start] + edit.text + self.text[end:],
            [*self.origin[:start], *inserted, *self.origin[end:]],
        )

    def in_source(self, edit: "Edit") -> Replacement | None:
        """The edit as one of the source; None where it is about text that an edit put in."""
        touched = self.origin[edit.start : edit.end]
        if any(offset < 0 for offset in touched):
            return None
        if touched:
            return Replacement(self.source.span(touched[0], touched[-1] + 1), edit.text)
        place = self.origin[edit.start] if edit.start < len(self.origin) else self.origin[-1] + 1
        return None if place < 0 else Replacement(self.source.span(place, place), edit.text)


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in place of what stands from `start` to `end` in the draft."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A word as an author sees it, wider than the grammar's: `meta/llama-3+`, `==`, `32kb`, `“curly”`."""

    kind: str
    text: str
    start: int
    end: int


_LEXEMES = re.compile(
    r"""
      (?P<blank>   (?:[ \t\r\n] | \#[^\n]*)+ )
    | (?P<comment> //[^\n]* | /\* | -- )
    | (?P<string>  "(?:[^"\\\n]|\\.)*" )
    | (?P<open>    "[^\n]* )
    | (?P<quoted>  [“”„‟«»][^“”„‟«»"\n]*[“”„‟«»"]? | ['‘’`][^'‘’`\n]*['‘’`]? )
    | (?P<number>  \$?[0-9](?:[\w%/+@] | [.:-](?=\w))* | \.[0-9]+ )
    | (?P<word>    [^\W\d]\w*(?:(?:[-:/+@]+|\.)\w+)*\+* )
    | (?P<sign>    <=> | == =? | != =? | <> | <= | >= | => | =< | && | \|\| | := | \.\.\. | \.\. | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def lexemes_of(text: str) -> list[Lexeme]:
    return [
        Lexeme(str(match.lastgroup), match.group(), *match.span())
        for match in _LEXEMES.finditer(text)
        if match.lastgroup != "blank"
    ]


class Reader(Protocol):
    """The parser, as far as hints may ask it."""

    def stop(self, text: str) -> int | None:
        """Where reading a statement stops; None when it is well formed."""

    def accepts(self, beginning: str) -> frozenset[str]:
        """The terminals that can follow a beginning that is well formed so far."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where Lark stopped: at the lexeme with this index, with these terminals possible instead."""

    draft: Draft
    lexemes: list[Lexeme]
    index: int
    accepts: frozenset[str]
    reader: Reader

    def at(self, distance: int) -> Lexeme:
        """The lexeme so many places further on; an empty one beyond either end."""
        index = self.index + distance
        if 0 <= index < len(self.lexemes):
            return self.lexemes[index]
        end = self.lexemes[-1].end if index >= 0 and self.lexemes else 0
        return Lexeme("end", "", end, end)

    @property
    def here(self) -> Lexeme:
        return self.at(0)

    @property
    def previous(self) -> Lexeme:
        return self.at(-1)

    @property
    def keyword(self) -> str:
        """What the statement begins with, in small letters."""
        return self.lexemes[0].text.lower()

    @property
    def before(self) -> list[Lexeme]:
        return self.lexemes[: self.index]

    def last_of(self, *words: str) -> Lexeme | None:
        """The nearest lexeme before this place that is one of the words."""
        return next((lexeme for lexeme in reversed(self.before) if lexeme.text in words), None)

    def span(self, first: Lexeme, last: Lexeme | None = None) -> Span:
        return self.draft.span(first.start, (last or first).end)

    def words(self, first: Lexeme, last: Lexeme | None = None) -> str:
        """The author's own text between two lexemes, on one line."""
        text = self.draft.text[first.start : (last or first).end]
        return shortened(text)

    def accepts_at(self, distance: int) -> frozenset[str]:
        """What could have stood at a place before this one."""
        return (
            self.accepts if distance == 0 else self.reader.accepts(self.draft.text[: self.at(distance).start])
        )

    def reads(self, edit: Edit) -> int | None:
        """How many characters of the draft are read further than now when it is edited so; None when all
        of it is."""
        text = self.draft.text[: edit.start] + edit.text + self.draft.text[edit.end :]
        stop = self.reader.stop(text)
        if stop is None:
            return None
        return stop - len(text) + len(self.draft.text) - self.here.start

    def ends_here(self) -> bool:
        """Whether what was begun before this place cannot go on after it."""
        return self.here.kind == "end" or self.here.text in ENDINGS

    def value_around(self) -> tuple[str, str]:
        """What stands left and right of a sign at this place, for showing it rightly written."""
        left = self.previous.text if self.previous.kind in VALUES else "task.type"
        return left, self.value_after(1)

    def value_after(self, distance: int) -> str:
        first = self.at(distance)
        if first.text == "[":
            return self.words(first, self.closing_bracket(distance))
        return first.text if first.kind in VALUES and first.text not in CLAUSES else "VALUE"

    def closing_bracket(self, distance: int) -> Lexeme:
        while self.at(distance + 1).kind != "end" and self.at(distance).text != "]":
            distance += 1
        return self.at(distance)

    def rest_of_clause(self) -> str:
        """From this place to the next clause or the end of the line it is on."""
        last, distance = self.here, 0
        while (following := self.at(distance + 1)).kind != "end":
            if following.text in CLAUSES or "\n" in self.draft.text[last.end : following.start]:
                break
            last, distance = following, distance + 1
        return self.words(self.here, last)

    def opening(self, bracket: str, closing: str) -> Lexeme | None:
        """The innermost bracket of a kind that is still open at this place."""
        depth = 0
        for lexeme in reversed(self.before):
            if lexeme.text == closing:
                depth += 1
            elif lexeme.text == bracket:
                if depth == 0:
                    return lexeme
                depth -= 1
        return None

    def replace(self, first: Lexeme, text: str, last: Lexeme | None = None) -> Edit:
        return Edit(first.start, (last or first).end, text)

    def insert(self, text: str) -> Edit:
        """Before this place, with a blank on either side."""
        return Edit(self.here.start, self.here.start, f" {text} ")


VALUES = ("word", "string", "number")
ENDINGS = frozenset((*STATEMENTS, *CLAUSES, "expect", "given", "by", "then", ",", ")", "]"))
