"""`engine ledger`: how the books stand, and what only a person decides about them."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.env_file import add_env_file_argument, apply_env_file
from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal
from engine.language.diagnostics import visible

if TYPE_CHECKING:
    from engine.budget import Ledger
    from engine.budget.reconciliation import Difference

SUMMARY = "show how the ledger stands; reopen, reconcile, adopt it, or accept its clock"
DESCRIPTION = """`show` tells a closed account, a spent budget and a ledger that cannot be had apart, each
with the command that helps. `reopen ACCOUNT` admits again on an account that a breach closed. `accept-clock`
takes the clock as it is after a jump. `reconcile FILE` corrects the books to a provider's own report (CSV or
JSON lines). `adopt` goes on with the ledger that is there after the noted one was lost. Each is written down
in the ledger."""
NEEDS_A_PERSON = 1
ACTIONS = ("show", "reopen", "accept-clock", "reconcile", "adopt")
_OF_ACTION = {"reopen": "ACCOUNT", "reconcile": "FILE"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument("subject", nargs="?", help="ACCOUNT of `reopen`, FILE of `reconcile`")
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    parser.add_argument(
        "--dry-run", action="store_true", help="reconcile: show the differences, book nothing"
    )
    add_env_file_argument(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.model_router import ModelRouter

    wanted = _OF_ACTION.get(arguments.action)
    if (wanted is None) is not (arguments.subject is None):
        terminal.note(
            f"engine ledger {arguments.action}: {f'name the {wanted}' if wanted else 'takes no name'}"
        )
        return COULD_NOT_RUN
    apply_env_file(arguments)
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    answer = _answer(ModelRouter.of(policy).ledger, arguments)
    if arguments.format == "json":
        terminal.say(json.dumps({"version": 1, "action": arguments.action, **answer}, indent=1))
    else:
        terminal.say("\n".join(visible(line) for line in _lines(answer)))
    return NEEDS_A_PERSON if answer["needs"] else 0


def _answer(ledger: "Ledger", arguments: argparse.Namespace) -> dict[str, Any]:
    """What was done and what it came to; `needs` are the commands that a person should run next."""
    from engine.execution.ledger_report import ledger_report

    match arguments.action:
        case "show":
            return ledger_report(lambda: ledger)
        case "reopen":
            opened = ledger.reopen(arguments.subject)
            said = f"{arguments.subject} admits again" if opened else f"{arguments.subject} was not closed"
            return {"said": said, "changed": opened, "needs": []}
        case "accept-clock":
            ledger.accept_clock()
            return {"said": "the clock is taken as it is", "changed": True, "needs": []}
        case "adopt":
            identity = ledger.adopt()
            said = f"the ledger {identity.ledger_id} is adopted; what it holds counts from now on"
            return {"said": said, "changed": True, "needs": []}
        case _:
            return _reconciled(ledger, Path(arguments.subject), dry_run=arguments.dry_run)


def _reconciled(ledger: "Ledger", path: Path, *, dry_run: bool) -> dict[str, Any]:
    from engine.budget.reconciliation import read_report

    differences = ledger.reconcile_report(read_report(path), path.name, dry_run=dry_run)
    rows = [_difference(each) for each in differences]
    unexplained = sum(1 for row in rows if row["problem"] or row["left_usd"] != "0")
    corrected = sum(1 for row in rows if row["corrected_usd"] != "0")
    said = f"{len(rows)} rows, {corrected} corrected, {unexplained} unexplained"
    return {
        "said": f"{said}; nothing was booked" if dry_run else said,
        "changed": bool(corrected) and not dry_run,
        "rows": rows,
        "needs": ["engine usage --export csv"] if unexplained else [],
    }


def _difference(one: "Difference") -> dict[str, Any]:
    from engine.budget import usd

    row = one.row
    return {
        "line": row.line,
        "attempt_id": row.attempt_id,
        "date": None if row.date is None else row.date.isoformat(),
        "provider": row.provider,
        "model": row.model,
        "billed_usd": f"{usd(row.billed_micro_usd).normalize():f}",
        "booked_usd": f"{usd(one.booked_micro_usd).normalize():f}",
        "corrected_usd": f"{usd(one.corrected_micro_usd).normalize():f}",
        "left_usd": f"{usd(one.left_micro_usd).normalize():f}",
        "problem": one.problem,
    }


def _lines(answer: dict[str, Any]) -> list[str]:
    lines = [answer["said"]]
    for account in answer.get("accounts", []):
        limit = "no limit" if account["limit_usd"] is None else f"of ${account['limit_usd']}"
        line = f"{account['budget']}: ${account['spent_usd']} {limit}, ${account['held_usd']} held"
        state = account["state"]
        command = f": {account['command']}" if account["command"] else ""
        lines.append(line if state == "open" else f"{line}; {state}{command}")
    for row in answer.get("rows", []):
        name = row["attempt_id"] or f"{row['date']} {row['provider']} {row['model']}"
        line = f"line {row['line']}, {name}: billed ${row['billed_usd']}, booked ${row['booked_usd']}"
        if row["corrected_usd"] != "0":
            line += f", corrected by ${row['corrected_usd']}"
        if row["left_usd"] != "0":
            line += f", ${row['left_usd']} unexplained"
        lines.append(line + (f": {row['problem']}" if row["problem"] else ""))
    lines += [
        f"{event['at']} {event['action']} {event['subject']} {event['detail']}".rstrip()
        for event in answer.get("events", [])
    ]
    return lines + [f"next: {command}" for command in answer["needs"]]
