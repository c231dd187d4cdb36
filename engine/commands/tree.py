"""`engine tree`: a picture of the compiled decision tree."""

import argparse
import json
from typing import TYPE_CHECKING

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.policy import Policy

SUMMARY = "draw the compiled decision tree"
DESCRIPTION = """Draws the compiled decision tree. By default the surroundings are at rest: everything is up
and nothing is spent. FACT=VALUE draws the slice in which that fact has that value; --all leaves every fact
open."""

AT_REST = (
    "budget.",
    "provider.",
    "models.",
    "task.bucket",
    "task.needs",
    "session.",
    "agent.",
    "group.",
    "clock.",
)
MOST_LINES = 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("facts", nargs="*", metavar="FACT=VALUE", help="draw only this slice")
    add_config_argument(parser)
    add_format_argument(parser, "text", "mermaid", "dot", "svg", "json")
    parser.add_argument("--depth", type=int, metavar="N", help="draw no more than N questions deep")
    parser.add_argument(
        "--all", action="store_true", help="leave every fact open, health, budget and clock too"
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    if arguments.depth is not None and arguments.depth < 1:
        terminal.note("engine tree: --depth takes a whole number from 1 up")
        return COULD_NOT_RUN
    return _draw(policy, arguments, terminal)


def _draw(policy: "Policy", arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.commands.fact_arguments import given_facts
    from engine.decision import tree_drawing
    from engine.decision.decision_tree import TooManyNodes
    from engine.decision.facts import DEFAULTS, INDEX, format_value

    given = given_facts(arguments.facts, policy.names)
    fixed: dict[str, object] = {}
    if not arguments.all:
        fixed = {fact: DEFAULTS[place] for fact, place in INDEX.items() if fact.startswith(AT_REST)}
    fixed.update(given)
    try:
        root = policy.tree.drawn(fixed, scores=arguments.format == "json")
    except TooManyNodes:
        terminal.note(
            "engine tree: the tree is too large to draw whole; fix a fact, such as mode=NAME or type=NAME"
        )
        return COULD_NOT_RUN
    match arguments.format:
        case "json":
            terminal.say(json.dumps(tree_drawing.json_values(root, policy.compiled.scale), indent=1))
        case "mermaid":
            terminal.say(tree_drawing.mermaid(root, arguments.depth))
        case "dot":
            terminal.say(tree_drawing.dot(root, arguments.depth))
        case "svg":
            terminal.say(tree_drawing.svg(root, arguments.depth))
        case _:
            parts = [f"{fact} {format_value(value)}" for fact, value in given.items()]
            parts += (
                []
                if arguments.all
                else ["everything up, nothing spent, Monday noon (--all asks about these too)"]
            )
            if parts:
                terminal.say(f"with {'; '.join(parts)}\n")
            terminal.say(tree_drawing.text(root, arguments.depth))
    return 0
