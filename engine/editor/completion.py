"""A place in a policy -> the words and names that can stand there.

The grammar itself is asked which words can follow; a half-written statement needs no tree. Which names can
follow is read off the words before.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from lark import Lark, Token, UnexpectedInput

from engine.editor.view import View
from engine.editor.words import KEYWORDS
from engine.language import syntax_tree as tree
from engine.language.formatter import print_value
from engine.language.grammar import load_grammar
from engine.language.source import Source
from engine.language.statement_forms import STATEMENTS, keywords
from engine.language.vocabulary import ATTRIBUTES, FACTS, TERMS, Kind

Sort: TypeAlias = Literal["keyword", "fact", "attribute", "value", "model", "provider", "let", "rule"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What may stand at a place; `text` is how it is written there, quoted where it must be."""

    text: str
    sort: Sort
    about: str


@cache
def _grammar() -> Lark:
    return load_grammar(None)


_PARTIAL = re.compile(r'"?[\w.:/+-]*\Z')
_BEGINNING = re.compile(
    rf"(?m)^[ \t]*(?:(?:{keywords('name and colon', 'name and equals')})\s+[\w-]+"
    rf"|(?:{keywords('title', 'number')})\b)"
)
_WORDS = {
    terminal: terminal.lower()
    for terminal in (
        *(
            "AFTER",
            "ALL",
            "AND",
            "ANY",
            "BECAUSE",
            "BY",
            "CHAIN",
            "EMPTY",
            "EXPECT",
            "FIRST",
            "GIVEN",
            "HAD",
            "HAS",
            "IN",
            "IS",
            "NEVER",
        ),
        *("NOT", "ONLY", "OR", "REFUSED", "ROUTE", "SOME", "THEN", "UNLESS", "USE", "WATCH", "WHEN"),
    )
}


def partial_word(text: str, offset: int) -> int:
    """Where the word being written begins."""
    match = _PARTIAL.search(text, 0, offset)
    return match.start() if match else offset


def complete(view: View, text: str, offset: int) -> list[Proposal]:
    """Everything that can stand at an offset, the likeliest first."""
    start = partial_word(text, offset)
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if "#" in re.sub(r'"[^"]*"', "", line) or line.count('"') % 2:
        return []
    begins = not line.strip()
    tokens, accepts = _before(text[_statement_start(text, start) : start])
    proposals = [*_names(view, tokens, accepts)] if accepts else []
    compared = _compared(tokens)
    if compared is not None and TERMS[compared].kind is not Kind.SET:
        accepts -= {"EMPTY"}  # only a set can be empty; here it would be a value like any other
    proposals += [
        Proposal(word, "keyword", KEYWORDS.get(word, ""))
        for terminal, word in _WORDS.items()
        if terminal in accepts
    ]
    if begins and (not tokens or "$END" in accepts or not accepts):
        proposals += [Proposal(word, "keyword", KEYWORDS[word]) for word in STATEMENTS]
    return list({proposal.text: proposal for proposal in proposals}.values())


def _statement_start(text: str, end: int) -> int:
    starts = [match.start() for match in _BEGINNING.finditer(text, 0, end)]
    return starts[-1] if starts else 0


def _before(text: str) -> tuple[list[Token], frozenset[str]]:
    """The tokens of a beginning, and the terminals that can follow; none of either when it cannot be read."""
    reader = _grammar().parse_interactive(text)
    tokens: list[Token] = []
    try:
        for token in reader.iter_parse():
            tokens.append(token)
    except UnexpectedInput:
        return [], frozenset()
    accepts: Callable[[], set[str]] = reader.accepts
    return tokens, frozenset(accepts())


