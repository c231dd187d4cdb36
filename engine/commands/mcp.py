"""`engine mcp`: tools for agents that write policies, over the Model Context Protocol."""

import argparse
import os
from importlib.metadata import PackageNotFoundError, version

from engine.commands.loading import COULD_NOT_RUN, add_config_argument
from engine.commands.terminal import Terminal

SUMMARY = "serve agents that write policies, over the Model Context Protocol"
DESCRIPTION = """Serves tools to read a policy folder, ask what it decides, lint, test, prove and compare a
draft, replay a log that is inside it, and propose a draft. A proposal is written for a person to merge, on a
branch or in a folder of drafts, only when it lets no more out, spends no more and keeps every test and proof.
Nothing in force changes, and no model is called. Standard input and output, or HTTP on this machine alone.
Needs the extra `mcp`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    parser.add_argument(
        "--http", metavar="HOST:PORT", help="listen there instead, on loopback only (port 0: a free one)"
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.policy import find_folder

    try:
        import anyio

        from engine.commands.mcp_server import make_server, serve_http, serve_stdio
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("anyio", "mcp", "mcp_types", "uvicorn"):
            raise
        terminal.note("engine mcp: this needs the extra mcp: pip install 'local-first-router[mcp]'")
        return COULD_NOT_RUN
    try:
        found = version("local-first-router")
    except PackageNotFoundError:
        found = ""
    server = make_server(find_folder(arguments.config, os.environ.get("ENGINE_CONFIG_DIR")), found)
    if arguments.http is None:
        anyio.run(serve_stdio, server)
    else:
        anyio.run(serve_http, server, arguments.http, terminal.note)
    return 0
