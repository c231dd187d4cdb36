"""Calls of coding agents, and a provider that meters them by a tokeniser of its own.

A body is as agents send it: 25 tool schemas, instructions, source files, 87 kB in all. The meter knows
nothing of the engine's bounds: a word with the blank before it is a token every few letters, digits are split
by threes, and signs stand alone.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from engine.providers.base import DiscoveredModel, Health, Permit, Request, Target
from engine.providers.reply import Chunk, Reply, Usage

BODY_BYTES = 87_000
TOOLS = 25
MOST_OUTPUT = 64_000
INPUT, OUTPUT = Fraction(3), Fraction(15)
"""Micro-dollars a token: $3 and $15 a million."""

LEAD = 200
"""Tokens that are made and billed ahead of what the caller has, when it leaves."""

PIECE = 8
"""Tokens of a streamed piece."""

_TOKEN = re.compile(r" ?[A-Za-z]{1,8}|[0-9]{1,3}|[ \t]+|\n+|[^\sA-Za-z0-9]{1,2}", re.DOTALL)
_PROSE = """
return value path index config parse buffer request response handler session token cursor update delete create
insert model schema field option default string number array object import export class method function async
await error result stream chunk message content length offset limit retry timeout policy engine budget ledger
account window reserve settle release forfeit provider catalogue snapshot the of to and in is that for it with
as on be at by this from or an are not which was
"""
_WORDS = _PROSE.split()

TEXT = "abc "
"""A token of an answer."""


def tokens_of(text: str) -> int:
    """What the provider counts."""
    return len(_TOKEN.findall(text))


def body(dice: random.Random, size: int = BODY_BYTES) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Messages and tools of one request, of about so many bytes."""
    tools = [_tool(dice, number) for number in range(TOOLS)]
    files: list[str] = []
    left = size - len(json.dumps(tools))
    while left > 0:
        files.append(_line(dice))
        left -= len(files[-1]) + 1
    half = len(files) // 3
    return [
        {"role": "system", "content": "\n".join(files[:half])},
        {"role": "user", "content": "\n".join(files[half:])},
    ], tools


def _line(dice: random.Random) -> str:
    words = [dice.choice(_WORDS) for _ in range(dice.randint(3, 9))]
    indent = "    " * dice.randint(0, 3)
    match dice.randrange(5):
        case 0:
            return f"{indent}{words[0]}_{words[1]} = {words[2]}.{words[0]}({', '.join(words[1:4])})"
        case 1:
            return f"{indent}if {words[0]} >= {dice.randrange(1_000)}: return {words[1]}[{words[2]!r}]"
        case 2:
            return f'{indent}"{words[0]}": "{" ".join(words[1:])}",'
        case _:
            return f"{indent}# {' '.join(words)}"


def _tool(dice: random.Random, number: int) -> dict[str, Any]:
    properties = {
        f"{dice.choice(_WORDS)}_{place}": {"type": "string", "description": _line(dice).strip()}
        for place in range(5)
    }
    return {
        "type": "function",
        "function": {
            "name": f"tool_{number}",
            "description": " ".join(_line(dice).strip() for _ in range(6)),
            "parameters": {"type": "object", "properties": properties, "required": list(properties)},
        },
    }


def output_tokens(dice: random.Random) -> int:
    """How long an answer is: 900 tokens at the median, 9,000 at the 99th percentile."""
    return max(20, min(MOST_OUTPUT, int(dice.lognormvariate(6.8, 1.0))))


@dataclass
class Metered:
    """A provider that bills what it makes. `bills` are micro-dollars by the request's number, in order of
    coming.

    `answers` gives the length of the next answer in tokens. `density` multiplies what is counted of a prompt
    beyond the tokeniser, `gate` is awaited after the first piece of each stream.
    """

    target: Target
    answers: Any
    density: Fraction = Fraction(1)
    gate: Any = None
    bills: list[Fraction] = field(default_factory=list)
    most_tokens: list[int | None] = field(default_factory=list)

    def _begin(self, request: Request) -> tuple[int, int, int]:
        self.target.check(request.permit)
        if request.on_dispatch is not None:
            request.on_dispatch()
        read = sum(tokens_of(str(message["content"])) for message in request.messages)
        read += tokens_of(json.dumps(request.tools)) if request.tools else 0
        read = -(-read * self.density.numerator // self.density.denominator)
        self.bills.append(read * INPUT)
        self.most_tokens.append(request.max_tokens)
        return len(self.bills) - 1, read, min(self.answers(), request.max_tokens or MOST_OUTPUT)

    async def complete(self, request: Request) -> Reply:
        number, read, made = self._begin(request)
        self.bills[number] += made * OUTPUT
        return Reply(request.model, TEXT * made, usage=Usage(read, made))

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        number, read, wanted = self._begin(request)
        made, before = 0, self.bills[number]
        try:
            while made < wanted:
                step = min(PIECE, wanted - made)
                made += step
                self.bills[number] = before + made * OUTPUT
                yield Chunk(text=TEXT * step)
                if self.gate is not None and made <= PIECE:
                    await self.gate()
            yield Chunk(reply=Reply(request.model, TEXT * made, usage=Usage(read, made)))
        finally:
            if made < wanted:
                self.bills[number] = before + min(wanted, made + LEAD) * OUTPUT

    async def probe(self, permit: Permit, *, timeout_s: float = 5.0) -> Health:
        return Health("up")

    async def discover(self, permit: Permit, *, timeout_s: float = 5.0) -> tuple[DiscoveredModel, ...]:
        return ()

    async def aclose(self) -> None:
        return None
