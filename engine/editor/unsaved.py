"""A policy folder as it is saved, and as it is in the editor -> findings that say what saving it would let
out or spend, by the judgement that a reload makes, with the simplest task that shows it."""

from collections.abc import Iterator

from engine.analysis.judgement import judge
from engine.config.folder import PolicyFolder
from engine.language.diagnostics import Diagnostic, Level, Problems, visible
from engine.language.source import Source, Span
from engine.policy import Policy, build

MOST_WORK = 100_000
"""Steps of the search while an author types; `engine diff` takes more."""


def unsaved_findings(saved: PolicyFolder, edited: Policy) -> Iterator[Diagnostic]:
    """At the first line that is not as it is saved; nothing where there is none, or no sound policy was
    saved."""
    place = _first_change(saved, edited.folder)
    old = None if place is None else build(saved, Problems())
    if place is None or old is None:
        return
    judgement = judge(old, edited, MOST_WORK)
    help = "`engine diff` shows every task that is decided differently"
    for slug, changes in (("lets-more-out", judgement.leaks), ("spends-more", judgement.spending)):
        for change in changes:
            yield Diagnostic(
                slug, Level.WARNING, f"unlike what is saved: {visible(change.text)}", place, help
            )
    for text in judgement.undecided:
        yield Diagnostic("not-judged", Level.INFO, f"unlike what is saved: {text}", place, help)


def _first_change(saved: PolicyFolder, edited: PolicyFolder) -> Span | None:
    before = {source.name: source.text for source in _files(saved)}
    for source in _files(edited):
        text = before.get(source.name, "")
        if text != source.text:
            return line_of(source, text)
    return None


def _files(folder: PolicyFolder) -> Iterator[Source]:
    yield from folder.routes
    yield from (source for source in (folder.policies, folder.models) if source is not None)


def line_of(source: Source, text: str) -> Span:
    """The first line that differs; of a text that only lost lines at its end, the last."""
    lines, others = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
    common = next(
        (number for number, (one, other) in enumerate(zip(lines, others, strict=False)) if one != other),
        min(len(lines), len(others)),
    )
    number = max(min(common, len(lines) - 1), 0)
    start = sum(map(len, lines[:number]))
    line = lines[number] if lines else ""
    return source.span(start, start + len(line.rstrip("\r\n")))
