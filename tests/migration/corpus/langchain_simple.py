from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model="gpt-4o", temperature=0, max_tokens=500)
claude = ChatAnthropic(model_name="claude-3-sonnet-20240229")


def ask(text):
    return llm.invoke([HumanMessage(content=text)]).content  #= langchain gpt-4o 500


async def ask_later(text):
    return (await claude.ainvoke(text)).content  #= langchain claude-3-sonnet-20240229 - async


def tokens(text):
    for chunk in llm.stream(text):  #= langchain gpt-4o 500 stream
        print(chunk.content, end="")


def many(texts):
    return llm.batch(texts)  #= langchain gpt-4o 500
