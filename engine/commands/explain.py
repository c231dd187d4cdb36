"""`engine explain`: the decision for one task, or a file of tasks, and why it fell so."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.commands.env_file import add_env_file_argument, apply_env_file
from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.decision.explanation import Explanation
    from engine.language.checked_policy import FactValue
    from engine.policy import Policy

SUMMARY = "show which model a task gets, and why"
DESCRIPTION = """Decides one task and says why. Facts are written FACT=VALUE and `task.` may be left out:
engine explain type=planning criticality=high labels=pii,secret mode=balanced budget.daily.used=85%%"""
REFUSED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "facts", nargs="*", metavar="FACT=VALUE", help="what is known; the rest takes its default"
    )
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    parser.add_argument("--full", action="store_true", help="every model, fact and step, not just one glance")
    parser.add_argument(
        "--why-not", metavar="MODEL", help="what keeps this model from being chosen, and the smallest change"
    )
    parser.add_argument(
        "--batch", metavar="FILE", help="decide one JSON object of facts a line (- for standard input)"
    )
    parser.add_argument(
        "--live", action="store_true", help="with this machine's mode, keys and clock for what is not given"
    )
    add_env_file_argument(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    apply_env_file(arguments)
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    if arguments.batch:
        return _batch(policy, arguments, terminal)
    explanation, addresses = _explain(policy, arguments)
    if arguments.why_not:
        return _why_not(policy, explanation, arguments, terminal)
    if arguments.format == "json":
        terminal.say(json.dumps(explanation.to_json(), indent=1))
    else:
        from engine.decision.explanation_text import explanation_text

        terminal.say(explanation_text(explanation, full=arguments.full))
        for name, address in addresses.items():
            terminal.say(f"{name}: {address}")
    return 0 if explanation.chain else REFUSED


def _explain(policy: "Policy", arguments: argparse.Namespace) -> "tuple[Explanation, dict[str, str]]":
    """The explanation, and with `--live` where each provider is."""
    from engine.commands.fact_arguments import given_facts

    given = given_facts(arguments.facts, policy.names)
    if arguments.live:
        import asyncio

        return asyncio.run(_live_explanation(policy, given))
    return policy.explain(given, dict.fromkeys(given, "command line")), {}


async def _live_explanation(
    policy: "Policy", given: "Mapping[str, FactValue]"
) -> "tuple[Explanation, dict[str, str]]":
    """The decision with this machine's state: keys, ledger, clock, and the health of the providers."""
    from engine.model_router import ModelRouter

    mode = given.get("mode")
    async with ModelRouter.of(policy, mode=mode if isinstance(mode, str) else None) as router:
        await router.health_check()
        return router.explain(given), router.addresses()


def _why_not(
    policy: "Policy", explanation: "Explanation", arguments: argparse.Namespace, terminal: Terminal
) -> int:
    from engine.analysis.why_not import why_not
    from engine.commands.why_not_text import why_not_json, why_not_text
    from engine.language.wording import listed, nearest

    keys = [model.key for model in policy.catalogue.models]
    if arguments.why_not not in keys:
        near = nearest(arguments.why_not, keys)
        hint = f"did you mean {near}" if near else f"models are {listed(keys, most=30)}"
        terminal.note(f"engine explain: there is no model {arguments.why_not!r}; {hint}")
        return COULD_NOT_RUN
    answer = why_not(policy.explainer, explanation, arguments.why_not)
    if arguments.format == "json":
        terminal.say(json.dumps(why_not_json(answer, explanation), indent=1))
    else:
        terminal.say(why_not_text(answer, explanation))
    return 0


def _batch(policy: "Policy", arguments: argparse.Namespace, terminal: Terminal) -> int:
    """One explanation a line, in order; a bad line gives an error in its place."""
    if arguments.facts or arguments.why_not or arguments.live:
        terminal.note(
            "engine explain: --batch takes its facts from the file; give no FACT=VALUE, --why-not or --live "
            "with it"
        )
        return COULD_NOT_RUN
    if arguments.batch == "-":
        return _answer_lines(policy, sys.stdin.buffer, terminal)
    try:
        with open(arguments.batch, "rb") as lines:
            return _answer_lines(policy, lines, terminal)
    except OSError as error:
        from engine.language.diagnostics import visible

        reason = (error.strerror or "unknown error").lower()
        terminal.note(f"engine explain: cannot read {visible(arguments.batch)}: {reason}")
        return COULD_NOT_RUN


def _answer_lines(policy: "Policy", lines: Iterable[bytes], terminal: Terminal) -> int:
    from engine.commands.fact_arguments import facts_of_json
    from engine.decision.facts import InvalidFact

    code = 0
    dumps: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
    names = policy.names
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            written = json.loads(line)
            if not isinstance(written, dict):
                raise InvalidFact("a line is a JSON object of facts")
            given = facts_of_json(written, names)
            answer = policy.explain(given, dict.fromkeys(given, "batch")).to_json()
        except InvalidFact as error:
            code, answer = COULD_NOT_RUN, {"version": 1, "error": f"line {number}: {error}"}
        except (ValueError, RecursionError):  # no JSON, no UTF-8, or a number of thousands of digits
            code, answer = COULD_NOT_RUN, {"version": 1, "error": f"line {number}: this is no JSON object"}
        terminal.out.write(dumps(answer) + "\n")
    return code
