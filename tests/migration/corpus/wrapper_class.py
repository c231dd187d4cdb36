import logging
from typing import Any

from openai import AsyncOpenAI

log = logging.getLogger(__name__)


class LLMClient:
    """A thin wrapper, as every code base grows one."""

    def __init__(self, client: AsyncOpenAI | None = None, model: str = "gpt-4o"):
        self._client = client or AsyncOpenAI()
        self._model = model

    async def complete(self, prompt: str, **kwargs: Any) -> str:
        params = {"model": self._model, "messages": [{"role": "user", "content": prompt}], "temperature": 0.2}
        params.update(kwargs)
        response = await self._client.chat.completions.create(**params)  #= openai gpt-4o - async
        log.info("usage %s", response.usage)
        return response.choices[0].message.content

    async def embed(self, text: str):
        return await self._client.embeddings.create(model="text-embedding-3-small", input=text)


async def review(diff: str) -> str:
    return await LLMClient().complete(f"Review this:\n{diff}")
