"""A ledger -> how it stands, as plain values.

A closed account, a spent budget and a ledger that cannot be had are told apart, each with the command that
helps.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from engine.budget import Ledger, LedgerReplaced, LedgerUnavailable
from engine.budget.usage import summarise
from engine.execution.usage_values import usage_values

OPEN = "the ledger is open"


def ledger_report(ledger: Callable[[], Ledger]) -> dict[str, Any]:
    """`state` is open, closed, replaced or unavailable; `needs` are the commands that a person should run.

    Never raises: `ledger` may raise LedgerUnavailable.
    """
    try:
        opened = ledger()
        limits = usage_values(summarise(opened))["limits"]
        events = opened.events()
    except LedgerUnavailable as error:
        is_replaced = isinstance(error, LedgerReplaced)
        return {
            "state": "replaced" if is_replaced else "unavailable",
            "said": str(error),
            "accounts": [],
            "events": [],
            "needs": ["engine ledger adopt" if is_replaced else "engine doctor"],
        }
    accounts = [{**limit, "state": _state(limit), "command": _command(limit)} for limit in limits]
    closed = [account for account in accounts if account["state"] == "closed"]
    return {
        "state": "closed" if closed else "open",
        "said": _said(accounts),
        "accounts": accounts,
        "events": [
            {
                "at": datetime.fromtimestamp(event.at_us // 1_000_000, UTC).isoformat(),
                "action": event.action,
                "subject": event.subject,
                "detail": event.detail,
            }
            for event in events
        ],
        "needs": [each["command"] for each in closed],
    }


def _said(accounts: list[dict[str, Any]]) -> str:
    named = {
        state: ", ".join(account["budget"] for account in accounts if account["state"] == state)
        for state in ("closed", "spent")
    }
    return "; ".join(f"{state}: {names}" for state, names in named.items() if names) or OPEN


def _state(limit: dict[str, Any]) -> str:
    if limit["closed"]:
        return "closed"
    if limit["limit_usd"] is None or limit["used_percent"] < 100:
        return "open"
    return "spent" if float(limit["limit_usd"]) else "zero"


def _command(limit: dict[str, Any]) -> str | None:
    commands = {"closed": f"engine ledger reopen {limit['budget']}", "spent": "engine usage"}
    return commands.get(_state(limit))
