"""`engine test`: the policy's `test` statements, what they reach, and what would get past them."""

import argparse
import json

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal

SUMMARY = "run the policy's tests"
DESCRIPTION = """Runs the `test` statements of a policy folder. Looks at nothing but the folder: what a test does not
give is as usual, so a laptop and CI agree."""
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


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.analysis.coverage import coverage
    from engine.analysis.policy_tests import run_tests
    from engine.commands.case_formats import coverage_text, junit, report_json, report_text

    arguments.config = arguments.path or arguments.config
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    reports = run_tests(policy)
    covered = coverage(policy, reports) if arguments.coverage else None
    match arguments.format:
        case "json":
            terminal.say(json.dumps(report_json(reports, covered), indent=1))
        case "junit":
            terminal.say(junit(reports))
        case _:
            terminal.say(report_text(reports))
            if covered is not None:
                terminal.say("\n" + coverage_text(covered))
    return 0 if all(report.passed for report in reports) else FAILED
