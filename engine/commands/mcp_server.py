"""A policy folder -> a server of the Model Context Protocol, over standard input and output or loopback HTTP.

The only module that imports the SDK. It checks arguments against a tool's schema, runs one tool at a time in
a thread of its own, and hands back what the tool says; what a tool answers is for `mcp_tools` to know.
"""

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from jsonschema import Draft202012Validator
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as ToolOnTheWire

from engine.commands.mcp_tools import TOOLS, Answer, Tool
from engine.config.folder import MOST_BYTES_TOGETHER
from engine.errors import EngineError
from engine.language.statement_forms import STATEMENT_FORMS

PATH = "/mcp"
MOST_BYTES = 2 * MOST_BYTES_TOGETHER
"""Of a request over HTTP: the largest draft there can be, with room for its escapes."""


class NotLoopback(EngineError):  # noqa: N818 - what the user reads is the message
    """An address of `--http` that others could reach, or that is none."""


def make_server(folder: Path, version: str) -> Server[Any]:
    """A server of one folder; it has tools and nothing else."""
    one_at_a_time = anyio.CapacityLimiter(1)

    async def list_tools(_context: object, _params: object) -> ListToolsResult:
        return ListToolsResult(tools=[_on_the_wire(tool) for tool in TOOLS])

    async def call_tool(_context: object, params: CallToolRequestParams) -> CallToolResult:
        run = partial(_called, folder, params.name, params.arguments or {})
        return await anyio.to_thread.run_sync(run, limiter=one_at_a_time)

    server: Server[Any] = Server(
        "engine",
        version=version,
        title="Local-first router: policy authoring",
        instructions=_instructions(),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    # Nothing of a session leaves the machine, whatever telemetry is set up here.
    server.middleware.clear()
    return server


def _on_the_wire(tool: Tool) -> ToolOnTheWire:
    annotations = ToolAnnotations(
        read_only_hint=not tool.writes, destructive_hint=False, open_world_hint=False
    )
    return ToolOnTheWire(
        name=tool.name, description=tool.about, input_schema=tool.input_schema, annotations=annotations
    )


def _called(folder: Path, name: str, arguments: dict[str, Any]) -> CallToolResult:
    tool = next((tool for tool in TOOLS if tool.name == name), None)
    if tool is None:
        return _failed(f"there is no tool {name!r}; the tools are {', '.join(each.name for each in TOOLS)}")
    errors = [
        f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {_short(error.message)}"
        for error in Draft202012Validator(tool.input_schema).iter_errors(arguments)
    ]
    if errors:
        return _failed("\n".join(errors[:20]))
    try:
        answer: Answer = tool.run(folder, arguments)
    except EngineError as error:
        return _failed(str(error))
    return CallToolResult(content=[TextContent(text=answer.text)], structured_content=answer.data)


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=True)


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]}..."


def _instructions() -> str:
    """What an agent is told when it connects."""
    forms = "\n".join(f"- {form.keyword}: {form.meaning}. {form.example!r}" for form in STATEMENT_FORMS)
    return (
        "These tools read and judge one policy folder, which decides for every LLM call which model gets it. "
        "Read it with read_policy, try a change as a `draft` with diff, lint, test and prove, and hand it in "
        "with propose. A proposal that lets more out to the cloud, spends more, or weakens a test or proof "
        "is refused, with a task that shows why: mend the draft. Nothing in force changes; a person merges."
        "\n\n"
        f"Statements of a .route file:\n{forms}"
    )


# --- Transports -----------------------------------------------------------------------------------------


async def serve_stdio(server: Server[Any]) -> None:
    """Serves one client on standard input and output, until it leaves."""
    async with stdio_server() as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())


async def serve_http(
    server: Server[Any], address: str, tell: Callable[[str], object], until: Awaitable[object] | None = None
) -> None:
    """Serves clients at HOST:PORT of this machine (port 0: a free one); `tell` is told the URL. Ends with
    `until`, or when the process is told to. Raises NotLoopback."""
    listening = _listening(address)
    host, port = listening.getsockname()[:2]
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"]
    # A page of a browser can call this port under a name of its own: neither its name nor its origin is ours.
    security = TransportSecuritySettings(
        allowed_hosts=hosts, allowed_origins=[f"http://{each}" for each in hosts]
    )
    app = server.streamable_http_app(
        streamable_http_path=PATH, transport_security=security, max_request_body_size=MOST_BYTES
    )
    config = uvicorn.Config(app, log_level="warning", access_log=False, proxy_headers=False, ws="none")
    serving = uvicorn.Server(config)
    tell(f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}")
    if until is None:
        await serving.serve(sockets=[listening])
        return

    async def stop() -> None:
        await until
        serving.should_exit = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        await serving.serve(sockets=[listening])


def _listening(address: str) -> socket.socket:
    host, colon, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        found = ip_address("127.0.0.1" if host == "localhost" else host)
        number = int(port)
        if not colon or not 0 <= number < 1 << 16:
            raise ValueError
    except ValueError:
        raise NotLoopback(f"{address!r} is no HOST:PORT such as 127.0.0.1:8765") from None
    if not found.is_loopback:
        raise NotLoopback(f"{host} is not this machine alone: others could reach it; use 127.0.0.1")
    family = socket.AF_INET if found.version == 4 else socket.AF_INET6
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((str(found), number))
        listening.listen()  # before anybody is told
    except OSError as error:
        listening.close()
        raise NotLoopback(f"cannot listen at {address}: {(error.strerror or str(error)).lower()}") from error
    return listening
