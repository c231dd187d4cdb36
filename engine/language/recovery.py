"""A file Lark refused -> its well-formed statements, and a diagnostic for each mistake in the others.

The text is cut where statements begin and every piece is parsed by itself. A piece that fails is
left out of the tree; it is mended in a draft as often as the mistake is plain, so that its other mistakes
are found in the same run. No mended text ever becomes a statement.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import cast

from lark import Lark, TextSlice, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.error_context import Draft, Place, lexemes_of
from engine.language.messages import syntax as messages
from engine.language.source import Source
from engine.language.statement_forms import STATEMENTS, keywords
from engine.language.syntax_hints.explain import explain
from engine.language.syntax_hints.hint import SyntaxHint
from engine.language.syntax_hints.names import kebab_case

# Caps on work; reaching the first is reported, reaching the others only leaves later mistakes of a statement
# for the next run.
MOST_BROKEN_STATEMENTS = 200
_MOST_EDITS_A_STATEMENT = 20
_MOST_CHARACTERS_REPARSED = 1_000_000


@dataclass(slots=True)
class Recovery:
    """What could be saved of a file, in order."""

    source: Source
    grammar: Lark
    problems: Problems
    unreadable: Sequence[int] = ()  # offsets of characters already reported
    statements: list[tree.Statement] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    count: int = 0
    reparsed: int = 0

    def run(self) -> None:
        for start, end in _statements(self.source.text):
            if not self._parse(start, end):
                for part_start, part_end in _lines_like_statements(self.source.text, start, end):
                    if not self._parse(part_start, part_end):
                        self._report(part_start, part_end)
                        if self.count == MOST_BROKEN_STATEMENTS and part_end < len(self.source.text):
                            span = self.source.span(part_end, part_end + 1)
                            self.problems.add(messages.too_many_errors(span, MOST_BROKEN_STATEMENTS))
                            return

    def _parse(self, start: int, end: int) -> bool:
        if self._is_unreadable(start, end):
            return False
        try:
            found: list[tree.Statement] = self.grammar.parse(TextSlice(self.source.text, start, end))  # type: ignore[assignment]
        except UnexpectedInput:
            return False
        self.statements.extend(found)
        return True

    def _is_unreadable(self, start: int, end: int) -> bool:
        index = bisect_left(self.unreadable, start)
        return index < len(self.unreadable) and self.unreadable[index] < end

    def _report(self, start: int, end: int) -> None:
        self.count += 1
        self.broken += _names(self.source.text, start, end)
        if self._is_unreadable(start, end):
            return
        hints = self._hints(Draft(self.source, self.source.text[start:end], range(start, end)))
        for hint in hints:
            self.problems.add(hint.diagnostic)

    def _hints(self, draft: Draft) -> list[SyntaxHint]:
        """What is wrong with a statement: every mistake when mending them makes a statement of it, else the
        first alone, because what follows may come of it; with help only where it is known to lead
        somewhere."""
        hints: list[SyntaxHint] = []
        struck: set[int] = set()
        for _ in range(_MOST_EDITS_A_STATEMENT):
            place = self._place(draft)
            if place is None:
                return hints
            hint = explain(place)
            start = hint.diagnostic.span.start
            # Stopped by an edit: what was meant was something else, and what follows from it is no mistake of
            # the author's.
            stop = place.here if place.here.kind != "end" else place.previous
            if draft.is_inserted(stop.start, stop.end) or (start in struck and hint.edit is None):
                break
            struck.add(start)
            hints.append(_with_fix(hint, draft))
            if hint.is_next:
                return hints
            if hint.edit is None or self.reparsed > _MOST_CHARACTERS_REPARSED:
                break
            draft = draft.edited(hint.edit)
        return [_without_fix(hint) for hint in hints[:1]]

    def _place(self, draft: Draft) -> Place | None:
        """Where Lark stops in the draft, or None when it reads it all."""
        offset = self.stop(draft.text)
        if offset is None:
            return None
        lexemes = lexemes_of(draft.text)
        index = next((i for i, lexeme in enumerate(lexemes) if lexeme.end > offset), len(lexemes))
        if index < len(lexemes):
            offset = min(offset, lexemes[index].start)
        return Place(draft, lexemes, index, self.accepts(draft.text[:offset]), self)

    def stop(self, text: str) -> int | None:
        """Where Lark stops in the text of one statement; at its beginning once too much was read again."""
        if self.reparsed > _MOST_CHARACTERS_REPARSED:
            return 0
        self.reparsed += len(text)
        try:
            self.grammar.parse(text)
        except (UnexpectedToken, UnexpectedCharacters) as stop:
            return _offset(stop, len(text))
        return None

    def accepts(self, beginning: str) -> frozenset[str]:
        """The terminals that can really follow.

        Lark reads up to the offending token only: `expected` of its exception holds a whole row of the table,
        and the state it stops in has already closed what the token would have closed.
        """
        reader = self.grammar.parse_interactive(beginning)
        try:
            reader.exhaust_lexer()
        except UnexpectedInput:
            return frozenset()
        accepts: Callable[[], set[str]] = reader.accepts
        return frozenset(accepts())


def _offset(stop: UnexpectedToken | UnexpectedCharacters, end: int) -> int:
    if isinstance(stop, UnexpectedCharacters):
        return cast(int, stop.pos_in_stream)
    is_end = stop.token.type == "$END"
    return end if is_end else int(stop.token.start_pos or 0)


# --- Where statements begin -----------------------------------------------------------------------------

_BEGINNING = (
    rf"(?i:{keywords('name and colon')})(?=\s+[\w.-]+\s*(?:\([^()\n]*\)\s*)?:)"
    rf"|(?i:{keywords('name and equals')})(?=\s+[\w.-]+\s*:?=)"
    rf'|(?i:{keywords("title")})(?=\s*"[^"\n]*"\s*:)'
    rf"|(?i:{keywords('number')})(?=\s+\d)"
)
_SKIPPED = r'"(?:[^"\\\n]|\\.)*"?|\#[^\n]*'

# A keyword and what its statement begins with, outside texts and comments. Case is forgiven here and reported
# later.
_STATEMENT = re.compile(rf"{_SKIPPED}|(?<![\w.:/+-])(?P<beginning>{_BEGINNING})", re.ASCII)

# Inside a piece that failed: lines that look like a statement whose colon or keyword is wrong.
_LINE_LIKE_STATEMENT = re.compile(
    rf"""{_SKIPPED}|(?m:^)(?P<indent>[ \t]*)(?P<beginning>
      (?i:{"|".join(STATEMENTS)})(?=[ \t]+["\w(]|[ \t]*(?:[:\#\r\n]|\Z))
    | [A-Za-z]+(?=[ \t]+[A-Za-z][\w-]*[ \t]*(?:\(\w*\)[ \t]*)?:(?:\s|$))
    | [A-Za-z]+(?=[ \t]+[A-Za-z][\w-]*[ \t]*=[^=])
    | [A-Za-z]+(?=[ \t]*"[^"\n]*"[ \t]*:)
    )""",
    re.ASCII | re.VERBOSE,
)


def _statements(text: str) -> Iterable[tuple[int, int]]:
    starts = [match.start() for match in _STATEMENT.finditer(text) if match.lastgroup]
    return _between(0, starts, len(text))


def _lines_like_statements(text: str, start: int, end: int) -> Iterable[tuple[int, int]]:
    line = text.rfind("\n", 0, start) + 1
    indent = start - line if text[line:start].isspace() else 0
    starts = [
        match.start("beginning")
        for match in _LINE_LIKE_STATEMENT.finditer(text, start, end)
        if match.lastgroup and len(match["indent"]) <= indent
    ]
    return _between(start, starts, end)


def _between(first: int, starts: list[int], end: int) -> Iterable[tuple[int, int]]:
    bounds = [first, *(start for start in starts if start > first), end]
    return pairwise(bounds)


_NAMED = re.compile(r"\s*[A-Za-z]*\s*\(?\s*([^\s:=()]+)", re.ASCII)
_NAMELESS = re.compile(rf"\s*(?i:{keywords('title', 'number')})\b", re.ASCII)


def _names(text: str, start: int, end: int) -> Iterable[str]:
    """The name of a statement that was left out, as it is written and as it must be; empty where it cannot be
    read, a text in quotes where it has none."""
    if _NAMELESS.match(text, start, end):
        return ['"']
    match = _NAMED.match(text, start, end)
    name = match[1] if match else ""
    return dict.fromkeys((name, kebab_case(name) or name))


def _with_fix(hint: SyntaxHint, draft: Draft) -> SyntaxHint:
    if hint.edit is None or not hint.is_fix:
        return hint
    fix = draft.in_source(hint.edit)
    # About what an edit put in, no text of the author's can be proposed.
    help = hint.diagnostic.help if fix is not None else None
    return replace(hint, diagnostic=replace(hint.diagnostic, help=help, fix=fix))


def _without_fix(hint: SyntaxHint) -> SyntaxHint:
    """The hint less a help that was to be followed to the letter."""
    if hint.diagnostic.fix is None:
        return hint
    return replace(hint, diagnostic=replace(hint.diagnostic, help=None, fix=None))
