import asyncio

from openai import AsyncOpenAI
from tenacity import retry, stop_after_attempt

client = AsyncOpenAI().with_options(max_retries=5)


@retry(stop=stop_after_attempt(3))
async def score(item):
    completion = await client.with_options(timeout=5).beta.chat.completions.parse(  #= openai gpt-4o-mini - async
        model="gpt-4o-mini", messages=[{"role": "user", "content": item}], response_format=dict
    )
    return completion.choices[0].message.parsed


async def score_all(items):
    return await asyncio.gather(*(
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": item}])  #= openai gpt-4o - async
        for item in items
    ))


async def raw(item):
    response = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=item)  #= openai gpt-4o - async
    return response.parse()


later = lambda item: client.chat.completions.create(model="gpt-4o", messages=item)  #= openai gpt-4o - async
