"""`engine tree`: a picture of what leaves the house, and which rule says so."""

import argparse
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.decision.tree_drawing import Heading
    from engine.decision.tree_outline import Outline, Row
    from engine.language.checked_policy import FactValue, Rule
    from engine.policy import Policy

SUMMARY = "draw what leaves the house, and which rule says so"
DESCRIPTION = """Draws the compiled policy as a tree: where each task goes (here; here, then cloud; out;
refused), and the rule that decides so. By default the surroundings are at rest: everything is up and
nothing is spent. FACT=VALUE draws the slice in which that fact has that value; --all leaves every fact open.
Text takes at most two screens, and says how to see the rest; json holds every chain with its scores."""

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
SCREENS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("facts", nargs="*", metavar="FACT=VALUE", help="draw only this slice")
    add_config_argument(parser)
    add_format_argument(parser, "text", "html", "svg", "mermaid", "dot", "json")
    parser.add_argument("--depth", type=int, metavar="N", help="draw no more than N questions deep")
    parser.add_argument(
        "--leaves",
        choices=("outcomes", "models", "chains"),
        default="outcomes",
        help="what is drawn apart: where a task goes, the first model too, or the whole chain "
        "(default: %(default)s)",
    )
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
    from engine.decision.facts import DEFAULTS, INDEX
    from engine.decision.outcome_tree import outcome_tree
    from engine.decision.tree_html import html
    from engine.decision.tree_outline import Outline
    from engine.decision.tree_svg import svg

    given = given_facts(arguments.facts, policy.names)
    fixed: dict[str, object] = {}
    if not arguments.all:
        fixed = {fact: DEFAULTS[place] for fact, place in INDEX.items() if fact.startswith(AT_REST)}
    fixed.update(given)
    try:
        if arguments.format == "json":
            root = policy.tree.drawn(fixed, scores=True)
            terminal.say(json.dumps(tree_drawing.json_values(root, policy.compiled.scale), indent=1))
            return 0
        outline = Outline(outcome_tree(policy.compiled, policy.checked, fixed), arguments.leaves)
    except TooManyNodes:
        terminal.note(
            "engine tree: the tree is too large to draw whole; fix a fact, such as mode=NAME or type=NAME"
        )
        return COULD_NOT_RUN
    heading = _heading(policy, given, arguments.all)
    if arguments.format == "text":
        terminal.say(_fitting_text(outline, heading, arguments.depth))
        return 0
    rows = outline.rows(arguments.depth)
    match arguments.format:
        case "mermaid":
            terminal.say(tree_drawing.mermaid(rows))
        case "dot":
            terminal.say(tree_drawing.dot(rows))
        case "svg":
            terminal.say(svg(rows, heading, lambda rule: _address(policy, rule)))
        case _:
            terminal.say(html(rows, heading))
    return 0


def _fitting_text(outline: "Outline", heading: "Heading", depth: int | None) -> str:
    """The text of the tree; without a depth as deep as two screens hold, and how to see the rest."""
    from engine.decision.tree_drawing import text
    from engine.decision.tree_outline import depth_of

    rows = outline.rows(depth)
    drawn, whole = text(rows, heading), depth_of(rows)
    if depth is not None:
        return drawn
    most = SCREENS * shutil.get_terminal_size((80, 40)).lines - 2
    for less in range(whole, 0, -1):
        shown: list[Row] = outline.rows(less)
        drawn = text(shown, heading)
        if drawn.count("\n") < most:
            break
    if less == whole:
        return drawn
    return f"{drawn}\n\n{less} of {whole} questions deep; --depth {whole} shows all {len(rows)} rows"


def _heading(policy: "Policy", given: "Mapping[str, FactValue]", everything: bool) -> "Heading":
    from engine.decision.facts import format_value
    from engine.decision.tree_drawing import Heading

    held = [f"{fact} {format_value(value)}" for fact, value in given.items()]
    if not everything:
        held.append("everything up, nothing spent, no needs, Monday noon (--all asks about these too)")
    return Heading(_name_of(policy), _today(), tuple(held))


def _today() -> str:
    """The day; that of SOURCE_DATE_EPOCH where it is set, so that a picture can be made again."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now().astimezone()
    return now.date().isoformat()


def _name_of(policy: "Policy") -> str:
    """The folder as people call it: its path below this folder, or else its name."""
    folder = Path(policy.folder.name).resolve()
    return _from_here(folder) or folder.name


def _from_here(path: Path) -> str | None:
    """A path below the working folder; None for others, which would tell where this machine keeps things."""
    here = Path.cwd().resolve()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) and path != here else None


def _address(policy: "Policy", rule: "Rule") -> str | None:
    """A rule's line, from a picture that is saved where the command runs."""
    from engine.bundled import bundled_path
    from engine.language.checked_policy import Origin

    name = rule.span.source.name
    if rule.origin is Origin.BASE:
        file = _from_here(bundled_path("policies", name).resolve())
    else:
        file = f"{_name_of(policy)}/{name}"
    return None if file is None else f"{file}#L{rule.span.line}"
