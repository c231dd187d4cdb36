"""An independent provider that keeps its own books: it bills first, then answers, and often tells little of
it, or tells it late.

It knows nothing of the engine. Each POST is billed in its own log before the first byte of the answer leaves,
one line of JSON a bill: `{"run", "call", "manner", "micro_usd", "paid_for"}`. Amounts are exact fractions
of micro-dollars, written as `N/D`.

    python -m tests.billing.vendor LOG     prints its port, serves until its standard input closes

The first words of a prompt say which run and call it is, which manners the vendor shows, and after how many
pieces the caller will leave (`run 17 call 17.3.0 manner stream/slow leaves 2 tokens 40`; 0: it stays), so
that one process serves any number of policies, ledgers and routers. A vendor under /stops/ documents that an
abort stops its meter.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

INPUT, CACHED, WRITTEN, OUTPUT = Fraction(1), Fraction(1, 10), Fraction(5, 4), Fraction(10)
"""Micro-dollars a token: $1, $0.10, $1.25 and $10 a million."""

CALL = re.compile(r"run (\S+) call (\S+) manner (\S+) leaves (\d+) tokens (\d+)")


@dataclass(frozen=True, slots=True)
class Truth:
    """What one call really used, in tokens; `reasoning` is part of `output`, `cached` and `written` of
    `input`."""

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0

    @property
    def micro_usd(self) -> Fraction:
        plain = self.input - self.cached - self.written
        return plain * INPUT + self.cached * CACHED + self.written * WRITTEN + self.output * OUTPUT


# --- What a usage record says of the truth (OpenAI's form). Each is a way seen in the wild to count.


def _inside(truth: Truth) -> dict[str, Any]:
    return {
        "prompt_tokens": truth.input,
        "completion_tokens": truth.output,
        "total_tokens": truth.input + truth.output,
        "prompt_tokens_details": {"cached_tokens": truth.cached},
        "completion_tokens_details": {"reasoning_tokens": truth.reasoning},
    }


def _reasoning_beside(truth: Truth) -> dict[str, Any]:
    return {**_inside(truth), "completion_tokens": truth.output - truth.reasoning}


def _only_in_total(truth: Truth) -> dict[str, Any]:
    return {
        "prompt_tokens": truth.input,
        "completion_tokens": truth.output - truth.reasoning,
        "total_tokens": truth.input + truth.output,
    }


def _cached_beside(truth: Truth) -> dict[str, Any]:
    return {**_inside(truth), "prompt_tokens": truth.input - truth.cached}


def _zero(_: Truth) -> dict[str, Any]:
    return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _started(truth: Truth) -> dict[str, Any]:
    return {"prompt_tokens": truth.input, "completion_tokens": 1, "total_tokens": truth.input + 1}


def _negative(truth: Truth) -> dict[str, Any]:
    return {"prompt_tokens": -truth.input, "completion_tokens": -1, "total_tokens": -truth.input - 1}


def _fractional(truth: Truth) -> dict[str, Any]:
    return {"prompt_tokens": truth.input / 3, "completion_tokens": truth.output / 3, "total_tokens": 0.5}


def _textual(truth: Truth) -> dict[str, Any]:
    return {"prompt_tokens": "about 5", "completion_tokens": "few", "total_tokens": None}


def _absurd(truth: Truth) -> dict[str, Any]:
    return {"prompt_tokens": 10**15, "completion_tokens": 10**15, "total_tokens": 10**15}


def _too_much(truth: Truth) -> dict[str, Any]:
    """Fifty times what was asked for: nobody could have produced it."""
    return {**_inside(truth), "completion_tokens": truth.output * 50 + 10**6, "total_tokens": None}


REPORTS: dict[str, Callable[[Truth], dict[str, Any]]] = {
    "inside": _inside,
    "reasoning-beside": _reasoning_beside,
    "only-in-total": _only_in_total,
    "cached-beside": _cached_beside,
    "zero": _zero,
    "negative": _negative,
    "fractional": _fractional,
    "textual": _textual,
    "absurd": _absurd,
    "too-much": _too_much,
}

WHOLE = (*REPORTS, "none", "cut", "unreadable", "html", "silent", "throttled", "broken", "gateway-timeout")
STREAMED = (
    *REPORTS, "none", "zeros-then-real", "started-then-real", "started-then-cut", "real-with-finish",
    "real-then-less", "in-the-choice", "after-a-choice", "cut", "unreadable", "error-event",
    "error-event-first", "endless", "silent", "slow", "throttled", "broken",
)  # fmt: skip
ENDLESS, WORDS = 100, 30
"""So many pieces of so many words, three times the most that is ever asked for in all; then the stream stays
open and nothing more comes."""

CUT_INTO = ("none", "zeros-then-real", "started-then-real", "real-with-finish", "in-the-choice", "inside")
"""Streams that are cut at a random byte."""

MANNERS = (*(f"whole/{name}" for name in WHOLE), *(f"stream/{name}" for name in STREAMED))


@dataclass(slots=True)
class _Asked:
    """A call as the vendor reads it.

    `leaves` is the number of pieces after which the caller goes, 0 for never. `dice` is the call's own, so
    that a run can be repeated.
    """

    run: str
    call: str
    manner: str
    leaves: int
    stops_on_abort: bool
    truth: Truth
    streams: bool
    anthropic: bool
    dice: random.Random


def read_call(path: str, body: bytes) -> _Asked:
    asked = json.loads(body)
    first = asked["messages"][-1]["content"]
    text = first if isinstance(first, str) else "".join(part.get("text", "") for part in first)
    found = CALL.search(text)
    assert found is not None, "a prompt that says neither its run nor its manners"
    most = asked.get("max_completion_tokens") or asked.get("max_tokens")
    assert isinstance(most, int), "nothing bounds the output"
    dice = random.Random(f"{found[0]} {len(body)}")
    tokens = int(found[5])
    cached = dice.randrange(tokens // 2) if dice.random() < 0.5 else 0
    output = dice.choice((most, most, max(1, most // 2), min(3, most)))
    reasoning = dice.randrange(output) if dice.random() < 0.5 else 0
    written = dice.randrange((tokens - cached) // 2 + 1) if "/messages" in path and dice.random() < 0.5 else 0
    truth = Truth(tokens, output, cached, written, reasoning)
    return _Asked(
        run=found[1],
        call=found[2],
        manner=found[3],
        leaves=int(found[4]),
        stops_on_abort=path.startswith("/stops/"),
        truth=truth,
        streams=bool(asked.get("stream")),
        anthropic=path.endswith("/messages"),
        dice=dice,
    )


# --- Answers in OpenAI's form


def _whole(asked: _Asked, usage: dict[str, Any] | None) -> bytes:
    answer: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "two words"}}
        ],
    }
    return json.dumps(answer if usage is None else answer | {"usage": usage}).encode()


def _chunk(
    text: str | None, finish: str | None = None, usage: object = None, in_choice: object = None
) -> bytes:
    choice: dict[str, Any] = {"index": 0, "delta": {} if text is None else {"content": text}}
    choice |= {"finish_reason": finish} | ({} if in_choice is None else {"usage": in_choice})
    chunk: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunk |= {"choices": [choice]}
    return _event(chunk if usage is None else chunk | {"usage": usage})


def _last(usage: dict[str, Any], choices: list[Any] | None = None) -> bytes:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return _event(chunk | {"choices": choices or [], "usage": usage})


def _event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


_DONE = b"data: [DONE]\n\n"


def stream_of(asked: _Asked, name: str) -> Iterator[bytes]:
    """The pieces of a streamed answer; each is sent on its own."""
    truth, real = asked.truth, _inside(asked.truth)
    if name == "error-event-first":
        yield _event({"error": {"message": "Provider returned error", "code": 502}})
        return
    zeros = name == "zeros-then-real"
    for piece in range(asked.dice.choice((1, 3, 8))):
        yield _chunk(f"word{piece} ", usage=_zero(truth) if zeros else None)
    match name:
        case "zeros-then-real":
            yield _chunk(None, "stop", _zero(truth)) + _last(real) + _DONE
        case "started-then-real":
            yield _chunk(None, "stop", _started(truth))
            yield _last(real) + _DONE
        case "started-then-cut":
            yield _chunk(None, "stop", _started(truth))
        case "real-with-finish":
            yield _chunk(None, "stop", real) + _DONE
        case "real-then-less":
            yield _chunk(None, "stop", real) + _last(_started(truth)) + _DONE
        case "in-the-choice":
            yield _chunk(None, "stop", in_choice=real) + _DONE
        case "after-a-choice":
            yield (
                _chunk(None, "stop") + _last(real, [{"index": 0, "delta": {}, "finish_reason": None}]) + _DONE
            )
        case "error-event":
            yield _event({"error": {"message": "overloaded", "type": "server_error", "code": 503}})
        case "endless":
            for piece in range(ENDLESS):
                yield _chunk(f"more{piece} " * WORDS)
        case "none" | "cut" | "slow" | "unreadable" | "silent":
            yield _chunk(None, "stop") + _DONE
        case _:
            yield _chunk(None, "stop") + _last(REPORTS[name](truth)) + _DONE


# --- Answers in Anthropic's form: cached input is always told beside the rest.


def _messages_usage(truth: Truth) -> dict[str, Any]:
    return {
        "input_tokens": truth.input - truth.cached - truth.written,
        "cache_read_input_tokens": truth.cached,
        "cache_creation_input_tokens": truth.written,
        "output_tokens": truth.output,
    }


_MESSAGES_REPORTS: dict[str, Callable[[Truth], dict[str, Any]]] = {
    "zero": lambda _: {"input_tokens": 0, "output_tokens": 0},
    "negative": lambda truth: {"input_tokens": -truth.input, "output_tokens": -1},
    "fractional": lambda truth: {"input_tokens": truth.input / 3, "output_tokens": 0.5},
    "textual": lambda _: {"input_tokens": "about 5", "output_tokens": "few"},
    "absurd": lambda _: {"input_tokens": 10**15, "output_tokens": 10**15},
    "too-much": lambda truth: {**_messages_usage(truth), "output_tokens": truth.output * 50 + 10**6},
}


def _messages_report(name: str, truth: Truth) -> dict[str, Any]:
    return _MESSAGES_REPORTS.get(name, _messages_usage)(truth)


def _message(usage: dict[str, Any] | None, content: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
    told = {} if usage is None else {"usage": usage}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": stop, "stop_sequence": None, **told,
    }  # fmt: skip


def _named(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\n".encode() + _event(value)


def messages_stream_of(asked: _Asked, name: str) -> Iterator[bytes]:
    truth = asked.truth
    real = _messages_usage(truth)
    begun = {**real, "output_tokens": 1}
    if name in ("zeros-then-real", "after-a-choice"):
        begun = {"input_tokens": 0, "output_tokens": 0}
    elif name in _MESSAGES_REPORTS:
        begun = _messages_report(name, truth)
    if name == "error-event-first":
        yield _named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
        return
    yield _named({"type": "message_start", "message": _message(begun, [], None)})
    yield _named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    is_endless = name == "endless"
    for piece in range(ENDLESS if is_endless else asked.dice.choice((1, 3, 8))):
        delta = {"type": "text_delta", "text": f"word{piece} " * (WORDS if is_endless else 1)}
        yield _named({"type": "content_block_delta", "index": 0, "delta": delta})
    if name == "error-event":
        yield _named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
        return
    yield _named({"type": "content_block_stop", "index": 0})
    ended: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    }
    if name == "none":
        ended["usage"] = {}
    elif name in _MESSAGES_REPORTS:
        ended["usage"] = _messages_report(name, truth)
    elif name == "started-then-cut":
        ended["usage"] = {"output_tokens": 1}
    elif name in ("zeros-then-real", "after-a-choice"):
        ended["usage"] = real  # the input too is told at the end only
    else:
        ended["usage"] = {"output_tokens": truth.output}
    yield _named(ended)
    if name != "started-then-cut":
        yield _named({"type": "message_stop"})


# --- The wire


class Vendor:
    """Serves on loopback. `log` is a file descriptor open for appending; what it bills stands there first."""

    def __init__(self, log: int) -> None:
        self._log = log
        self._answering = 0

    def _bill(self, asked: _Asked, amount: Fraction, reason: str) -> None:
        line = {"run": asked.run, "call": asked.call, "manner": asked.manner}
        line |= {"micro_usd": str(amount), "paid_for": reason}
        os.write(self._log, json.dumps(line).encode() + b"\n")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (got := await _read(reader)) is not None:
                if not await self._answer(reader, writer, *got):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: bytes
    ) -> bool:
        """Bill and answer; False when the connection is over. What asks for /quiet waits for all others."""
        if path == "/quiet":
            await self._quiet()
        if not body:
            return await _send(writer, 200, b'{"object": "list", "data": [{"id": "m"}], "models": []}')
        self._answering += 1
        try:
            return await self._bill_and_answer(reader, writer, read_call(path, body))
        finally:
            self._answering -= 1

    async def _quiet(self) -> None:
        """Wait until nothing is answered any more; what was sent before this was asked is read by then."""
        await asyncio.sleep(0.002)
        while self._answering:
            await asyncio.sleep(0.001)

    async def _bill_and_answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked
    ) -> bool:
        name = asked.manner.partition("/")[2]
        if name == "throttled":
            return await _send(
                writer, 429, b'{"error": {"message": "slow down", "type": "rate_limit_error"}}'
            )
        if name == "broken":
            return await _send(writer, 503, b'{"error": {"message": "overloaded", "type": "server_error"}}')
        # What a caller who leaves pays for is known only at the end; for all others it is settled now.
        leaves_late = asked.stops_on_abort and asked.streams and asked.leaves > 0
        if not leaves_late:
            self._bill(asked, asked.truth.micro_usd, name)
        if name == "gateway-timeout":
            return await _send(writer, 504, b"<html>504 Gateway Time-out</html>", "text/html")
        if asked.streams:
            return await self._stream(reader, writer, asked, name, leaves_late)
        return await self._whole(reader, writer, asked, name)

    async def _whole(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked, name: str
    ) -> bool:
        if asked.anthropic:
            usage = None if name == "none" else _messages_report(name, asked.truth)
            whole = json.dumps(_message(usage, [{"type": "text", "text": "two words"}], "end_turn")).encode()
        else:
            usage = None if name == "none" else REPORTS.get(name, _inside)(asked.truth)
            whole = _whole(asked, usage)
        match name:
            case "unreadable":
                return await _send(writer, 200, whole[: len(whole) // 2])
            case "html":
                return await _send(writer, 200, b"<!doctype html><title>Just a moment</title>", "text/html")
            case "silent":
                await _until_gone(reader)
                return False
            case "cut":
                await _send(writer, 200, whole, cut=asked.dice.randrange(len(whole)))
                _break(writer, reset=asked.dice.random() < 0.5)
                return False
            case _:
                return await _send(writer, 200, whole)

    async def _stream(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        asked: _Asked,
        name: str,
        leaves_late: bool,
    ) -> bool:
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        shown, taken, size, whole = 0, 0, 0, False
        told = asked.dice.choice(CUT_INTO) if name == "cut" else name
        pieces = list((messages_stream_of if asked.anthropic else stream_of)(asked, told))
        stop_at = asked.dice.randrange(sum(map(len, pieces))) if name == "cut" else None
        try:
            writer.write(head.encode())
            for piece in pieces:
                if name == "unreadable" and shown == 1:
                    piece = b'data: {"choices": [{"index": 0, "delta": {"con\n\n'
                if stop_at is not None and size + len(piece) > stop_at:
                    _write_chunk(writer, piece[: stop_at - size])
                    await writer.drain()
                    _break(writer, reset=asked.dice.random() < 0.5)
                    return False
                _write_chunk(writer, piece)
                size += len(piece)
                taken += b'"content": "' in piece
                await writer.drain()
                shown += 1
                if name == "silent":
                    await _until_gone(reader)
                if name == "slow" or shown % 512 == 0:
                    await asyncio.sleep(0.002)
                if reader.at_eof() or writer.transport.is_closing():
                    raise ConnectionResetError
            if name == "endless":
                await _until_gone(reader)
                raise ConnectionResetError
            if name == "started-then-cut":
                _break(writer, reset=False)
                return False
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            whole = True
            return True
        finally:
            if leaves_late:
                truth = asked.truth
                if taken >= asked.leaves:
                    # The caller has gone by then, and that stops the meter: the input, and a token for each
                    # piece it took.
                    truth = Truth(truth.input, min(truth.output, asked.leaves), truth.cached, truth.written)
                self._bill(asked, truth.micro_usd, name if whole else f"{name}, not whole")


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """Say nothing more until the caller has gone."""
    while not (reader.at_eof() or reader.exception()):
        await asyncio.sleep(0.005)


def _write_chunk(writer: asyncio.StreamWriter, piece: bytes) -> None:
    if piece:
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


def _break(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        socket = writer.get_extra_info("socket")
        socket.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER: RST instead of FIN
    writer.transport.abort() if reset else writer.close()


async def _send(
    writer: asyncio.StreamWriter,
    status: int,
    body: bytes,
    kind: str = "application/json",
    cut: int | None = None,
) -> bool:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[:cut])
    await writer.drain()
    return cut is None


async def _read(reader: asyncio.StreamReader) -> tuple[str, bytes] | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, _, rest = head.partition("\r\n")
    length = re.search(r"(?im)^content-length: *(\d+)", rest)
    return first.split(" ")[1], await reader.readexactly(int(length[1]) if length else 0)


async def _main(path: str) -> None:
    log = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    server = await asyncio.start_server(Vendor(log).serve, "127.0.0.1", 0, limit=2**22)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
