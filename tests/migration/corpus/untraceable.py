"""The client comes from a package that is not here."""
from company.llm import get_client, registry


async def ask(text):
    client = await get_client("claude")
    return await client.messages.create(  #= anthropic claude-3-5-sonnet-latest 700 async shape
        model="claude-3-5-sonnet-latest", max_tokens=700, messages=[{"role": "user", "content": text}]
    )


def ask_other(self, text):
    return self.openai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])  #= openai gpt-4o - shape


def ask_third(text):
    return registry["gpt"].chat.completions.create(model="gpt-4o", messages=text, stream=True)  #= openai gpt-4o - stream shape
