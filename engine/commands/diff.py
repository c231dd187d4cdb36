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
    from engine.analysis.judgement import Judgement
    from engine.analysis.policy_diff import Difference
    from engine.policy import Policy
    from engine.replay.report import Report

SUMMARY = "show which tasks two versions of a policy decide differently"
DESCRIPTION = """Compares two policies over all facts there can be: every region of tasks that is decided
differently, with a condition and an example, and whether the new one lets more out to the cloud. OLD and
NEW are policy folders, or git revisions of the policy folder (HEAD~1, a branch, REV:PATH). With --log also
which recorded tasks, and how many dollars, go to another model. The exit code is 1 when NEW is looser (see
--fail-on), 4 when the work allowed did not suffice to know."""
DIFFERENT, UNKNOWN = 1, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="a policy folder or a git revision")
    parser.add_argument("new", metavar="NEW", help="a policy folder or a git revision")
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
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
    from engine.analysis.judgement import judge
    from engine.analysis.policy_diff import compare
    from engine.analysis.search import MOST_WORK
    from engine.commands.revisions import Incomparable

    if arguments.log is None and (arguments.map or arguments.set):
        raise Incomparable("--map and --set say something of a log: give it with --log")
    old, new = (
        _policy(name, other, arguments, terminal)
        for name, other in ((arguments.old, arguments.new), (arguments.new, arguments.old))
    )
    if old is None or new is None:
        return COULD_NOT_RUN
    # Before the search, so that an error in the log is reported at once.
    report = None if arguments.log is None else replayed([old, new], arguments)
    most_work = arguments.max_work or MOST_WORK
    difference, judgement = compare(old, new, most_work), judge(old, new, most_work)
    _say(difference, judgement, report, arguments, terminal)
    return exit_code(difference, judgement, arguments.fail_on)


def _say(
    difference: "Difference",
    judgement: "Judgement",
    report: "Report | None",
    arguments: argparse.Namespace,
    terminal: Terminal,
) -> None:
    from engine.commands.diff_formats import difference_json, difference_text, log_json, log_text

    if arguments.format == "json":
        answer = difference_json(difference, judgement)
        if report is not None:
            answer["log"] = log_json(report)
        terminal.say(json.dumps(answer, indent=1))
    else:
        terminal.say(difference_text(difference, judgement))
        if report is not None:
            terminal.say("\n" + log_text(report))


def _policy(name: str, other: str, arguments: argparse.Namespace, terminal: Terminal) -> "Policy | None":
    from engine.commands.revisions import Incomparable, read_version

    version = read_version(name, other, arguments.config)
    if version.is_absent:
        raise Incomparable(f"there is no policy folder in {name!r}")
    if version.policy is None:
        terminal.note(f"engine diff: the policy of {name!r} has errors")
        tell(version.problems, terminal)
    return version.policy


def replayed(sides: "list[Policy]", arguments: argparse.Namespace) -> "Report":
    """The log under both policies. Raises UnreadableLog, InvalidFact."""
    from engine.commands.replay import column_options
    from engine.replay.report import replay

    named = list(zip((arguments.old, arguments.new), sides, strict=True))
    return replay(Path(arguments.log), named, column_options(arguments, sides[0]))


def exit_code(difference: "Difference", judgement: "Judgement", fail_on: str) -> int:
    if fail_on != "never" and (difference.looser or judgement.lets_more_out):
        return DIFFERENT
    if fail_on in ("costlier", "any") and judgement.spending:
        return DIFFERENT
    if fail_on == "any" and (difference.regions or difference.one_sided):
        return DIFFERENT
    if difference.looser is None or judgement.lets_more_out is None:
        return UNKNOWN
    if fail_on in ("costlier", "any") and judgement.undecided:
        return UNKNOWN
    if fail_on == "any" and not difference.is_complete:
        return UNKNOWN
    return 0
