import openai

openai.api_key = "sk-proj-000000000000000000000000"


def chat(text):
    response = openai.ChatCompletion.create(model="gpt-3.5-turbo", messages=[{"role": "user", "content": text}])  #= openai gpt-3.5-turbo -
    return response["choices"][0]["message"]["content"]


async def achat(text):
    return await openai.ChatCompletion.acreate(model="gpt-4", messages=[{"role": "user", "content": text}])  #= openai gpt-4 - async


def finish(text):
    return openai.Completion.create(engine="text-davinci-003", prompt=text, max_tokens=64)  #= openai text-davinci-003 64


def module_client(text):
    return openai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])  #= openai gpt-4o -
