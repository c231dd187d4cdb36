from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

prompt = ChatPromptTemplate.from_template("Summarize: {text}")
chain = prompt | ChatOpenAI(model="gpt-4o-mini") | StrOutputParser()


def summarize(text: str) -> str:
    return chain.invoke({"text": text})  #= langchain gpt-4o-mini - type=summarization


def with_tools(text: str, tools: list):
    model = ChatOpenAI(model="gpt-4o").bind_tools(tools)
    return (prompt | model).invoke({"text": text})  #= langchain gpt-4o - tools


def structured(text: str, schema: type):
    return ChatOpenAI(model="gpt-4o").with_structured_output(schema).invoke(text)  #= langchain gpt-4o -


def rendering_only(text: str):
    return prompt.invoke({"text": text})
