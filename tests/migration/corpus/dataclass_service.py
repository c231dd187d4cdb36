from dataclasses import dataclass, field
from enum import Enum

from openai import OpenAI


class Models(str, Enum):
    FAST = "gpt-4o-mini"
    SMART = "gpt-4o"


@dataclass
class Triage:
    client: OpenAI = field(default_factory=OpenAI)
    model: str = "gpt-4o-mini"

    def triage(self, ticket):
        return self.client.chat.completions.create(model=self.model, messages=[{"role": "user", "content": ticket}])  #= openai gpt-4o-mini - type=classification


@dataclass
class Holder:
    api: object

    def go(self, text):
        return self.api.responses.create(model="gpt-4.1", input=text)  #= openai gpt-4.1 -


Holder(OpenAI()).go("x")
