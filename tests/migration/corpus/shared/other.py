import shared.clients
from shared import clients as made


async def one(messages):
    return await made.claude.messages.create(model=made.DEFAULT_MODEL, max_tokens=10, messages=messages)  #= anthropic claude-sonnet-4-5 10 async


async def two(messages):
    return await shared.clients.claude.messages.create(model="claude-3-haiku", max_tokens=20, messages=messages)  #= anthropic claude-3-haiku 20 async
