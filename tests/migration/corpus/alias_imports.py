import anthropic as ant
import openai as oai
from openai import AsyncOpenAI as Gpt

claude = ant.AsyncAnthropic()
gpt = Gpt(timeout=20)
plain = oai.OpenAI()


async def ask_both(question):
    msgs = [{"role": "user", "content": question}]
    a = await claude.messages.create(model="claude-sonnet-4-0", max_tokens=300, messages=msgs)  #= anthropic claude-sonnet-4-0 300 async
    b = await gpt.chat.completions.create(model="gpt-4o", messages=msgs)  #= openai gpt-4o - async
    return a, b


def ask(question):
    return plain.responses.create(model="gpt-4.1-mini", input=question, max_output_tokens=200)  #= openai gpt-4.1-mini 200
