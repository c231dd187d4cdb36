from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langgraph.graph import END, StateGraph
from langgraph.prebuilt import create_react_agent


@tool
def web_search(query: str) -> str:
    """Search."""
    return query


model = ChatAnthropic(model="claude-sonnet-4-5", max_tokens=4096)
agent = create_react_agent(model, [web_search])


def ask(question):
    return agent.invoke({"messages": [("user", question)]})  #= langchain claude-sonnet-4-5 4096 tools


def node(state):
    reply = model.bind_tools([web_search]).invoke(state["messages"])  #= langchain claude-sonnet-4-5 4096 tools
    return {"messages": [reply]}


def watch(question):
    for event in agent.stream({"messages": [("user", question)]}):  #= langchain claude-sonnet-4-5 4096 stream tools
        print(event)


graph = StateGraph(dict)
graph.add_node("node", node)
graph.add_edge("node", END)
