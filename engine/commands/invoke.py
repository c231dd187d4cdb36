"""`engine invoke`: one call through the router; with --dry-run it decides and calls nothing."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.commands.env_file import add_env_file_argument, apply_env_file
from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.language.checked_policy import FactValue
    from engine.model_router import ModelRouter
    from engine.task_profiles import TaskProfile

SUMMARY = "send one prompt through the router"
DESCRIPTION = """Decides, calls, falls back along the decided chain, and prints the answer. Facts are written
FACT=VALUE: engine invoke "Summarise RFC 2119" type=summarization criticality=high --stream PROMPT - reads
standard input. The answer goes to standard output, everything else to standard error."""
REFUSED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="what to ask; - reads standard input")
    parser.add_argument(
        "facts", nargs="*", metavar="FACT=VALUE", help="what is known of the task, and mode=NAME"
    )
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    parser.add_argument(
        "--dry-run", action="store_true", help="call nothing; say what would be called and at what cost"
    )
    parser.add_argument("--stream", action="store_true", help="print the answer as it comes")
    parser.add_argument(
        "--max-tokens",
        type=int,
        metavar="N",
        help="bound of the answer (default: budgets.default_max_output, else 1000)",
    )
    parser.add_argument("--system", metavar="TEXT", help="a system message before the prompt")
    parser.add_argument("--deadline", type=float, metavar="S", help="seconds for the whole chain")
    add_env_file_argument(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    import asyncio

    from engine.budget import BudgetError
    from engine.commands.fact_arguments import given_facts
    from engine.model_router import ModelRouter, NoEligibleModel

    apply_env_file(arguments)
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    given = given_facts(arguments.facts, policy.names)
    task = _task(given)
    mode = given.get("mode")
    router = ModelRouter.of(
        policy, mode=None if mode is None else str(mode), dry_run=True if arguments.dry_run else None
    )
    try:
        result = asyncio.run(_invoked(router, task, arguments, terminal))
    except NoEligibleModel as refusal:
        terminal.note(str(refusal))
        return REFUSED
    except BudgetError as refusal:
        terminal.note(f"engine invoke: {refusal}")
        return REFUSED
    if arguments.format == "json":
        terminal.say(json.dumps({"version": 1, **result}, indent=1, default=str))
    else:
        if not arguments.stream:
            terminal.say(result["content"])
        elif result["content"]:
            terminal.say("")
        for call in result["tool_calls"]:
            terminal.say(json.dumps(call))
        terminal.note(_told(result))
    return 0


async def _invoked(
    router: "ModelRouter", task: "TaskProfile", arguments: argparse.Namespace, terminal: Terminal
) -> dict[str, Any]:
    prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    messages = [{"role": "system", "content": arguments.system}] if arguments.system else []
    messages.append({"role": "user", "content": prompt})
    async with router:
        if not arguments.stream:
            return await router.select_and_invoke(
                task, messages, max_tokens=arguments.max_tokens, deadline_s=arguments.deadline
            )
        result: dict[str, Any] = {}
        pieces = router.stream(task, messages, max_tokens=arguments.max_tokens, deadline_s=arguments.deadline)
        async for piece in pieces:
            if arguments.format == "text":
                terminal.out.write(piece["content"])
                terminal.out.flush()
            result = piece["result"] or result
        return result


def _task(given: "Mapping[str, FactValue]") -> "TaskProfile":
    """The profile that the facts describe. Raises InvalidFact for a fact that is no property of a task."""
    from engine.decision.facts import InvalidFact
    from engine.task_profiles import PROFILE_FIELDS, TaskProfile

    other = sorted(given.keys() - PROFILE_FIELDS.keys() - {"mode"})
    if other:
        raise InvalidFact(f"{other[0]} cannot be given here: a real call takes it from this machine")
    if "task.type" not in given:
        raise InvalidFact("task.type must be given, such as type=qa")
    values: dict[str, Any] = {
        PROFILE_FIELDS[name]: value for name, value in given.items() if name in PROFILE_FIELDS
    }
    return TaskProfile(**values)


def _told(result: dict[str, Any]) -> str:
    usage = result["usage"]
    attempts = [attempt for attempt in result["attempts"] if attempt["attempt_id"]]
    tries = f", after {len(attempts)} attempts" if len(attempts) > 1 else ""
    return (
        f"{result['model']} ({result['provider']}), {usage['input_tokens']} tokens in, "
        f"{usage['output_tokens']} out, "
        f"${result['cost_usd']:f}{tries}; decision {result['decision_id']}"
    )
