from abc import ABC, abstractmethod
from typing import Protocol

import anthropic
import litellm
import openai


class AIModel(ABC):
    registry: dict = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        AIModel.registry[cls.__name__] = cls

    @abstractmethod
    def generate(self, prompt): ...


class ClaudeClient(AIModel):
    MODEL = "claude-3-5-sonnet-20240620"

    def __init__(self):
        self.client = anthropic.Anthropic()

    def generate(self, prompt):
        response = self.client.messages.create(model=self.MODEL, max_tokens=8000, messages=[{"role": "user", "content": prompt}])  #= anthropic claude-3-5-sonnet-20240620 8000
        return "".join(block.text for block in response.content)


class GptClient(AIModel):
    def __init__(self, model: str = "gpt-4o"):
        self.client = openai.OpenAI(base_url="https://example.invalid/v1")
        self._params = {"model": model, "temperature": 0.7, "max_tokens": 4096}

    def generate(self, prompt):
        return self.client.chat.completions.create(messages=[{"role": "user", "content": prompt}], **self._params)  #= openai gpt-4o 4096


class Gateway:
    def __init__(self, model_id="anthropic/claude-3-haiku"):
        self.model_id = model_id

    async def judge(self, prompt, **kwargs):
        _params = {"messages": [{"role": "user", "content": prompt}], "model": self.model_id, "max_tokens": 512}
        return await litellm.acompletion(**_params, **kwargs)  #= litellm anthropic/claude-3-haiku 512 async


class Sends(Protocol):
    def generate(self, prompt: str) -> str: ...


def use(one: Sends):
    return one.generate("hi")
