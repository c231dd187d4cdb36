"""`engine usage`: money spent and saved, against every limit; checks and exports the ledger."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from engine.commands.env_file import add_env_file_argument, apply_env_file
from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Style, Terminal

if TYPE_CHECKING:
    from engine.budget import Ledger

SUMMARY = "show what was spent and saved, and what the budgets have left"
DESCRIPTION = """Shows today's and this month's spending by provider and model, the limits of policies.yaml
and of the environment, and what local models saved. --verify recomputes the books from their rows; --export
writes every attempt."""
BROKEN_BOOKS = 1
BAR = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    parser.add_argument("--verify", action="store_true", help="recompute every total and every charge")
    parser.add_argument("--export", choices=("csv", "jsonl"), help="write every attempt to standard output")
    add_env_file_argument(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    apply_env_file(arguments)
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    from engine.model_router import ModelRouter

    router = ModelRouter.of(policy)
    if arguments.export:
        return _export(router.ledger, arguments.export, terminal)
    if arguments.verify:
        return _verify(router.ledger, arguments, terminal)
    summary = router.get_usage_summary()
    if arguments.format == "json":
        terminal.say(json.dumps({"version": 1, **summary}, indent=1))
    else:
        _stream(summary, terminal)
    return 0


def _stream(summary: dict[str, Any], terminal: Terminal) -> None:
    from engine.commands.tables import table

    for name in ("daily", "monthly"):
        period = summary[name]
        title = "today" if name == "daily" else "this month"
        share = period["local_share"]
        local = "" if share is None else f", {share:.0%} of them local"
        terminal.say(
            f"{title}: ${float(period['spent_usd']):.4f} for {period['calls']} calls{local}; "
            f"saved ${float(period['saved_usd']):.4f} against all-cloud; resets {period['resets_at']}"
        )
    closed = [limit["budget"] for limit in summary["limits"] if limit["closed"]]
    for account in closed:
        terminal.say(f"{account} is closed after a breach: engine ledger reopen {account}")
    limited = [limit for limit in summary["limits"] if limit["limit_usd"] is not None]
    if limited:
        terminal.say("")
        width = max(len(limit["budget"]) for limit in limited)
        for limit in limited:
            terminal.say(_bar(limit, width, terminal))
    models = summary["monthly"]["models"]
    if models:
        rows = [
            (
                model["model"],
                model["provider"],
                model["locality"],
                str(model["calls"]),
                f"{model['input_tokens']:,}",
                f"{model['output_tokens']:,}",
                f"${float(model['spent_usd']):.4f}",
            )
            for model in models
        ]
        titles = ("model", "provider", "where", "calls", "tokens in", "tokens out", "spent")
        terminal.say("\n" + table(titles, rows, right={"calls", "tokens in", "tokens out", "spent"}))


def _bar(limit: dict[str, Any], width: int, terminal: Terminal) -> str:
    used = limit["used_percent"]
    held = float(limit["held_usd"])
    full = min(BAR, int(used * BAR / 100))
    style: Style = "red" if used >= 100 or limit["closed"] else "yellow" if used >= 80 else "green"
    bar = terminal.styled("#" * full, style, terminal.out) + "." * (BAR - full)
    amounts = f"${float(limit['spent_usd']):.2f} of ${float(limit['limit_usd']):.2f} ({used:.0f}%)"
    return f"{limit['budget'].ljust(width)}  [{bar}]  {amounts}" + (
        (f", ${held:.2f} held" if held else "") + (", closed after a breach" if limit["closed"] else "")
    )


def _verify(ledger: "Ledger", arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.budget.usage import verify

    verdict = verify(ledger)
    findings = [
        {
            "subject": finding.subject,
            "problem": finding.problem,
            "expected": finding.expected,
            "found": finding.found,
        }
        for finding in verdict.findings
    ]
    looked_at = f"{verdict.attempts} attempts, {verdict.corrections} corrections, {verdict.windows} windows"
    if arguments.format == "json":
        answer = {"version": 1, "ok": verdict.ok, "looked_at": looked_at, "findings": findings}
        terminal.say(json.dumps(answer, indent=1))
    else:
        for finding in findings:
            terminal.say(
                f"{finding['subject']}: {finding['problem']}: expected {finding['expected']}, found "
                f"{finding['found']}"
            )
        terminal.say(f"{looked_at}: {'all is right' if verdict.ok else f'{len(findings)} findings'}")
    return 0 if verdict.ok else BROKEN_BOOKS


def _export(ledger: "Ledger", form: str, terminal: Terminal) -> int:
    from engine.budget.usage import export_rows, write_csv, write_jsonl

    rows = export_rows(ledger)
    (write_csv if form == "csv" else write_jsonl)(rows, terminal.out or sys.stdout)
    return 0
