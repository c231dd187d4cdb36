from langchain.chains import create_retrieval_chain
from langchain.chains.combine_documents import create_stuff_documents_chain
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

llm = ChatOpenAI(model_name="gpt-4o-mini")
embeddings = OpenAIEmbeddings()
prompt = ChatPromptTemplate.from_messages([("system", "Use {context}"), ("human", "{input}")])


def build(retriever):
    return create_retrieval_chain(retriever, create_stuff_documents_chain(llm, prompt))


def answer(retriever, question):
    return build(retriever).invoke({"input": question})["answer"]  #= langchain gpt-4o-mini -


class Assistant:
    def __init__(self, retriever):
        self.chain = {"context": retriever, "input": RunnablePassthrough()} | prompt | llm | StrOutputParser()

    def stream(self, question):
        yield from self.chain.stream(question)  #= langchain gpt-4o-mini - stream

    async def ask(self, question):
        return await self.chain.ainvoke(question)  #= langchain gpt-4o-mini - async


vector = embeddings.embed_query("hello")
