"""What an answer is: its text, tool calls and token counts, whole or in the pieces of a stream.

No value's repr shows an answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

FinishReason = Literal["stop", "length", "tool_calls", "other"]
"""`stop` also covers a stop sequence, `length` also a full context window. A refusal is an error, not a
reason."""


class ToolFunction(TypedDict):
    """What a tool call calls; `arguments` is a JSON text, as the model wrote it."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """A tool call in the one shape of this project, which is OpenAI's. `extra_content` is a signature that
    some models want back with the call."""

    id: str
    type: Literal["function"]
    function: ToolFunction
    extra_content: NotRequired[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the provider reported them; None is unknown, which is not zero.

    `input_tokens` counts the whole prompt, cached reads and cache writes included; `output_tokens` includes
    `reasoning_tokens`.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer.

    `model` is what the provider says answered; `notes` are sentences on what was not honoured or looks odd (a
    temperature the API does not take, a nearly full window); `cold` tells whether the model had to be loaded,
    None when unknown. `usage_is_final` is False when the answer was not read to its end, or its usage came
    before that: what was told then is no more than what was told. `hand_back` are the fields of an
    assistant's message that carry its reasoning and signatures back to the API that wrote them; `citations`
    are the provider's own, as it wrote them.
    """

    model: str
    content: str = field(repr=False)
    tool_calls: tuple[ToolCall, ...] = field(default=(), repr=False)
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    request_id: str | None = None
    reasoning: str = field(default="", repr=False)
    cold: bool | None = None
    notes: tuple[str, ...] = ()
    usage_is_final: bool = True
    hand_back: Mapping[str, Any] = field(default_factory=dict, repr=False)
    citations: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed answer: text, reasoning or one whole tool call; the last piece carries the
    `reply`.

    `unseen_bytes` were written by the model and are not shown yet, such as the arguments of a tool call on
    its way; they are counted and no more.
    """

    text: str = field(default="", repr=False)
    reasoning: str = field(default="", repr=False)
    tool_call: ToolCall | None = field(default=None, repr=False)
    reply: Reply | None = None
    unseen_bytes: int = 0

    @property
    def is_content(self) -> bool:
        """True when showing this piece commits the stream to its target. Reasoning commits too."""
        return bool(self.text or self.reasoning or self.tool_call)


async def collect(chunks: AsyncIterator[Chunk]) -> Reply:
    """Read a stream to its end and return its reply: the buffered mode. Raises what the stream raises."""
    reply: Reply | None = None
    async for chunk in chunks:
        reply = chunk.reply or reply
    assert reply is not None, "a stream that ends without an error ends with its reply"
    return reply
