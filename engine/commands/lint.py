"""`engine lint`: every finding of syntax, names, types and YAML in a policy folder."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from engine.commands.loading import add_config_argument, add_format_argument, summary, tell
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.language.diagnostics import Diagnostic, Problems

SUMMARY = "report everything that is wrong with a policy folder"
DESCRIPTION = "Reads a policy folder and reports every problem, all in one run. Decides nothing and looks at nothing else."
LEVELS = ("error", "warning", "info")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="the policy folder (default: as for --config)"
    )
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    parser.add_argument(
        "--fail-level",
        choices=LEVELS,
        default="error",
        help="the lowest level that makes the exit code 1 (default: error)",
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    import os

    from engine.language.diagnostics import Level, Problems
    from engine.policy import find_folder, load

    problems = Problems()
    load(find_folder(arguments.path or arguments.config, os.environ.get("ENGINE_CONFIG_DIR")), problems)
    if arguments.format == "json":
        terminal.say(json.dumps(findings_json(problems), indent=1))
    else:
        tell(problems, terminal)
        terminal.say(summary(problems))
    worst = max((problem.level for problem in problems), default=None)
    return 1 if worst is not None and worst >= Level[arguments.fail_level.upper()] else 0


def findings_json(problems: "Problems") -> dict[str, Any]:
    """Every finding as plain values (schemas/findings.schema.json); lines and columns are 1-based."""
    return {"version": 1, "findings": [_finding(problem) for problem in problems]}


def _finding(problem: "Diagnostic") -> dict[str, Any]:
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
