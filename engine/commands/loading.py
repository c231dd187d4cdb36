"""Shared by most commands: common options, and loading a policy folder or printing its problems."""

import argparse
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.commands.terminal import Style, Terminal
from engine.environment import Environment

if TYPE_CHECKING:
    from engine.language.diagnostics import Diagnostic
    from engine.policy import Policy

COULD_NOT_RUN = 2
COLOURS: dict[str, Style] = {
    "error": "red",
    "warning": "yellow",
    "info": "blue",
    "note": "bold",
    "place": "dim",
    "caret": "red",
}


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="DIR",
        help=(
            "the policy folder (default: $ENGINE_CONFIG_DIR, ./config, ./policies, then the bundled default)"
        ),
    )


def add_format_argument(parser: argparse.ArgumentParser, *formats: str) -> None:
    parser.add_argument(
        "--format", choices=formats, default=formats[0], help="how to print (default: %(default)s)"
    )


def load_policy(arguments: argparse.Namespace, terminal: Terminal) -> "Policy | None":
    """The policy of the folder in force, or None after its errors are printed; the command then exits with 2.

    Raises ConfigurationError when there is no such folder.
    """
    from engine.language.diagnostics import Problems
    from engine.policy import find_folder, load

    environment = Environment.read(os.environ)
    problems = Problems()
    policy = load(find_folder(arguments.config, environment.config_dir), problems)
    if policy is None:
        tell(problems, terminal)
        terminal.note(summary(problems))
    return policy


def tell(problems: "Iterable[Diagnostic]", terminal: Terminal, *, as_answer: bool = False) -> None:
    """Prints every diagnostic with its snippet: on standard error, or as the answer of a command that reports
    them."""
    from engine.language.rendering import render

    stream = terminal.out if as_answer else terminal.err

    def style(part: str, text: str) -> str:
        colour = COLOURS.get(part)
        return terminal.styled(text, colour, stream) if colour else text

    for problem in problems:
        stream.write(render(problem, style=style) + "\n\n")


def summary(problems: "Iterable[Diagnostic]") -> str:
    """`2 errors, 1 warning`."""
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem.level.word] = counts.get(problem.level.word, 0) + 1
    words = [f"{count} {word}{'s' if count > 1 else ''}" for word, count in counts.items()]
    return ", ".join(words) or "no problems"
