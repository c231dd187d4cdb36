"""A scripted HTTP server on loopback that can do everything a provider does wrong.

It speaks raw bytes, so that an answer can stop at any byte, be reset, hang, or lie about its length.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

After = Literal["keep", "close", "reset", "hang"]
Framing = Literal["length", "chunked", "close"]


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body, read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What to send back. `cut` sends only that many bytes of the body, then does `after`."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Framing = "length"
    cut: int | None = None
    after: After = "keep"
    silent: bool = False
    parts: tuple[bytes, ...] = ()


def in_json(value: object, status: int = 200, **more: Any) -> Answer:
    """A JSON answer."""
    headers = {"content-type": "application/json", **more.pop("headers", {})}
    return Answer(status, json.dumps(value, ensure_ascii=False).encode(), headers, **more)


def in_events(events: list[tuple[str | None, object]], **more: Any) -> Answer:
    """A stream of server-sent events: (event name or None, data)."""
    lines = []
    for name, data in events:
        written = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        lines.append((f"event: {name}\n" if name else "") + f"data: {written}\n\n")
    headers = {"content-type": "text/event-stream", **more.pop("headers", {})}
    framing: Framing = more.pop("framing", "chunked")
    return Answer(200, "".join(lines).encode(), headers, framing=framing, **more)


def in_lines(lines: list[object], **more: Any) -> Answer:
    """A stream of JSON lines."""
    body = "".join(
        (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines
    ).encode()
    headers = {"content-type": "application/x-ndjson"}
    framing: Framing = more.pop("framing", "chunked")
    return Answer(200, body, headers, framing=framing, **more)


Handler = Callable[[Received], Answer]


class WireServer:
    """Listens on 127.0.0.1 and answers with `handler`; `received` are all requests, `connections` how many
    came."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.received: list[Received] = []
        self.connections = 0
        self.raw = bytearray()
        self.port = 0
        self.between_parts: Callable[[], None] | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._ended = asyncio.Event()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def prompts(self) -> list[Received]:
        """The requests that carried a body of messages."""
        return [got for got in self.received if b'"messages"' in got.body]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while (received := await self._read(reader)) is not None:
                self.received.append(received)
                if not await self._answer(writer, self.handler(received)):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._open.discard(writer)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Received | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as ended:
            self.raw += ended.partial
            return None
        self.raw += head
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        body = b""
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while size := int((await reader.readline()).strip(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        self.raw += body
        return Received(method, path, headers, body)

    async def _answer(self, writer: asyncio.StreamWriter, answer: Answer) -> bool:
        """Send it; True when the connection stays open for another request."""
        if not answer.silent:
            body = answer.body if answer.cut is None else answer.body[: answer.cut]
            writer.write(_head(answer))
            if answer.framing == "chunked":
                for part in answer.parts or (body,):
                    if part:
                        writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                        await writer.drain()
                    await self._until_read()
                if answer.cut is None and answer.after == "keep":
                    writer.write(b"0\r\n\r\n")
            else:
                writer.write(body)
            await writer.drain()
        match answer.after:
            case "hang":
                await self._ended.wait()
            case "reset":
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
        return answer.after == "keep" and answer.framing != "close" and answer.cut is None

    async def _until_read(self) -> None:
        """Let the reader, who runs in the same loop, take the part; then tell who listens."""
        if self.between_parts is not None:
            for _ in range(50):
                await asyncio.sleep(0)
            self.between_parts()

    def end(self) -> None:
        """Let go of every connection."""
        self._ended.set()
        for writer in tuple(self._open):
            writer.transport.abort()


def _head(answer: Answer) -> bytes:
    headers = dict(answer.headers)
    match answer.framing:
        case "length":
            headers["content-length"] = str(len(answer.body))
        case "chunked":
            headers["transfer-encoding"] = "chunked"
        case "close":
            headers["connection"] = "close"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} Scripted\r\n{lines}\r\n".encode("latin-1")


@asynccontextmanager
async def wire_server(
    handler: Handler | Answer, tls: ssl.SSLContext | None = None
) -> AsyncIterator[WireServer]:
    """A server that runs for the time of a block."""
    served = WireServer(handler if callable(handler) else lambda _: handler)
    listening = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    served.port = listening.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        served.end()
        listening.close()
        await listening.wait_closed()
        # The connections' tasks end on their own once their transports are gone.
        for _ in range(5):
            await asyncio.sleep(0)
