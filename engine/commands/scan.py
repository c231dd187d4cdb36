"""`engine scan`: the direct model calls of a Python code base, and the router call for each."""

import argparse
import json
from typing import TYPE_CHECKING

from engine.commands.loading import add_format_argument
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.migration.call_site import CallSite
    from engine.migration.checklist import Checklist
    from engine.migration.scan import ScanReport

SUMMARY = "find direct model calls in Python code, and propose the router call for each"
DESCRIPTION = """Finds calls through the Anthropic and OpenAI SDKs, LangChain and LiteLLM in a file or folder,
by syntax tree: nothing is executed, imported or changed. Prints each with the router call it could become,
and the pre-migration checklist filled in. --diff prints a patch of the plain cases instead."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a Python file, or a folder of them")
    add_format_argument(parser, "text", "json")
    parser.add_argument(
        "--diff",
        action="store_true",
        help="a unified patch of the plain cases (with --format json: beside the rest)",
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.migration.scan import report_json, scan

    report = scan(arguments.path)
    if arguments.format == "json":
        whole = report_json(report)
        if arguments.diff:
            whole["patch"] = report.patch
        terminal.say(json.dumps(whole, indent=1))
    elif arguments.diff:
        _diff(report, terminal)
    else:
        terminal.say(report_text(report))
    return 0


def _diff(report: "ScanReport", terminal: Terminal) -> None:
    from engine.language.diagnostics import visible

    if terminal.out.isatty():
        shown = "\n".join(
            "\t".join(visible(part) for part in line.split("\t")) for line in report.patch.split("\n")
        )
    else:
        shown = report.patch
    terminal.out.write(shown)
    for site in report.sites:
        if site in report.left:
            terminal.note(visible(f"not in the patch: {site.file}:{site.line}: {report.left[site]}"))


def report_text(report: "ScanReport") -> str:
    """The calls by file, the checklist, the notes."""
    from engine.language.diagnostics import visible

    lines: list[str] = []
    for site in report.sites:
        lines += _site_lines(site, report.left.get(site))
    lines += _checklist_lines(report.checklist)
    if report.notes:
        lines += ["", "Notes"]
        lines += [
            f"  {note.file}{f':{note.line}' if note.line else ''}: {note.text}" for note in report.notes
        ]
    count = len(report.sites)
    plain = count - len(report.left)
    lines += [
        "",
        (
            f"{_counted(count, 'call')} in {_counted(report.files, 'file')}; {plain} of them in the patch of "
            "--diff"
        ),
    ]
    return "\n".join(visible(line) for line in lines)


def _site_lines(site: "CallSite", why_not: str | None) -> list[str]:
    words = [site.library, "/".join(site.models) or site.model_source or "model unknown"]
    if site.max_tokens_source is not None:
        words.append(
            f"max_tokens {site.max_tokens if site.max_tokens is not None else site.max_tokens_source}"
        )
    words += [
        word
        for word, true in (("tools", site.tools), ("streaming", site.streaming), ("async", site.asynchronous))
        if true
    ]
    if not site.asynchronous:
        words.append("sync")
    lines = [
        f"{site.file}:{site.line}: {', '.join(words)}",
        f"    {site.call}(...)" + (f" in {site.function}" if site.function else ""),
        *(f"  > {line}" for line in site.suggestion.split("\n")),
        f"    task type: {site.profile.why}",
        *(f"    note: {remark}" for remark in site.remarks),
    ]
    if why_not is not None:
        lines.append(f"    by hand: {why_not}")
    return [*lines, ""]


def _checklist_lines(listed: "Checklist") -> list[str]:
    def counts(table: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in table.items()) or "none"

    declared = [
        f"      {one.file}: {one.name} {one.version}".rstrip() + (f": {one.advice}" if one.advice else "")
        for one in listed.declared
    ]
    return [
        "Pre-migration checklist",
        "  1. Current usage",
        f"    [x] direct calls: {_counted(listed.calls, 'call')} in {_counted(listed.files, 'file')}",
        f"    [x] by library: {counts(listed.by_library)}",
        f"    [x] by model: {counts(listed.by_model)}"
        + (f" ({listed.without_model} not traced)" if listed.without_model else ""),
        f"    [x] async {listed.asynchronous}, streaming {listed.streaming}, with tools {listed.tools}",
        "  2. Dependencies",
        f"    [x] imported, by files: {counts(listed.imported)}",
        f"    [x] declared: {'none found' if not declared else ''}".rstrip(),
        *declared,
        f"    [x] variables: {', '.join(listed.variables) or 'none found'}",
        "  3. Requirements",
        "    [ ] daily and monthly volume: code does not say; `engine.migration.Shadow` counts it",
        f"    [x] task types (guessed): {counts(listed.by_task_type)}",
        f"    [x] critical calls (guessed): {listed.critical} of {listed.calls}",
        "    [ ] budget: set budgets.daily and budgets.monthly in policies.yaml",
        f"    [x] window: the longest reply asked for is {listed.most_max_tokens or 'unknown'} tokens",
        f"    [x] replies without a limit: {_counted(listed.without_max_tokens, 'call')}",
        (
            f"    [x] tools needed: {'yes' if listed.tools else 'no'}; streaming needed: "
            f"{'yes' if listed.streaming else 'no'}"
        ),
    ]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
