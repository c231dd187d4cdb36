"""Findings -> formats for tools: plain JSON, SARIF 2.1.0 for code scanning, and the annotations of a GitHub
workflow.

Strangers write the policies of a pull request, so every text of theirs is escaped.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from engine.analysis.lint_rules import RULES
from engine.language.diagnostics import Diagnostic, Level, visible
from engine.language.source import Span

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_SARIF_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "note"}
_GITHUB_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "notice"}


def findings_json(findings: Iterable[Diagnostic]) -> dict[str, Any]:
    """Every finding as plain values (schemas/findings.schema.json); lines and columns are 1-based."""
    return {"version": 1, "findings": [_finding(finding) for finding in findings]}


def _finding(problem: Diagnostic) -> dict[str, Any]:
    span = problem.span
    end_line, end_column = span.source.position(span.end)
    return {
        "slug": problem.slug,
        "level": problem.level.word,
        "message": problem.message,
        "help": problem.help,
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
        "notes": [
            {
                "file": note.span.source.name,
                "line": note.span.line,
                "column": note.span.column,
                "label": note.label,
            }
            for note in problem.notes
        ],
    }


# --- SARIF ----------------------------------------------------------------------------------------------


class FindingKind(Protocol):
    """What a kind of finding says of itself; a lint rule is one."""

    @property
    def slug(self) -> str: ...
    @property
    def level(self) -> Level: ...
    @property
    def summary(self) -> str: ...
    @property
    def why(self) -> str: ...


def sarif(
    findings: Sequence[Diagnostic],
    folder: Path,
    tool_name: str = "engine lint",
    kinds: Iterable[FindingKind] = RULES,
) -> dict[str, Any]:
    """One run with every finding. Columns count code points, as they do everywhere here."""
    about = {kind.slug: kind for kind in kinds}
    slugs = sorted({finding.slug for finding in findings} | about.keys())
    rules: list[dict[str, Any]] = []
    for slug in slugs:
        rule: dict[str, Any] = {"id": slug}
        if slug in about:
            rule["shortDescription"] = {"text": about[slug].summary}
            rule["fullDescription"] = {"text": about[slug].why}
            rule["defaultConfiguration"] = {"level": _SARIF_LEVELS[about[slug].level]}
        rules.append(rule)
    index = {slug: number for number, slug in enumerate(slugs)}
    results = [_result(finding, index[finding.slug], folder) for finding in findings]
    tool = {"driver": {"name": tool_name, "rules": rules}}
    run = {"tool": tool, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(finding: Diagnostic, rule: int, folder: Path) -> dict[str, Any]:
    text = "\n".join(_unlinked(each) for each in (finding.message, finding.help) if each is not None)
    result: dict[str, Any] = {
        "ruleId": finding.slug,
        "ruleIndex": rule,
        "level": _SARIF_LEVELS[finding.level],
        "message": {"text": text},
        "locations": [_location(finding, folder)],
    }
    if finding.notes:
        result["relatedLocations"] = [
            {**_place(note.span, folder), "id": number, "message": {"text": visible(note.label)}}
            for number, note in enumerate(finding.notes)
        ]
    return result


def _unlinked(text: str) -> str:
    """A message without links: `[text](target)` would be one."""
    return visible(text).replace("](", "\\](")


def _location(finding: Diagnostic, folder: Path) -> dict[str, Any]:
    return _place(finding.span, folder)


def _place(span: Span, folder: Path) -> dict[str, Any]:
    end_line, end_column = span.source.position(span.end)
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": end_line,
        "endColumn": end_column,
    }
    # A file name is bytes: those that are no UTF-8 stand in the URI as they are on the disk.
    uri = quote(os.fsencode(path_in(folder, span.source.name)))
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


# --- GitHub ---------------------------------------------------------------------------------------------


def github_lines(findings: Iterable[Diagnostic], folder: Path) -> list[str]:
    """`::error file=...,line=...::message`, each on one line."""
    return [_github_line(finding, folder) for finding in findings]


def _github_line(finding: Diagnostic, folder: Path) -> str:
    span = finding.span
    end_line, end_column = span.source.position(span.end)
    properties = {
        "file": path_in(folder, span.source.name),
        "line": span.line,
        "endLine": end_line,
        "col": span.column,
        "endColumn": end_column,
        "title": finding.slug,
    }
    written = ",".join(f"{name}={_escaped(str(value), ',:')}" for name, value in properties.items())
    text = finding.message if finding.help is None else f"{finding.message}; {finding.help}"
    return f"::{_GITHUB_LEVELS[finding.level]} {written}::{_escaped(visible(text))}"


def _escaped(text: str, more: str = "") -> str:
    """Escaped for workflow commands: no value can end the line or begin another command."""
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return visible(text)


def path_in(folder: Path, name: str) -> str:
    """A file of the folder as a path from the working directory, where it lies below that."""
    try:
        return (folder / name).resolve().relative_to(Path.cwd().resolve()).as_posix()
    except (ValueError, OSError):
        return (folder / name).as_posix()
