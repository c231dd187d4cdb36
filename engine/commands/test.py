"""`engine test`: runs the policy's `test` statements, measures their coverage, and tries mutations of the
rules."""

import argparse
import json
from fractions import Fraction

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal

SUMMARY = "run the policy's tests"
DESCRIPTION = """Runs the `test` statements of a policy folder. Looks at nothing but the folder: what a test
does not give is as usual, so a laptop and CI agree."""
FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="the policy folder (default: as for --config)"
    )
    add_config_argument(parser)
    add_format_argument(parser, "text", "json", "junit")
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="also say which rules decided a test, and which conditions were seen both true and false",
    )
    parser.add_argument(
        "--mutate",
        action="store_true",
        help="also make every small change to the rules, and say which of them no test or proof would notice",
    )
    parser.add_argument(
        "--min-score",
        type=_percent,
        metavar="PERCENT",
        help="with --mutate: exit code 1 when fewer of the changes that matter would be noticed",
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.analysis.coverage import coverage
    from engine.analysis.policy_tests import run_tests
    from engine.commands.case_formats import coverage_text, junit, report_json, report_text
    from engine.commands.mutation_formats import mutation_json, mutation_text, score_text

    arguments.config = arguments.path or arguments.config
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    reports = run_tests(policy)
    covered = coverage(policy, reports) if arguments.coverage else None
    mutation = None
    if arguments.mutate or arguments.min_score is not None:
        from engine.analysis.mutation import mutate

        mutation = mutate(policy)
    more = [] if covered is None else [coverage_text(covered)]
    more += [] if mutation is None else [mutation_text(mutation)]
    match arguments.format:
        case "json":
            answer = report_json(reports, covered)
            if mutation is not None:
                answer["mutation"] = mutation_json(mutation)
            terminal.say(json.dumps(answer, indent=1))
        case "junit":
            terminal.say(junit(reports))
            # JUnit has no element for coverage or mutation: their text goes to standard error.
            if more:
                terminal.note("\n\n".join(more))
        case _:
            terminal.say("\n\n".join([report_text(reports), *more]))
    if arguments.min_score is not None and mutation is not None and mutation.score < arguments.min_score:
        terminal.note(
            f"engine test: the mutation score, {score_text(mutation)}, is below "
            f"{float(arguments.min_score):.0%}"
        )
        return FAILED
    return 0 if all(report.passed for report in reports) else FAILED


def _percent(text: str) -> Fraction:
    """The share of 1. Argparse tells a person when it is no number."""
    share = Fraction(text.removesuffix("%")) / 100
    if not 0 <= share <= 1:
        raise ValueError
    return share
