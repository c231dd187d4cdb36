from __future__ import annotations

from typing import TYPE_CHECKING, Optional

try:
    import openai
except ImportError:
    openai = None

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


class Maybe:
    _client: Optional["AsyncAnthropic"] = None

    @property
    def client(self) -> AsyncAnthropic:
        if self._client is None:
            from anthropic import AsyncAnthropic

            self._client = AsyncAnthropic()
        return self._client

    async def ask(self, text):
        return await self.client.messages.create(model="claude-3-haiku", max_tokens=1, messages=text)  #= anthropic claude-3-haiku 1 async


def ask(text):
    if openai is None:
        return None
    if (client := openai.OpenAI()) is not None:
        return client.chat.completions.create(model="gpt-4o", messages=text)  #= openai gpt-4o -
    return None
