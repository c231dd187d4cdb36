from abc import ABC, abstractmethod

import anthropic
import openai


class Provider(ABC):
    def __init__(self, key):
        self.client = self.make(key)

    @abstractmethod
    def make(self, key): ...


class Claude(Provider):
    def make(self, key):
        return anthropic.Anthropic(api_key=key)

    def ask(self, text):
        return self.client.messages.create(  #= anthropic claude-3-haiku-20240307 256
            model="claude-3-haiku-20240307", max_tokens=256, messages=[{"role": "user", "content": text}]
        )


class Gpt(Provider):
    def make(self, key):
        return openai.OpenAI(api_key=key)

    def ask(self, text):
        return self.client.chat.completions.create(  #= openai gpt-4-turbo -
            model="gpt-4-turbo", messages=[{"role": "user", "content": text}]
        )


class MyOpenAI(openai.OpenAI):
    def quick(self, text):
        return self.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": text}])  #= openai gpt-4o-mini -