def _names(view: View, tokens: list[Token], accepts: Iterable[str]) -> Iterator[Proposal]:
    """The names that can follow these tokens."""
    kinds = [token.type for token in tokens]
    last = kinds[-1] if kinds else ""
    opening = kinds[0] if kinds else ""
    if "RULE_NAME" in accepts:
        if last == "ROUTE" and opening == "TEST":
            yield from _rules(view, tree.Route)
        elif last == "BECAUSE":
            yield from _rules(view, tree.Rule)
        return
    if "NAME" not in accepts:
        return
    compared = _compared(tokens)
    if compared is not None:
        yield from _values(view, compared)
        if last in ("IN", "ANY", "ALL"):
            yield from _lets(view, lists=True)
        return
    if last == "CHAIN" or (
        last == "COMMA" and "CHAIN" in kinds and "GIVEN" not in kinds[kinds.index("CHAIN") :]
    ):
        yield from _models(view)
        return
    if opening == "WEIGH" and "WHEN" not in kinds and "UNLESS" not in kinds:
        yield from (
            Proposal(part, "keyword", "a part of the score") for part in ("cost", "quality", "latency")
        )
        return
    clause = next((kind for kind in reversed(kinds) if kind in _CLAUSES), "")
    in_condition = clause in ("WHEN", "UNLESS", "GIVEN", "AFTER") or (opening == "LET" and clause == "EQUALS")
    if in_condition:
        yield from (
            Proposal(fact.name, "fact", fact.meaning)
            for fact in FACTS.values()
            if clause != "GIVEN" or not fact.follows
        )
    if clause == "GIVEN":
        return
    if not in_condition or opening in ("FORBID", "REQUIRE", "PREFER", "AVOID", "LET"):
        yield from (Proposal(word, "keyword", KEYWORDS[word]) for word in ("local", "cloud", "any"))
        yield from (Proposal(term.name, "attribute", term.meaning) for term in ATTRIBUTES.values())
    yield from _lets(view, lists=False)
    if not in_condition or opening == "LET":
        yield from (Proposal(_written(name), "provider", "a provider") for name in view.names.providers)
        yield from _models(view)


_CLAUSES = {
    *("WHEN", "UNLESS", "AFTER", "GIVEN", "EXPECT", "USE", "EQUALS", "COLON"),
    *("NEVER", "ONLY", "SOME", "FIRST"),
}
_COMPARING = {"IS", "HAS", "LESS", "AT_MOST", "MORE", "AT_LEAST", "IN", "ANY", "ALL", "LSQB", "NOT"}


def _compared(tokens: list[Token]) -> str | None:
    """The fact or attribute that a value is to be compared with, when that is what comes next."""
    kinds = [token.type for token in tokens]
    place = len(kinds) - 1
    if place >= 0 and kinds[place] == "COMMA":
        # Only inside a list does a comma stand between values.
        while place >= 0 and kinds[place] in ("COMMA", "NAME", "STRING", "NUMBER"):
            place -= 1
        if place < 0 or kinds[place] != "LSQB":
            return None
    elif kinds[-1:] == ["DOTS"]:
        place -= 2
    elif kinds[-1:] == ["NOT"] and kinds[-2:-1] != ["IS"]:
        return None
    end = place
    while place >= 0 and kinds[place] in _COMPARING:
        place -= 1
    if place < 0 or place == end or kinds[place] != "NAME":
        return None
    name = str(tokens[place])
    return name if name in TERMS else None


def _values(view: View, name: str) -> Iterator[Proposal]:
    term = TERMS[name]
    if term.kind is Kind.FLAG:
        yield from (Proposal(word, "value", "") for word in ("yes", "no"))
    yield from (
        Proposal(_written(value), "value", term.name) for value in view.names.known_values(term) or ()
    )


def _lets(view: View, lists: bool) -> Iterator[Proposal]:
    for name, declared in view.declared.items():
        if (
            isinstance(declared.statement, tree.Let)
            and isinstance(declared.statement.value, tree.List) is lists
        ):
            yield Proposal(name, "let", "a list" if lists else "a let")


def _rules(view: View, kind: object) -> Iterator[Proposal]:
    for name, declared in view.declared.items():
        if isinstance(declared.statement, kind):  # type: ignore[arg-type]
            yield Proposal(name, "rule", declared.name.span.source.name)


def _models(view: View) -> Iterator[Proposal]:
    for model in view.names.models:
        yield Proposal(_written(model.key), "model", f"a model of {model.provider}")


def _written(name: str) -> str:
    """Bare where it can be."""
    return print_value(tree.Word(name, Source("", "").span(0, 0)))
