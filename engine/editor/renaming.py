"""A name in a policy -> where it is declared, every place that speaks of it, and the edits that give it
another name."""

import re
from collections.abc import Iterator

from engine.config.folder import BASE
from engine.editor.occurrences import Occurrence, occurrences
from engine.editor.view import View
from engine.language.diagnostics import Level
from engine.language.source import Span
from engine.language.vocabulary import TERMS

_RULE_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


class CannotRename(Exception):  # noqa: N818 - an answer
    """Why not, as a sentence for the author."""


def definition(view: View, occurrence: Occurrence) -> Span | None:
    """Where a name comes from: a statement, or its line in a YAML file."""
    text = occurrence.text
    if _is_of_policy(view, occurrence):
        return view.declared[text].name.span
    places = view.names.places
    match occurrence.role:
        case "value":
            term = TERMS.get(occurrence.of or "")
            return None if term is None or term.universe is None else places.get((term.universe, text))
        case "name" | "model":
            return places.get(("models", text)) or places.get(("providers", text))
        case _:
            return None


def references(view: View, name: str) -> Iterator[Span]:
    """Every place in the author's files that declares or speaks of a rule, let or proof, in file and line
    order."""
    for file in view.files:
        for each in occurrences(file):
            if each.text == name and _is_of_policy(view, each):
                yield each.span


def name_of(view: View, occurrence: Occurrence) -> str | None:
    """The rule, let or proof that an occurrence speaks of."""
    return occurrence.text if _is_of_policy(view, occurrence) else None


def _is_of_policy(view: View, occurrence: Occurrence) -> bool:
    match occurrence.role:
        case "declaration" | "rule":
            return occurrence.text in view.declared
        case "name" | "list":
            return view.is_let(occurrence.text)
        case _:
            return False


def check_renamable(view: View, occurrence: Occurrence) -> str:
    """The name, when it is one that can be changed. Raises CannotRename."""
    name = name_of(view, occurrence)
    if name is None:
        raise CannotRename("only rules, lets and proofs can be renamed here")
    place = view.declared[name].name.span.source.name
    if place == BASE:
        raise CannotRename(f"{name} is the engine's own")
    if not place.endswith(".route"):
        raise CannotRename(f"{name} follows from {place}")
    if any(file.broken for file in view.files):
        # A statement that cannot be read may speak of it.
        raise CannotRename("mend the syntax errors of the policy first")
    return name


def rename(view: View, occurrence: Occurrence, new_name: str) -> list[Span]:
    """The places to be changed. Raises CannotRename, also when the policy would have errors it does not
    have now."""
    name = check_renamable(view, occurrence)
    if not _RULE_NAME.fullmatch(new_name):
        raise CannotRename(
            "a name is lower-case letters, digits and single hyphens, and begins with a letter"
        )
    spans = list(references(view, name))
    if new_name != name and _errors(view.with_texts(changed(view, spans, new_name))) > _errors(view):
        raise CannotRename(
            f"the policy would not be understood with {new_name}: the name is taken or has a meaning"
        )
    return spans


def changed(view: View, spans: list[Span], text: str) -> dict[str, str]:
    """The texts of the files with something else at these places."""
    texts: dict[str, str] = {}
    for span in reversed(spans):
        name = span.source.name
        before = texts.get(name, span.source.text)
        texts[name] = before[: span.start] + text + before[span.end :]
    return texts


def _errors(view: View) -> int:
    from engine.language.diagnostics import Problems
    from engine.policy import build

    problems = Problems()
    if view.policy_folder is not None:
        build(view.policy_folder, problems)
    return sum(problem.level is Level.ERROR for problem in problems)
