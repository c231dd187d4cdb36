"""A path -> every direct model call in its Python code, the router call for each, and the checklist.

Phases in order: read the files, find the calls, describe each, rewrite the plain ones. It works on syntax
trees alone: nothing that is scanned is imported or executed, and no file is written.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.migration.call_finder import find_calls
from engine.migration.call_site import CallSite, site_of
from engine.migration.checklist import Checklist, check_list, keys_in_code
from engine.migration.patch import rewrite, unified
from engine.migration.python_files import Note, read_modules


class CannotScan(EngineError):  # noqa: N818
    """There is nothing to scan at that path."""


@dataclass(frozen=True, slots=True, eq=False)
class ScanReport:
    """The result of a scan. `patch` is a unified diff of the plain calls; `left` says why another is not
    in it."""

    files: int
    sites: tuple[CallSite, ...]
    notes: tuple[Note, ...]
    checklist: Checklist
    patch: str
    left: dict[CallSite, str]


def scan(path: str | Path) -> ScanReport:
    """Raises CannotScan when the path is not there or holds no Python file."""
    root = Path(path)
    if not root.exists():
        raise CannotScan(f"there is no {str(path)!r}")
    modules, notes = read_modules(root)
    if not modules and not notes:
        raise CannotScan(f"there is no Python file in {str(path)!r}")
    found, found_notes = find_calls(modules)
    sites = tuple(site_of(call) for call in found)
    notes = [*notes, *found_notes, *keys_in_code(modules)]
    patch = ""
    left: dict[CallSite, str] = {}
    for module in modules:
        here = [site for site in sites if site.found.module is module]
        if here:
            rewritten = rewrite(module, here)
            left |= rewritten.left
            if rewritten.text is not None:
                patch += unified(module.file, module.text, rewritten.text)
    return ScanReport(
        files=len(modules),
        sites=sites,
        notes=tuple(sorted(notes, key=lambda note: (note.file, note.line, note.text))),
        checklist=check_list(root, modules, sites),
        patch=patch,
        left=left,
    )


def report_json(report: ScanReport) -> dict[str, Any]:
    """Plain values (schemas/scan.schema.json)."""
    listed = report.checklist
    return {
        "version": 1,
        "files": report.files,
        "calls": [_call_json(site, report.left.get(site)) for site in report.sites],
        "notes": [{"file": note.file, "line": note.line, "text": note.text} for note in report.notes],
        "checklist": {
            "usage": {
                "calls": listed.calls,
                "files": listed.files,
                "by_library": listed.by_library,
                "by_model": listed.by_model,
                "by_task_type": listed.by_task_type,
                "async": listed.asynchronous,
                "streaming": listed.streaming,
                "tools": listed.tools,
                "known_by_shape": listed.untraced,
            },
            "dependencies": {
                "imported": listed.imported,
                "declared": [
                    {"name": one.name, "version": one.version, "file": one.file, "advice": one.advice or None}
                    for one in listed.declared
                ],
                "environment": list(listed.variables),
            },
            "requirements": {
                "critical_calls": listed.critical,
                "most_max_tokens": listed.most_max_tokens,
                "calls_without_max_tokens": listed.without_max_tokens,
                "calls_without_a_traced_model": listed.without_model,
            },
        },
    }


def _call_json(site: CallSite, why_not: str | None) -> dict[str, Any]:
    return {
        "file": site.file,
        "line": site.line,
        "column": site.column,
        "end_line": site.end_line,
        "function": site.function or None,
        "library": site.library,
        "call": site.call,
        "model": site.models[0] if len(site.models) == 1 else None,
        "models": list(site.models),
        "model_written": site.model_source,
        "max_tokens": site.max_tokens,
        "max_tokens_written": site.max_tokens_source,
        "tools": site.tools,
        "async": site.asynchronous,
        "streaming": site.streaming,
        "known_by": "trace" if site.traced else "shape",
        "task_profile": site.profile.arguments(),
        "task_type_because": site.profile.why,
        "suggestion": site.suggestion,
        "remarks": list(site.remarks),
        "in_patch": why_not is None,
        "not_in_patch_because": why_not,
    }
