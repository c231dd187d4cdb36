"""`engine models`: every model of the catalogue, with what a policy can ask of it."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from engine.commands.env_file import add_env_file_argument, add_probe_cloud_argument, apply_env_file
from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.config.catalogue import Model
    from engine.policy import Policy

SUMMARY = "list the models of the catalogue"
DESCRIPTION = "Lists every model of models.yaml with its price, window, tiers and tools."
COLUMNS = ("model", "provider", "where", "price", "context", "quality", "latency", "tools", "capabilities")
LIVE_COLUMNS = ("model", "provider", "where", "context", "tools", "loaded", "eligible", "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    parser.add_argument(
        "--live", action="store_true", help="ask providers what they have, and say what may be chosen now"
    )
    add_env_file_argument(parser)
    add_probe_cloud_argument(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    apply_env_file(arguments)
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    if arguments.live:
        return _live(policy, arguments, terminal)
    models = policy.catalogue.models
    if arguments.format == "json":
        from engine.config.model_values import model_values

        terminal.say(
            json.dumps({"version": 1, "models": [model_values(model) for model in models]}, indent=1)
        )
    else:
        from engine.commands.tables import table

        terminal.say(table(COLUMNS, [_row(model) for model in models], right={"price", "context"}))
        terminal.say("\nprice: US dollars per million tokens, blended 3 input to 1 output")
    return 0


def _live(policy: "Policy", arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.model_router import ModelRouter

    router = ModelRouter.of(policy)
    rows = router.get_available_models(probe_cloud=arguments.probe_cloud)
    if arguments.format == "json":
        terminal.say(json.dumps({"version": 1, "models": rows}, indent=1))
    else:
        from engine.commands.tables import table

        terminal.say(table(LIVE_COLUMNS, [_live_row(row) for row in rows], right={"context"}))
        terminal.say("")
        for name, address in router.addresses().items():
            terminal.say(f"{name}: {address}")
    return 0


def _live_row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["model"],
        row["provider"],
        row["locality"],
        "" if row["max_context"] is None else f"{row['max_context']:,}",
        row["tools"],
        "warm" if row["warm"] else "",
        "yes" if row["eligible"] else "no",
        row["why_not"] or "",
    )


def _row(model: "Model") -> tuple[str, ...]:
    price = (
        "local"
        if model.locality == "local"
        else "unknown"
        if model.price is None
        else f"${float(model.price):.2f}"
    )
    return (
        model.key,
        model.provider,
        model.locality,
        price,
        f"{model.max_context:,}",
        model.quality,
        model.latency,
        model.tools,
        ", ".join(model.capabilities),
    )
