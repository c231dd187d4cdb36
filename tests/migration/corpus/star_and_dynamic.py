import importlib
from openai import *

client = OpenAI()
client.chat.completions.create(model="gpt-4o", messages=[])  #= openai gpt-4o -

sdk = importlib.import_module("anthropic")
sdk.Anthropic().messages.create(model="claude-3-haiku", max_tokens=1, messages=[])  #= anthropic claude-3-haiku 1

make = OpenAI
make().completions.create(model="gpt-3.5-turbo-instruct", prompt="x")  #= openai gpt-3.5-turbo-instruct -
ask = client.chat.completions.create
ask(model="gpt-4o", messages=[], stream=True)  #= openai gpt-4o - stream
completions = client.chat.completions
completions.create(model="gpt-4o", messages=[])  #= openai gpt-4o -
