"""`engine doctor`: checks of the policy folder and of this machine, before a migration or after a change."""

import argparse
import json
import os
from typing import TYPE_CHECKING

from engine.commands.env_file import add_env_file_argument, add_probe_cloud_argument, apply_env_file
from engine.commands.loading import add_config_argument, add_format_argument
from engine.commands.terminal import Style, Terminal

if TYPE_CHECKING:
    from engine.migration.doctor_checks import Check

SUMMARY = "check whether this machine is ready to route: configuration, selection, budgets, keys, state"
DESCRIPTION = """Checks the policy folder and this machine: configuration, selection for every task type,
fallbacks, budgets, keys (never what they are), the state folder and the books. Each finding says what to do.
Nothing goes to the network without --live. The exit code is 1 when a check fails."""
FAILED = 1
STYLES: dict[str, Style] = {"ok": "green", "warn": "yellow", "fail": "red", "skipped": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    parser.add_argument(
        "--live", action="store_true", help="also ask every provider whether it is up (no prompt, no cost)"
    )
    parser.add_argument("--strict", action="store_true", help="warnings make the exit code 1 too")
    add_env_file_argument(parser)
    add_probe_cloud_argument(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.migration.doctor_checks import MANUAL_CHECKS, report_json, run_checks, worst

    apply_env_file(arguments)
    checks = run_checks(arguments.config, os.environ, live=arguments.live, probe_cloud=arguments.probe_cloud)
    if arguments.format == "json":
        terminal.say(json.dumps(report_json(checks), indent=1))
    else:
        for check in checks:
            _stream(check, terminal)
        terminal.say("")
        terminal.say("to look at yourself: " + "; ".join(MANUAL_CHECKS))
    verdict = worst(checks)
    return FAILED if verdict == "fail" or (arguments.strict and verdict == "warn") else 0


def _stream(check: "Check", terminal: Terminal) -> None:
    word = terminal.styled(f"{check.verdict:<7}", STYLES[check.verdict], terminal.out)
    terminal.say(f"{word} {check.name}: {check.detail}")
    if check.advice:
        terminal.say(f"          {check.advice}")
