from langchain.agents import AgentExecutor, create_tool_calling_agent
from langchain.chains import LLMChain
from langchain.chat_models import ChatOpenAI, init_chat_model
from langchain.llms import OpenAI
from langchain.prompts import PromptTemplate

llm = OpenAI(model_name="gpt-3.5-turbo-instruct", temperature=0.9)
chat = ChatOpenAI(model="gpt-4")
chain = LLMChain(llm=chat, prompt=PromptTemplate.from_template("Name a company that makes {product}"))


def name_it(product):
    return chain.run(product)  #= langchain gpt-4 -


def old_style(text):
    return llm(text)  #= langchain gpt-3.5-turbo-instruct -


def predict(text):
    return chat.predict(text)  #= langchain gpt-4 -


def agent(tools, prompt, question):
    runner = AgentExecutor(agent=create_tool_calling_agent(chat, tools=tools, prompt=prompt), tools=tools)
    return runner.invoke({"input": question})  #= langchain gpt-4 - tools


def modern(question):
    model = init_chat_model("claude-3-5-sonnet-latest", model_provider="anthropic")
    return model.invoke(question)  #= langchain claude-3-5-sonnet-latest -
