import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from anthropic import Anthropic

client = Anthropic()
pool = ThreadPoolExecutor()


async def in_thread(text):
    return await asyncio.to_thread(  #= anthropic claude-3-haiku 10
        client.messages.create, model="claude-3-haiku", max_tokens=10, messages=[{"role": "user", "content": text}]
    )


def submitted(text):
    return pool.submit(  #= anthropic claude-3-haiku 20
        client.messages.create, model="claude-3-haiku", max_tokens=20, messages=[{"role": "user", "content": text}]
    )


async def in_executor(text):
    loop = asyncio.get_running_loop()
    call = partial(client.messages.create, model="claude-3-haiku", max_tokens=30, messages=text)
    return await loop.run_in_executor(None, call)  #= anthropic claude-3-haiku 30
