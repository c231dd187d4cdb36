from openai import OpenAI

client = OpenAI()


def stream_answer(prompt: str):
    stream = client.chat.completions.create(  #= openai gpt-4o-mini 800 stream
        model="gpt-4o-mini",
        max_tokens=800,
        stream=True,
        messages=[{"role": "user", "content": prompt}],
    )
    for chunk in stream:
        delta = chunk.choices[0].delta.content
        if delta:
            yield delta


def not_streamed(prompt: str):
    return client.chat.completions.create(  #= openai gpt-4o-mini 800
        model="gpt-4o-mini", max_tokens=800, stream=False, messages=[{"role": "user", "content": prompt}]
    )
