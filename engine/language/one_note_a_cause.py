"""Everything the phases found -> what an author is to read: one note for each cause, and no more than can be
read.

A name that nobody has is one cause, however often it is written; of a list, of a kind and of a file the first
notes are kept, and the last of them says how many there are besides.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.language.diagnostics import Diagnostic, Level, Note, Problems

MOST_OF_A_LIST = 3
MOST_OF_A_KIND = 10
MOST_OF_A_FILE = 30
_MOST_PLACES = 2


def one_note_a_cause(problems: Problems) -> None:
    """Leaves of the problems what is to be read."""
    found: list[Diagnostic] = [*problems]
    if problems.has_errors:
        # What an error left out, or called otherwise, may be what uses the let.
        found = [each for each in found if each.slug != "unused-let"]
    found = _one_a_list(_one_a_name(found))
    files: dict[str, list[Diagnostic]] = {}
    for each in found:
        files.setdefault(each.span.source.name, []).append(each)
    problems.found[:] = [each for of_file in files.values() for each in _of_file(of_file)]


def _one_a_name(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    places: dict[tuple[str, str], list[Diagnostic]] = {}
    kept: list[tuple[str, str] | Diagnostic] = []
    for each in found:
        if each.slug not in _ABOUT_A_NAME:
            kept.append(each)
            continue
        key = (each.slug, each.span.text.strip("\"'"))
        if key not in places:
            kept.append(key)
        places.setdefault(key, []).append(each)
    return [each if isinstance(each, Diagnostic) else _with_places(places[each]) for each in kept]


_UNIVERSES = ("task-type", "label", "need", "mode", "provider", "model", "capability", "zone", "tag")
_ABOUT_A_NAME = frozenset(
    ("not-a-list", *(f"unknown-{what}" for what in ("name", "rule", "fact", "attribute", *_UNIVERSES)))
)


def _with_places(same: Sequence[Diagnostic]) -> Diagnostic:
    first, *others = same
    if not others:
        return first
    notes = [Note(each.span, "also here") for each in others[:_MOST_PLACES]]
    if len(others) > _MOST_PLACES:
        notes[-1] = replace(notes[-1], label=f"also here, and {len(others) - _MOST_PLACES} more times")
    help = first.help
    if help is not None and first.fix is not None:
        help = f"`{first.fix.text}` is a similar name"
    is_own = first.slug in ("unknown-fact", "unknown-attribute")
    if help is not None and " is a similar " in help and not is_own:
        help += ", which may be misspelt itself"
    # To follow it in one place would leave the others.
    return replace(first, help=help, fix=None, notes=(*first.notes, *notes))


_BETWEEN_MEMBERS = re.compile(r"[\s,\"'-]*")


def _one_a_list(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """At most so many of neighbours in one list."""
    runs: list[list[Diagnostic]] = []
    for each in found:
        last = runs[-1][-1] if runs else None
        if last is not None and last.slug == each.slug and _are_neighbours(last, each):
            runs[-1].append(each)
        else:
            runs.append([each])
    return [each for run in runs for each in _capped(run, MOST_OF_A_LIST, "in this list")]


def _are_neighbours(one: Diagnostic, other: Diagnostic) -> bool:
    source, start, end = one.span.source, one.span.end, other.span.start
    is_near = source.name == other.span.source.name and start <= end <= start + 200
    return is_near and _BETWEEN_MEMBERS.fullmatch(source.text, start, end) is not None


def _of_file(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    kinds: dict[str, list[Diagnostic]] = {}
    for each in found:
        kinds.setdefault(each.slug, []).append(each)
    kept = [each for same in kinds.values() for each in _capped(same, MOST_OF_A_KIND, "of this kind")]
    # Errors first: nothing of a policy holds before they are mended.
    kept.sort(key=lambda each: (each.level is not Level.ERROR, each.sort_key))
    return sorted(_capped(kept, MOST_OF_A_FILE, "in this file"), key=lambda each: each.sort_key)


def _capped(found: Sequence[Diagnostic], most: int, where: str) -> list[Diagnostic]:
    left = len(found) - most
    if left <= 0:
        return list(found)
    last = found[most - 1]
    return [*found[: most - 1], replace(last, message=f"{last.message}; and {left} more {where}")]
