"""Hints about a word that cannot stand where it stands, held against those that may.

Each possible repair (a misspelt word, a form of another language, two words glued or swapped, one that
stands twice) is tried on the statement, and the one with which it reads is what was meant.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from engine.language.diagnostics import Diagnostic
from engine.language.error_context import VALUES, WORDS, Edit, Lexeme, Place
from engine.language.messages import syntax as messages
from engine.language.spelling import misspelt
from engine.language.statement_forms import STATEMENTS
from engine.language.syntax_hints.foreign_forms import FOREIGN_FORMS, MOST_WORDS
from engine.language.syntax_hints.hint import SyntaxHint
from engine.language.vocabulary import LOCALITIES, TERMS

_MOST_TRIALS = 40
_MOST_CHARACTERS = 100
_MOST_CHARACTERS_OF_ALL = 5_000


@dataclass(frozen=True, slots=True)
class _Repair:
    """One way to mend the statement. `rank` orders kinds of repairs, the plainest first."""

    rank: int
    edit: Edit
    diagnostic: Callable[[], Diagnostic]


def stray_word(place: Place) -> SyntaxHint | None:
    """`whne`, `at least`, `iscode`, `is is`: the one repair with which the statement reads, or at least reads
    on."""
    return _best(place, chain(_misspelt(place), _foreign(place), _glued(place), _twice(place)))


def swapped_words(place: Place) -> SyntaxHint | None:
    return _best(place, _swapped(place))


def _best(place: Place, repairs: Iterable[_Repair]) -> SyntaxHint | None:
    is_long = len(place.draft.text) > _MOST_CHARACTERS_OF_ALL
    if is_long or any(len(lexeme.text) > _MOST_CHARACTERS for _, lexeme in _near(place)):
        return None
    whole: list[_Repair] = []
    further: list[_Repair] = []
    for repair in islice(repairs, _MOST_TRIALS):
        if whole and repair.rank > whole[0].rank:
            break
        read = place.reads(repair.edit)
        if read is None:
            whole.append(repair)
        elif repair.rank <= _FOREIGN and read > len(place.here.text) and len(repair.edit.text) > 2:
            further.append(repair)
    found = whole or [each for each in further if each.rank == further[0].rank]
    if not found:
        return None
    best = found[0]
    if len({(each.edit.start, each.edit.text.strip()) for each in found}) == 1:
        return SyntaxHint(best.diagnostic(), best.edit)
    if len({each.edit.start for each in found}) > 1 or best.rank > _FOREIGN:
        return None
    span = place.draft.span(best.edit.start, best.edit.end)
    words = [each.edit.text for each in found]
    return SyntaxHint(messages.one_of_these_words(span, words), best.edit, is_fix=False)


_MISSPELT, _FOREIGN, _GLUED, _TWICE, _SWAPPED = range(5)


def _near(place: Place) -> Iterator[tuple[int, Lexeme]]:
    """This place and the two before it, which may have been read as names."""
    for distance in (0, -1, -2):
        if place.index + distance >= 0 and place.at(distance).kind != "end":
            yield distance, place.at(distance)


def _misspelt(place: Place) -> Iterator[_Repair]:
    for distance, lexeme in _near(place):
        written = lexeme.text.lower()
        if lexeme.kind != "word" or written in WORDS or written in FOREIGN_FORMS:
            continue
        words = [word for word in map(str.lower, place.accepts_at(distance)) if word in WORDS]
        for right in sorted(misspelt(written, words)):
            is_first = place.index + distance == 0 and right in STATEMENTS
            sentence = messages.misspelt_statement if is_first else messages.unexpected_word
            edit = place.replace(lexeme, right)
            yield _Repair(_MISSPELT, edit, _said_of(sentence, place.span(lexeme), right))


def _foreign(place: Place) -> Iterator[_Repair]:
    """A form of another language that covers this place, or ends before it."""
    seen = set()
    for count in range(MOST_WORDS, 0, -1):
        for first in range(-count, 1):
            if place.index + first < 0:
                continue
            lexemes = [place.at(first + step) for step in range(count)]
            written = " ".join(lexeme.text.lower() for lexeme in lexemes)
            if any(lexeme.kind in ("end", "string") for lexeme in lexemes):
                continue
            rights = FOREIGN_FORMS.get(written, ())
            accepts = place.accepts_at(first) if rights else frozenset()
            for right in rights:
                word = right.split()[0]
                if _TERMINALS.get(word, word.upper()) not in accepts:
                    continue
                edit = Edit(lexemes[0].start, lexemes[-1].end, f" {right} ")
                if (edit.start, right) in seen:
                    continue
                seen.add((edit.start, right))
                span = place.span(lexemes[0], lexemes[-1])
                sentence = _SENTENCES.get(right, messages.unexpected_word)
                yield _Repair(_FOREIGN, edit, _said_of(sentence, span, right))


def _glued(place: Place) -> Iterator[_Repair]:
    """`iscode`, `cloudwhen`, `wh en`, `task. type`: a blank less or more."""
    known = WORDS | {*TERMS, *LOCALITIES}
    for distance, lexeme in _near(place):
        for cut in range(1, len(lexeme.text)) if lexeme.kind in ("word", "number") else ():
            left, right = lexeme.text[:cut], lexeme.text[cut:]
            if left in WORDS or right in WORDS:
                edit = place.replace(lexeme, f"{left} {right}")
                yield _Repair(_GLUED, edit, _said_of(messages.glued_words, place.span(lexeme), edit.text))
        for last in (place.at(distance + 1), place.at(distance + 2)):
            text = "".join(place.draft.text[lexeme.start : last.end].split())
            if last.kind != "end" and text in known:
                edit = place.replace(lexeme, text, last)
                yield _Repair(_GLUED, edit, _said_of(messages.torn_word, place.span(lexeme, last), text))


def _twice(place: Place) -> Iterator[_Repair]:
    for distance in (0, -1):
        lexeme, before = place.at(distance), place.at(distance - 1)
        if lexeme.text == before.text and lexeme.kind != "end":
            edit = Edit(before.end, lexeme.end, "")
            yield _Repair(_TWICE, edit, _said_of(messages.word_twice, place.span(lexeme), lexeme.text))


def _swapped(place: Place) -> Iterator[_Repair]:
    for distance in (0, -1, -2):
        one, other = place.at(distance), place.at(distance + 1)
        if one.text == other.text or not {one.kind, other.kind} <= {*VALUES}:
            continue
        between = place.draft.text[one.end : other.start]
        edit = place.replace(one, f"{other.text}{between or ' '}{one.text}", other)
        yield _Repair(_SWAPPED, edit, _said_of(messages.swapped_words, place.span(one, other), edit.text))


_TERMINALS = {">=": "AT_LEAST", "<=": "AT_MOST", ">": "MORE", "<": "LESS", ",": "COMMA"}
_SENTENCES = {
    "when": messages.unexpected_if,
    ", then": messages.missing_then,
    "then": messages.missing_then,
    "is": messages.unexpected_operator,
    "is not": messages.unexpected_operator,
    "and": messages.unexpected_operator,
    "or": messages.unexpected_operator,
    "not": messages.unexpected_operator,
}


def _said_of(sentence: Callable[..., Diagnostic], span: object, text: str) -> Callable[[], Diagnostic]:
    return lambda: sentence(span, text)
