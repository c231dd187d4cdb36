"""`engine completion`: a script that teaches a shell the commands and their options."""

import argparse

from engine.commands.terminal import Terminal

SUMMARY = "print a completion script for a shell"
DESCRIPTION = """Prints a script that completes commands, options and paths:
engine completion bash > ~/.local/share/bash-completion/completions/engine
engine completion zsh > "${fpath[1]}/_engine" """
SHELLS = ("bash", "zsh", "tcsh")
FOLDERS = {"path", "config", "folder", "old", "new"}
FILES = {"paths", "batch", "html", "log", "env_file", "file"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    import shtab

    top = arguments.all_commands()
    _complete_paths(top)
    terminal.say(shtab.complete(top, shell=arguments.shell).rstrip("\n"))
    return 0


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Marks the arguments that are folders or files, for every command alike."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command)
        elif action.dest in FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.dest in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
