import os

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI


async def one_shot(prompt):
    async with AsyncAnthropic() as client:
        return await client.messages.create(  #= anthropic claude-opus-4-0 4096 async
            model="claude-opus-4-0", max_tokens=4096, messages=[{"role": "user", "content": prompt}]
        )


async def other(prompt):
    async with AsyncOpenAI(api_key=os.getenv("OPENAI_API_KEY")) as client, client.chat.completions.stream(  #= openai gpt-4o-2024-08-06 - async stream
        model="gpt-4o-2024-08-06", messages=[{"role": "user", "content": prompt}]
    ) as stream:
        async for event in stream:
            print(event)
