"""`engine replay`: decides recorded tasks again, under one policy or two, and reports cost, locality and
refusals."""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, summary, tell
from engine.commands.terminal import Terminal
from engine.environment import Environment

if TYPE_CHECKING:
    from engine.policy import Policy
    from engine.replay.report import Options

SUMMARY = "decide recorded tasks again, and report cost, locality, refusals and savings"
DESCRIPTION = """Decides every row of a log (CSV, JSON lines, Parquet, or the engine's own decision log) under
a policy, with a clock and budgets that play as they would have. Columns with the name of a fact are found,
--map names the others: engine replay calls.csv --map task.type=kind tokens.input=prompt tokens.output=reply
time=at --set criticality=high --against ../new-policies"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "log", metavar="LOG", help="a .csv, .jsonl or .parquet file, or the folder of a decision log"
    )
    add_config_argument(parser)
    parser.add_argument("--against", metavar="DIR", help="a second policy folder, to see what it moves")
    add_log_arguments(parser)
    parser.add_argument(
        "--budgets",
        choices=("simulated", "recorded"),
        help=(
            "play budgets from zero, or take the facts that the log holds (default: recorded for a decision "
            "log)"
        ),
    )
    parser.add_argument(
        "--charges",
        choices=("booked", "exact"),
        default="booked",
        help=(
            "how calls use up a budget: each rounded up to a micro-dollar, as the ledger books them, or to "
            "the last digit"
        ),
    )
    parser.add_argument(
        "--html", metavar="FILE", help="also write the report as one page that needs nothing else"
    )
    add_format_argument(parser, "text", "json")


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    add_column_arguments(parser)
    parser.add_argument("--weak", metavar="MODEL", help="the weak model of the routing metrics")
    parser.add_argument("--strong", metavar="MODEL", help="the strong model of the routing metrics")
    parser.add_argument(
        "--seed", type=int, default=1, help="of everything that is drawn (default: %(default)s)"
    )


def add_column_arguments(parser: argparse.ArgumentParser) -> None:
    """Options for facts that a log does not hold, or holds under another name."""
    parser.add_argument(
        "--map",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=COLUMN",
        help=(
            "which column is which fact, time, tokens.input, tokens.output, tokens.cached, key or score.MODEL"
        ),
    )
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="FACT=VALUE", help="a fact of every row"
    )
    parser.add_argument(
        "--start",
        default="2024-01-01T00:00:00Z",
        metavar="TIME",
        help="the instant of time 0 where a log counts seconds (default: %(default)s, a Monday)",
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    policies = load_policies(
        [arguments.config, *([arguments.against] if arguments.against else [])], terminal
    )
    if policies is None:
        return COULD_NOT_RUN
    from engine.replay.report import replay as replayed

    options = log_options(arguments, policies[0][1])
    simulated = None if arguments.budgets is None else arguments.budgets == "simulated"
    options = replace(options, simulated=simulated, rounded=arguments.charges == "booked")
    progress = progress_of(terminal)
    report = replayed(Path(arguments.log), policies, options, progress)
    if progress is not None:
        terminal.err.write("\r\x1b[K")
    if arguments.html:
        from engine.replay.page import page

        write_page(Path(arguments.html), page(report))
    if arguments.format == "json":
        terminal.say(json.dumps(report.to_json(), indent=1))
    else:
        from engine.commands.replay_text import replay_text

        terminal.say(replay_text(report))
    return 0


def load_policies(folders: list[str | None], terminal: Terminal) -> "list[tuple[str, Policy]] | None":
    """Each folder's name and policy, or None after the errors are printed. Raises ConfigurationError."""
    from engine.language.diagnostics import Problems
    from engine.policy import find_folder, load

    environment = Environment.read(os.environ)
    loaded = []
    for folder in folders:
        problems = Problems()
        path = find_folder(folder, environment.config_dir)
        policy = load(path, problems)
        if policy is None:
            tell(problems, terminal)
            terminal.note(summary(problems))
            return None
        loaded.append((path, policy))
    short = [path.resolve().name for path, _ in loaded]
    alike = len(set(short)) < len(short)
    return [(str(path) if alike else path.resolve().name, policy) for path, policy in loaded]


def log_options(arguments: argparse.Namespace, policy: "Policy") -> "Options":
    """The options of a log and of its scores. Raises InvalidFact, UnreadableLog."""
    options = column_options(arguments, policy)
    if (arguments.weak is None) != (arguments.strong is None):
        from engine.replay.errors import UnreadableLog

        raise UnreadableLog("--weak and --strong are given together")
    pair = None if arguments.weak is None else (arguments.weak, arguments.strong)
    return replace(options, pair=pair, seed=arguments.seed)


def column_options(arguments: argparse.Namespace, policy: "Policy") -> "Options":
    """The options of a log's columns. Raises InvalidFact, UnreadableLog."""
    from datetime import datetime

    from engine.commands.fact_arguments import given_facts
    from engine.replay.errors import UnreadableLog
    from engine.replay.report import Options

    try:
        start = datetime.fromisoformat(arguments.start)
    except ValueError:
        raise UnreadableLog(f"--start {arguments.start!r} is no date such as 2026-01-31T08:00:00Z") from None
    given = given_facts(arguments.set, policy.names)
    if start.tzinfo is None:
        from datetime import UTC

        start = start.replace(tzinfo=UTC)
    return Options(tuple(arguments.map), given, start)


def progress_of(terminal: Terminal) -> "Callable[[int], None] | None":
    """A function that shows the progress on a terminal; None without one."""
    if not terminal.err.isatty():
        return None
    began = time.monotonic()

    def report(rows: int) -> None:
        seconds = max(time.monotonic() - began, 1e-9)
        terminal.err.write(f"\r{rows:,} rows, {rows / seconds:,.0f} a second\x1b[K")
        terminal.err.flush()

    return report


def write_page(path: Path, text: str) -> None:
    """Writes a page. Raises UnreadableLog when it cannot."""
    from engine.replay.errors import UnreadableLog

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnreadableLog(f"cannot write {path}: {error.strerror}") from None
