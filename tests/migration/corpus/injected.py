"""Clients passed around without a type."""
from openai import OpenAI


def ask(client, text, model="gpt-4o"):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])  #= openai gpt-4o|gpt-4o-mini -


class Service:
    def __init__(self, llm):
        self.llm = llm

    def answer(self, text):
        return self.llm.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": text}])  #= openai gpt-4o-mini -


def main():
    client = OpenAI()
    ask(client, "hi")
    ask(client, "ho", model="gpt-4o-mini")
    Service(client).answer("he")
