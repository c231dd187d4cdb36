"""Hints about names: those of rules and tests, and those that must stand in quotes."""

import re

from engine.language.diagnostics import Diagnostic
from engine.language.error_context import Edit, Lexeme, Place
from engine.language.messages import syntax as messages
from engine.language.statement_forms import STATEMENTS
from engine.language.syntax_hints.hint import SyntaxHint
from engine.language.syntax_hints.numbers import GOOD_NUMBER
from engine.language.wording import BARE_NAME


def unquoted_name(place: Place) -> SyntaxHint | None:
    """`meta/llama-3`, `command-r+`, `01-ai/yi`, `größe`: a value that must stand in quotes."""
    here = place.here
    if here.kind not in ("word", "number") or "RULE_NAME" in place.accepts or place.index == 0:
        return None
    if BARE_NAME.fullmatch(here.text) or GOOD_NUMBER.fullmatch(here.text):
        return None
    if here.text.startswith("$") or place.previous.text in ("<", "<=", ">", ">=", "by"):
        return SyntaxHint(messages.bad_number(place.span(here), None))
    return SyntaxHint(messages.unquoted_name(place.span(here)), place.replace(here, f'"{here.text}"'))


def rule_name(place: Place) -> SyntaxHint | None:
    if "RULE_NAME" not in place.accepts:
        return None
    here = place.here
    keyword = place.previous.text if place.previous.text in STATEMENTS else "rule"
    if here.kind in ("quoted", "string", "word", "number"):
        written = here.text.split(":")[0] if here.kind in ("word", "number") else here.text
        end = here.start + len(written)
        right = kebab_case(written)
        edit = Edit(here.start, end, right) if right else None
        return SyntaxHint(messages.bad_rule_name(place.draft.span(here.start, end), keyword, right), edit)
    if place.keyword == "test":
        return None  # a name that `because` or `route` lacks is a missing value
    edit = place.insert("some-name") if here.text in (":", "=", "(") else None
    return SyntaxHint(no_name(place, place.previous), edit, is_fix=False)


def kebab_case(text: str) -> str | None:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", text)
    name = "-".join(words).lower()
    return name if re.fullmatch(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", name) else None


def no_name(place: Place, keyword: Lexeme) -> Diagnostic:
    example = "let some-name = ..." if keyword.text == "let" else f"{keyword.text} some-name: ..."
    return messages.missing_name(place.span(keyword), keyword.text, example)


def unquoted_title(place: Place) -> SyntaxHint | None:
    if place.keyword == "test" and place.index == 1 and place.here.kind == "word":
        span = place.span(place.here)
        return SyntaxHint(messages.unquoted_title(span), place.replace(place.here, f'"{place.here.text}"'))
    return None
