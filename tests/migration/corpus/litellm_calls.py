import litellm
from litellm import Router, completion

litellm.set_verbose = False


def ask(text):
    return completion(model="anthropic/claude-3-haiku", messages=[{"role": "user", "content": text}], max_tokens=50)  #= litellm anthropic/claude-3-haiku 50


def positional(text):
    return completion("gpt-4o", [{"role": "user", "content": text}], stream=True)  #= litellm gpt-4o - stream


async def ask_async(text):
    return await litellm.acompletion(model="ollama/llama3", messages=[{"role": "user", "content": text}])  #= litellm ollama/llama3 - async


router = Router(model_list=[])


async def routed(text):
    return await router.acompletion(model="gpt-4o", messages=[{"role": "user", "content": text}])  #= litellm gpt-4o - async


def vectors(text):
    return litellm.embedding(model="text-embedding-ada-002", input=[text])
