"""`engine review`: a change of a policy as one comment for its pull request."""

import argparse
from typing import TYPE_CHECKING

from engine.commands.loading import COULD_NOT_RUN, add_config_argument
from engine.commands.prove import steps
from engine.commands.replay import add_column_arguments
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.commands.review_markdown import Review
    from engine.commands.revisions import Version

SUMMARY = "write the one comment that a change of a policy needs"
DESCRIPTION = """Writes Markdown for a pull request: whether HEAD is looser, stricter or the same as BASE, and
what it may spend; tests, proofs and mutation score before and after; which tasks move, each with one to try;
and what a recorded log would have cost. BASE and HEAD are git revisions of the policy folder (main, HEAD^1,
REV:PATH) or policy folders. A revision is only read: nothing of it runs or is checked out. A policy with
errors is said in the comment. The exit code is 1 when HEAD is looser (see --fail-on), 2 when HEAD is no
policy without errors, 4 when it is not known."""
MOST_WORK = 2_000_000
UNKNOWN = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="what the change begins with: a revision or a folder")
    parser.add_argument("head", metavar="HEAD", help="what it ends with: a revision or a folder")
    add_config_argument(parser)
    parser.add_argument(
        "--log",
        metavar="LOG",
        help="what this log would have cost under both: anything that `engine replay` reads",
    )
    add_column_arguments(parser)
    parser.add_argument(
        "--fail-on",
        choices=("looser", "costlier", "any", "never"),
        default="looser",
        help="exit with 1 when HEAD lets more out than BASE, when it also or only spends more, when anything "
        "differs, or never (default: %(default)s)",
    )
    parser.add_argument(
        "--max-work",
        type=steps,
        metavar="N",
        help="steps each kind of question may take (default: 2 million)",
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.commands.revisions import Incomparable, read_version

    if arguments.log is None and (arguments.map or arguments.set):
        raise Incomparable("--map and --set say something of a log: give it with --log")
    old = read_version(arguments.base, arguments.head, arguments.config)
    new = read_version(arguments.head, arguments.base, arguments.config)
    if old.is_absent and new.is_absent:
        raise Incomparable(f"there is no policy folder in {arguments.base!r} and none in {arguments.head!r}")
    from engine.commands.review_markdown import review_markdown

    review = _review(old, new, arguments)
    terminal.out.write(review_markdown(review))
    if review.result is not None:
        return review.result.exit_code(arguments.fail_on)
    return COULD_NOT_RUN if new.policy is None else UNKNOWN


def _review(old: "Version", new: "Version", arguments: argparse.Namespace) -> "Review":
    from engine.analysis.policy_checks import check_policy
    from engine.commands.compared import compared
    from engine.commands.review_markdown import Review

    most_work = arguments.max_work or MOST_WORK
    result = None
    if old.policy is not None and new.policy is not None:
        result = compared([(old.name, old.policy), (new.name, new.policy)], arguments, most_work)
    checks = [
        None if version.policy is None else check_policy(version.policy, most_work) for version in (old, new)
    ]
    return Review(old, new, checks[0], checks[1], result)
