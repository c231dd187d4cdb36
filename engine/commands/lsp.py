"""`engine lsp`: the language server that editors start."""

import argparse
import os
import sys

from engine.commands.loading import COULD_NOT_RUN
from engine.commands.terminal import Terminal

SUMMARY = "serve editors over the Language Server Protocol"
DESCRIPTION = """Speaks the Language Server Protocol on standard input and output, for an editor to start:
findings while you type, what names mean and which models rules select, completion, definitions, renaming,
formatting and fixes. Needs the extra `lsp`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # Editors' clients add it; there is no other way to talk here.
    parser.add_argument(
        "--stdio", action="store_true", help="accepted and ignored: standard input and output it is"
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    try:
        from engine.editor.server import make_server
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("pygls", "lsprotocol"):
            raise
        terminal.note("engine lsp: this needs the extra lsp: pip install 'local-first-router[lsp]'")
        return COULD_NOT_RUN
    # The server closes what it writes to when it ends; the command's own standard output stays open.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        make_server().start_io(stdout=out)
    return 0
