from anthropic import AsyncAnthropic


def build(key):
    api = AsyncAnthropic(api_key=key)
    model = "claude-3-5-haiku-20241022"

    async def ask(text, max_tokens=300):
        async def once():
            return await api.messages.create(model=model, max_tokens=max_tokens, messages=[{"role": "user", "content": text}])  #= anthropic claude-3-5-haiku-20241022 300 async

        return await once()

    return ask


class Outer:
    class Inner:
        api = AsyncAnthropic()

        async def go(self):
            for attempt in range(3):
                try:
                    return await self.api.messages.create(model="claude-3-haiku", max_tokens=9, messages=[])  #= anthropic claude-3-haiku 9 async
                except Exception:
                    if attempt == 2:
                        raise
