"""What one attempt knows of itself while it is under way, its clocks included."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.providers.base import Request
from engine.providers.http_exchange import Call
from engine.providers.reply import Chunk, ToolCall, Usage
from engine.providers.usage_reading import UsageReader

SIGN_OF_LIFE = Chunk()
"""What `_stream` yields while the model works on something of which nothing can be counted yet; the caller
never sees it."""


@dataclass(slots=True, repr=False, eq=False)
class Attempt:
    """What one attempt knows of itself: its request, its HTTP calls, what has come so far.

    Its clocks are times of the event loop: it is over at `give_up_at`, the request's own deadline, and at
    `whole_by`; until `answer_by` a stream must have shown something, and until `loaded_by` a server may say
    that it loads the model. `silence_s` is how long a stream may send nothing at all; None for an answer
    taken whole.
    """

    request: Request
    give_up_at: float
    calls: list[Call] = field(default_factory=list)
    limit: asyncio.Timeout | None = None
    silence_s: float | None = None
    answer_by: float = math.inf
    whole_by: float = math.inf
    loaded_by: float | None = None
    cold: bool | None = None
    alive: bool = False
    shown: bool = False
    pieces: int = 0
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hand_back: dict[str, Any] = field(default_factory=dict)
    citations: list[Mapping[str, Any]] = field(default_factory=list)
    usage_reader: UsageReader = field(default_factory=UsageReader)

    def call(self, *, carries_prompt: bool) -> Call:
        """The record for the next HTTP request of this attempt."""
        made = Call(
            self.request.permit,
            self.request.timeouts.connect_s,
            carries_prompt,
            self.request.on_dispatch if carries_prompt and not self.dispatched else None,
            self.heard if carries_prompt else None,
        )
        self.calls.append(made)
        return made

    @property
    def dispatched(self) -> bool:
        """True when any byte of the prompt may have been sent."""
        return any(call.carries_prompt and call.dispatched for call in self.calls)

    @property
    def ends_at(self) -> float:
        """When the attempt is over, whatever still comes."""
        is_waiting = self.silence_s is not None and not self.shown
        return min(self.give_up_at, self.whole_by, self.answer_by if is_waiting else math.inf)

    def begin_limit(self, limit: asyncio.Timeout, limit_s: float, *, is_silence: bool) -> None:
        """Put `limit` in force: `limit_s` from now, and anew with every sign of life when `is_silence`."""
        self.limit, self.silence_s = limit, limit_s if is_silence else None
        limit.reschedule(min(asyncio.get_running_loop().time() + limit_s, self.ends_at))

    def heard(self) -> None:
        """Something came, be it a comment or a ping: whoever sends it is at work."""
        limit = self.limit
        if limit is None or self.silence_s is None or limit.expired():
            return
        until, so_far = asyncio.get_running_loop().time() + self.silence_s, limit.when()
        if so_far is None or so_far < until:
            limit.reschedule(min(until, self.ends_at))

    def expect_load(self) -> None:
        """The model must be loaded first: add the load budget to the limit that is running, once."""
        self.cold = True
        load_s = self.request.timeouts.load_s
        self.answer_by, self.whole_by = self.answer_by + load_s, self.whole_by + load_s
        if self.limit is not None:
            until = self.limit.when()
            assert until is not None
            self.limit.reschedule(min(until + load_s, self.ends_at))

    def note(self, piece: Chunk) -> None:
        """Remember what the caller is about to be shown."""
        self.alive = True
        self.shown = self.shown or piece.is_content
        self.pieces += piece.is_content
        if piece.text:
            self.text.append(piece.text)
        if piece.reasoning:
            self.reasoning.append(piece.reasoning)
        if piece.tool_call is not None:
            self.tool_calls.append(piece.tool_call)

    @property
    def shown_bytes(self) -> int:
        """The size of all that the model has written, as far as it came."""
        called = (part for call in self.tool_calls for part in call["function"].values())
        texts = (*self.text, *self.reasoning, *map(str, called))
        return sum(len(text.encode("utf-8", "replace")) for text in texts)

    @property
    def usage(self) -> Usage:
        """The largest that the provider has told by now."""
        return self.usage_reader.usage(self.shown_bytes)

    def usage_estimate(self) -> Usage:
        """What the provider reported; output not reported is the pieces seen, or a token for every three
        bytes."""
        usage = self.usage
        if usage.output_tokens is not None:
            return usage
        return replace(usage, output_tokens=max(self.pieces, self.shown_bytes // 3))
