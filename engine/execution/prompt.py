"""What a caller wants to say -> one value that hides it, and the sizes that decisions and budgets need of
it."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from engine.budget import input_token_bound
from engine.providers.base import text_bytes
from engine.providers.errors import InvalidRequest

# A mean for the tokenisers in use; `Request.context_tokens` wants a mean.
BYTES_PER_TOKEN = 4


class Prompt:
    """Messages and tools of one request. Its repr shows their number and never their text, so that frames may
    hold it.

    Made without a look, so that whoever makes it can let go of the bare lists before anything can fail; then
    `check`.
    """

    def __init__(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
    ) -> None:
        self.messages = messages
        self.tools = tools or None

    def check(self) -> None:
        """Raises InvalidRequest for what is no list of messages or tools."""
        problem = _problem("messages", self.messages) or (self.tools and _problem("tools", self.tools))
        if problem:
            raise InvalidRequest(dispatched=False, detail=problem)

    def __repr__(self) -> str:
        return f"<Prompt of {len(self.messages)} messages and {len(self.tools or ())} tools>"

    @cached_property
    def expected_tokens(self) -> int:
        """About how many tokens a model will count: a mean, for windows and waiting, never for money."""
        size = text_bytes(self.messages)
        if self.tools:
            size += len(json.dumps(self.tools, ensure_ascii=False, default=str))
        return size // BYTES_PER_TOKEN

    @cached_property
    def most_tokens(self) -> int:
        """The most a provider can bill for it. Raises UnboundedInput for documents, audio and video."""
        return input_token_bound(self.messages, self.tools)

    def context_size(self, max_tokens: int) -> int:
        """Tokens the exchange needs in the window, prompt and reply, with a quarter to spare for the
        prompt."""
        return self.expected_tokens * 5 // 4 + max_tokens


def _problem(what: str, values: object) -> str | None:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        return f"{what} is a list of mappings"
    if not values:
        return f"{what} is empty"
    wrong = next((place for place, value in enumerate(values) if not isinstance(value, Mapping)), None)
    return None if wrong is None else f"{what}[{wrong}] is not a mapping"
