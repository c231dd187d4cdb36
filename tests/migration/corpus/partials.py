from functools import partial

from anthropic import Anthropic
from litellm import acompletion, completion

client = Anthropic()
haiku = partial(client.messages.create, model="claude-3-haiku-20240307", max_tokens=100)
cheap = partial(completion, model="gpt-4o-mini")


def classify(text):
    answer = haiku(messages=[{"role": "user", "content": f"Spam or not: {text}"}])  #= anthropic claude-3-haiku-20240307 100 type=classification
    return answer.content[0].text


def again(text):
    return cheap(messages=[{"role": "user", "content": text}], max_tokens=10)  #= litellm gpt-4o-mini 10


async def third(text):
    ask = partial(acompletion, model="claude-3-5-sonnet-20241022")
    return await ask(messages=[{"role": "user", "content": text}])  #= litellm claude-3-5-sonnet-20241022 - async
