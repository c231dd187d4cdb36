from anthropic import AsyncAnthropic


class MyAgent:
    def __init__(self):
        self.anthropic = AsyncAnthropic(api_key="your_key")

    async def process(self, text):
        response = await self.anthropic.messages.create(
            model="claude-3-sonnet-20240229",
            max_tokens=1000,
            messages=[{"role": "user", "content": text}]
        )
        return response.content[0].text
