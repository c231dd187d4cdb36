"""`engine lint`: every finding about a policy, from its text and from questions over all tasks."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, summary, tell
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.analysis.lint_rule import Example, LintRule
    from engine.config.folder import PolicyFolder
    from engine.language.diagnostics import Diagnostic

SUMMARY = "report everything that is wrong or surprising in a policy folder"
DESCRIPTION = """Reads a policy folder and reports every problem of its text, and what is surprising about it
over all tasks there can be: rules that never apply, routes that can refuse, proofs that do not hold. Looks at
nothing but the folder. A finding is allowed by a comment on the line above its statement: # lint: allow SLUG
because REASON"""
UNKNOWN = 4
LEVELS = ("error", "warning", "info")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="the policy folder (default: as for --config)"
    )
    add_config_argument(parser)
    add_format_argument(parser, "text", "json", "sarif", "github")
    parser.add_argument(
        "--fail-level",
        choices=LEVELS,
        default="error",
        help="the lowest level that makes the exit code 1 (default: error)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 4 when the work allowed did not suffice to look for everything",
    )
    parser.add_argument(
        "--fix", action="store_true", help="mend what can be mended safely, then report the rest"
    )
    parser.add_argument("--explain", metavar="SLUG", help="say what a finding means, with examples, and stop")
    parser.add_argument("--list", action="store_true", help="list every lint rule, and stop")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    import os

    from engine.analysis.linter import lint
    from engine.config.folder import read_folder
    from engine.language.diagnostics import Level, Problems
    from engine.policy import find_folder

    if arguments.list:
        return _list(terminal)
    if arguments.explain is not None:
        return _explain(arguments.explain, terminal)
    folder = find_folder(arguments.path or arguments.config, os.environ.get("ENGINE_CONFIG_DIR"))
    problems = Problems()
    files = read_folder(folder, problems)
    if files is None and any(problem.slug == "no-folder" for problem in problems):
        # Nothing was linted, so there is no finding that a review could be shown.
        tell(problems, terminal)
        return COULD_NOT_RUN
    if arguments.fix and files is not None:
        if not _fix(folder, files, terminal):
            return COULD_NOT_RUN
        problems = Problems()
        files = read_folder(folder, problems)
    report = lint(files, problems)
    _stream(report.findings, report.suppressed, folder, arguments.format, terminal)
    worst = max((finding.level for finding in report.findings), default=None)
    if worst is not None and worst >= Level[arguments.fail_level.upper()]:
        return 1
    return UNKNOWN if arguments.strict and report.is_open else 0


def _stream(
    findings: "Sequence[Diagnostic]", suppressed: int, folder: Path, format: str, terminal: Terminal
) -> None:
    if format == "text":
        tell(findings, terminal, as_answer=True)
        allowed = f", {suppressed} allowed by comments" if suppressed else ""
        terminal.say(summary(findings) + allowed)
        return
    from engine.commands.findings import findings_json, github_lines, sarif

    match format:
        case "json":
            terminal.say(json.dumps(findings_json(findings), indent=1))
        case "sarif":
            terminal.say(json.dumps(sarif(findings, folder), indent=1))
        case _:
            for line in github_lines(findings, folder):
                terminal.say(line)


# --- Mending --------------------------------------------------------------------------------------------


def _fix(folder: Path, files: "PolicyFolder", terminal: Terminal) -> bool:
    """Writes the fixes. False when a file changed meanwhile or cannot be written."""
    from engine.analysis.linter import fix

    before = {source.name: source.text for source in files.routes}
    fixed = fix(files)
    for name, text in fixed.texts.items():
        try:
            _rewrite(folder, name, before[name], text)
        except OSError as error:
            terminal.note(f"engine lint: {name} could not be written: {error.strerror or error}")
            return False
    if fixed.count:
        terminal.note(
            f"mended {fixed.count} finding{'s' if fixed.count > 1 else ''} in "
            f"{', '.join(sorted(fixed.texts))}"
        )
    return True


def _rewrite(folder: Path, name: str, before: str, after: str) -> None:
    """Puts new text into a plain file of the folder, never through a link, and only if it is unchanged since
    linting."""
    import os

    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        file = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=root)
        with os.fdopen(file, "r+b") as stream:
            data = stream.read()
            mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
            if data[len(mark) :].decode("utf-8", "replace") != before:
                raise OSError("it changed meanwhile")
            stream.seek(0)
            stream.write(mark + after.encode())
            stream.truncate()
    finally:
        os.close(root)


# --- Pages ----------------------------------------------------------------------------------------------


def _list(terminal: Terminal) -> int:
    from engine.analysis.lint_rules import RULES

    width = max(len(rule.slug) for rule in RULES)
    for rule in sorted(RULES, key=lambda rule: (-rule.level, rule.slug)):
        mends = " (--fix)" if rule.fix else ""
        terminal.say(f"{rule.level.word:<8} {rule.slug:<{width}}  {rule.summary}{mends}")
    return 0


def _explain(slug: str, terminal: Terminal) -> int:
    from engine.analysis.lint_rules import BY_SLUG
    from engine.language.diagnostics import visible
    from engine.language.wording import nearest

    rule = BY_SLUG.get(slug)
    if rule is None:
        near = nearest(slug, BY_SLUG)
        hint = (
            f"did you mean {near}"
            if near
            else "see `engine lint --list`; findings of syntax and names say all in their message"
        )
        terminal.note(f"engine lint: there is no lint rule {visible(slug)!r}; {hint}")
        return COULD_NOT_RUN
    terminal.say(page(rule))
    return 0


def page(rule: "LintRule") -> str:
    """The rule's page of the documentation."""
    mends = "\n`engine lint --fix` mends it." if rule.fix else ""
    parts = [f"{rule.slug} ({rule.level.word}): {rule.summary}", f"{rule.why}{mends}"]
    parts += [_example("Bad", rule.bad), _example("Good", rule.good), _example("Not meant", rule.near_miss)]
    return "\n\n".join(part for part in parts if part)


def _example(title: str, example: "Example") -> str:
    from engine.analysis.lint_rule import MODELS, POLICIES

    shown = []
    for name, text, usual in (
        ("models.yaml", example.models, MODELS),
        ("policies.yaml", example.policies, POLICIES),
    ):
        if text != usual:
            shown.append(f"    # {name}, where it differs\n" + _difference(text, usual))
    if example.text:
        shown.append("".join(f"    {line}\n" for line in example.text.splitlines()))
    return f"{title}:\n" + "\n".join(shown).rstrip("\n") if shown else ""


def _difference(text: str, usual: str) -> str:
    """The lines that stand in one of the two only."""
    mine, other = text.splitlines(), usual.splitlines()
    lines = [f"    - {line.strip()}" for line in other if line not in mine]
    lines += [f"    + {line.strip()}" for line in mine if line not in other]
    return "\n".join(lines) + "\n"
