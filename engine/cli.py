"""Command-line arguments -> a command and its exit code.

Exit codes: 0 clean, answered, proved; 1 findings, a failed test, a refuted proof, a looser policy; 2 could
not run (usage, unreadable file, invalid configuration); 3 the decision is a refusal; 4 unknown (a proof
reached its cap).
"""

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence

from engine.commands.terminal import Terminal
from engine.errors import EngineError

COMMANDS = (
    "explain",
    "lint",
    "fmt",
    "test",
    "prove",
    "diff",
    "review",
    "comment",
    "show",
    "tree",
    "models",
    "health",
    "usage",
    "ledger",
    "sessions",
    "invoke",
    "replay",
    "tune",
    "scan",
    "doctor",
    "lsp",
    "mcp",
    "completion",
    "init",
)
COULD_NOT_RUN = 2


def run() -> int:
    """The program `engine`, in a process of its own."""
    # A command allocates much and drops little: looking for garbage while it loads, and once more over
    # everything when the interpreter ends, would be a fifth of what `engine explain` costs.
    gc.set_threshold(100_000, 20, 100)
    code = main()
    gc.freeze()
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    terminal = Terminal.standard(os.environ)
    parsed = parser(words).parse_args(words)
    try:
        code: int = parsed.run(parsed, terminal)
        terminal.out.flush()
    except EngineError as error:
        terminal.note(f"engine {parsed.command}: {error}")
        return COULD_NOT_RUN
    except BrokenPipeError:
        # The reader has gone (`| head`): nothing is wrong, and nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of all commands.

    Only the command that `words` begin with is imported, all when they name none.
    """
    top = argparse.ArgumentParser(
        prog="engine",
        description="Route LLM calls by a policy you can read, test and prove. Local first.",
        epilog="exit codes: 0 answered, 1 findings, 2 could not run, 3 refused, 4 unknown",
    )
    top.add_argument("--version", action=_Version)
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    named = [word for word in words[:1] if word in COMMANDS]
    for name in named or COMMANDS:
        command = importlib.import_module(f"engine.commands.{name}")
        sub = subparsers.add_parser(name, help=command.SUMMARY, description=command.DESCRIPTION)
        command.add_arguments(sub)
        # `engine completion` describes all commands, and no command may import this module.
        sub.set_defaults(run=command.run, all_commands=parser)
    return top


class _Version(argparse.Action):
    """Prints the version of the distribution, which is looked up only then."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("local-first-router")
        except PackageNotFoundError:
            found = "(a bare checkout, not installed)"
        sys.stdout.write(f"engine {found}\n")
        parser.exit()
