import os

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

POOL = {
    "o3": ChatOpenAI(model="o3", max_tokens=50_000, max_retries=3),
    "sonnet": ChatAnthropic(model="claude-sonnet-4-20250514", max_tokens=50_000),
}


def create_llm(provider, model_name=None):
    if provider == "openai":
        return ChatOpenAI(model=model_name or "gpt-4o", temperature=0)
    elif provider == "anthropic":
        return ChatAnthropic(model=model_name or "claude-3-5-sonnet-20241022", api_key=os.environ["ANTHROPIC_API_KEY"])
    raise ValueError(provider)


def decompose(question, name="o3"):
    answer = POOL[name].invoke([SystemMessage(content="Split it"), HumanMessage(content=question)])  #= langchain claude-sonnet-4-20250514|o3 50000
    return answer.content


async def judge(text):
    llm = create_llm("openai")
    result = await llm.ainvoke([HumanMessage(content=text)])  #= langchain claude-3-5-sonnet-20241022|gpt-4o - async
    return result.content


def everyone(text):
    return [llm.invoke(text) for llm in POOL.values()]  #= langchain claude-sonnet-4-20250514|o3 50000
