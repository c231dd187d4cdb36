"""`engine diff`: which tasks two versions of a policy decide differently, and whether more goes out to the
cloud.

With a log, it also replays the log under both (`engine replay`) and reports the tasks that move.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, tell
from engine.commands.prove import steps
from engine.commands.replay import add_column_arguments
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.commands.compared import Compared
    from engine.commands.revisions import Version

SUMMARY = "show which tasks two versions of a policy decide differently"
DESCRIPTION = """Compares two policies over all facts there can be: every region of tasks that is decided
differently, with a condition and an example, and whether the new one lets more out to the cloud. OLD and
NEW are policy folders, or git revisions of the policy folder (HEAD~1, a branch, REV:PATH). With --log also
which recorded tasks, and how many dollars, go to another model. The exit code is 1 when NEW is looser (see
--fail-on), 4 when the work allowed did not suffice to know."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="a policy folder or a git revision")
    parser.add_argument("new", metavar="NEW", help="a policy folder or a git revision")
    add_config_argument(parser)
    add_format_argument(parser, "text", "json", "github", "sarif", "markdown")
    parser.add_argument(
        "--fail-on",
        choices=("looser", "costlier", "any", "never"),
        default="looser",
        help="exit with 1 when NEW lets more out than OLD, when it also or only spends more, when anything "
        "differs, or never (default: %(default)s)",
    )
    parser.add_argument(
        "--log",
        metavar="LOG",
        help="also decide this log again under both: anything that `engine replay` reads, such as the "
        "folder of a decision log",
    )
    add_column_arguments(parser)
    parser.add_argument(
        "--max-work", type=steps, metavar="N", help="steps the search may take (default: 10 million)"
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.analysis.search import MOST_WORK
    from engine.commands.compared import compared
    from engine.commands.revisions import Incomparable

    if arguments.log is None and (arguments.map or arguments.set):
        raise Incomparable("--map and --set say something of a log: give it with --log")
    old = _version(arguments.old, arguments.new, arguments, terminal)
    new = _version(arguments.new, arguments.old, arguments, terminal)
    if old.policy is None or new.policy is None:
        return COULD_NOT_RUN
    sides = [(old.name, old.policy), (new.name, new.policy)]
    result = compared(sides, arguments, arguments.max_work or MOST_WORK)
    if text := _formatted(result, new.path, arguments.format):
        terminal.say(text)
    return result.exit_code(arguments.fail_on)


def _version(name: str, other: str, arguments: argparse.Namespace, terminal: Terminal) -> "Version":
    from engine.commands.revisions import Incomparable, read_version

    version = read_version(name, other, arguments.config)
    if version.is_absent:
        raise Incomparable(f"there is no policy folder in {name!r}")
    if version.policy is None:
        terminal.note(f"engine diff: the policy of {name!r} has errors")
        tell(version.problems, terminal)
    return version


def _formatted(result: "Compared", folder: Path, format: str) -> str:
    from engine.commands import diff_findings, diff_formats, diff_markdown
    from engine.commands.findings import github_lines, sarif

    difference, judgement, report = result.difference, result.judgement, result.report
    match format:
        case "json":
            answer = diff_formats.difference_json(difference, judgement)
            if report is not None:
                answer["log"] = diff_formats.log_json(report)
            return json.dumps(answer, indent=1)
        case "markdown":
            return diff_markdown.difference_markdown(result, folder).rstrip("\n")
        case "github" | "sarif":
            findings = diff_findings.diff_findings(difference, judgement, result.old, result.new)
            if format == "github":
                return "\n".join(github_lines(findings, folder))
            return json.dumps(sarif(findings, folder, "engine diff", diff_findings.KINDS), indent=1)
        case _:
            log = "" if report is None else f"\n\n{diff_formats.log_text(report)}"
            return diff_formats.difference_text(difference, judgement) + log
