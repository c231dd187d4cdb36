import os

from anthropic import Anthropic
from openai import OpenAI


def answer(provider: str, text: str):
    messages = [{"role": "user", "content": text}]
    match provider:
        case "anthropic":
            client = Anthropic()
            return client.messages.create(model=os.getenv("CLAUDE_MODEL", "claude-3-haiku"), max_tokens=1000, messages=messages)  #= anthropic claude-3-haiku 1000
        case "openai":
            client = OpenAI()
            return client.chat.completions.create(model=os.environ["GPT"], messages=messages)  #= openai - -
        case _:
            raise ValueError(provider)


def either(fast: bool, text: str):
    model = "gpt-4o-mini" if fast else "gpt-4o"
    return OpenAI().chat.completions.create(model=model, messages=[{"role": "user", "content": text}])  #= openai gpt-4o|gpt-4o-mini -
