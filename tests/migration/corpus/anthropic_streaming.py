import asyncio

from anthropic import Anthropic, AsyncAnthropic


def sync_stream(client: Anthropic, text: str) -> str:
    with client.messages.stream(  #= anthropic claude-sonnet-4-5 1024 stream
        model="claude-sonnet-4-5", max_tokens=1024, messages=[{"role": "user", "content": text}]
    ) as stream:
        return "".join(stream.text_stream)


async def async_stream(text: str) -> None:
    client = AsyncAnthropic()
    async with client.messages.stream(  #= anthropic claude-sonnet-4-5 1024 async stream
        model="claude-sonnet-4-5", max_tokens=1024, messages=[{"role": "user", "content": text}]
    ) as stream:
        async for piece in stream.text_stream:
            print(piece, end="", flush=True)


asyncio.run(async_stream("hi"))
