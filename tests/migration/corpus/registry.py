import anthropic
import openai

CLIENTS = {"claude": anthropic.Anthropic(), "gpt": openai.OpenAI()}


def ask_claude(text):
    return CLIENTS["claude"].messages.create(  #= anthropic claude-3-sonnet-20240229 100
        model="claude-3-sonnet-20240229", max_tokens=100, messages=[{"role": "user", "content": text}]
    )


def ask_gpt(text):
    options = dict(model="gpt-4o", max_tokens=77)
    options["messages"] = [{"role": "user", "content": text}]
    return CLIENTS["gpt"].chat.completions.create(**options)  #= openai gpt-4o 77


def ask_any(name, text):
    a, b = anthropic.Anthropic(), openai.OpenAI()
    if name == "a":
        return a.messages.create(model="claude-3-haiku", max_tokens=5, messages=text)  #= anthropic claude-3-haiku 5
    return b.chat.completions.create(model="gpt-4o-mini", messages=text)  #= openai gpt-4o-mini -
