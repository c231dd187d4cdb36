"""`engine health`: whether each provider answers, how fast, and with which models."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from engine.commands.env_file import add_env_file_argument, add_probe_cloud_argument, apply_env_file
from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.policy import Policy

SUMMARY = "ask every provider whether it is up"
DESCRIPTION = """Asks every provider of models.yaml at once whether it is up, without any prompt and at no
cost. The exit code is 1 when one is down or misconfigured."""
COLUMNS = ("provider", "where", "address", "status", "ms", "version", "models", "")
NOT_UP = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    add_env_file_argument(parser)
    add_probe_cloud_argument(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    import asyncio

    apply_env_file(arguments)
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    rows, ledger = asyncio.run(_checked(policy, probe_cloud=arguments.probe_cloud))
    if arguments.format == "json":
        terminal.say(json.dumps({"version": 1, "providers": rows, "ledger": ledger}, indent=1))
    else:
        from engine.commands.tables import table
        from engine.execution.ledger_report import OPEN

        terminal.say(table(COLUMNS, [_row(name, row) for name, row in rows.items()], right={"ms"}))
        if ledger["said"] != OPEN:
            terminal.say(f"ledger: {ledger['said']}; next: {', '.join(ledger['needs'] or ['engine usage'])}")
    return NOT_UP if any(row["status"] in ("down", "misconfigured") for row in rows.values()) else 0


async def _checked(
    policy: "Policy", *, probe_cloud: bool
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    from engine.execution.ledger_report import ledger_report
    from engine.model_router import ModelRouter

    async with ModelRouter.of(policy) as router:
        report = ledger_report(lambda: router.ledger)
        rows = await router.health_check(probe_cloud=probe_cloud)
        return rows, {name: report[name] for name in ("state", "said", "needs")}


def _row(name: str, row: dict[str, Any]) -> tuple[str, ...]:
    latency = row["latency_s"]
    models = row["models"]
    names = ", ".join(models[:4]) + (f" and {len(models) - 4} more" if len(models) > 4 else "")
    return (
        name,
        row["locality"],
        row["address"],
        row["status"],
        "" if latency is None else f"{latency * 1000:.0f}",
        row["version"] or "",
        names,
        row["error"] or "",
    )
