import instructor
from anthropic import Anthropic
from langfuse.openai import OpenAI
from langsmith.wrappers import wrap_openai
from pydantic import BaseModel


class Person(BaseModel):
    name: str


client = instructor.from_anthropic(Anthropic())
traced = wrap_openai(OpenAI())


def extract_person(text):
    return client.messages.create(  #= anthropic claude-3-5-sonnet-20240620 1024 type=extraction
        model="claude-3-5-sonnet-20240620", max_tokens=1024, messages=[{"role": "user", "content": text}], response_model=Person
    )


def ask(text):
    return traced.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])  #= openai gpt-4o -
