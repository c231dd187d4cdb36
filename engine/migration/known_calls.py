"""Which names of the Anthropic SDK, the OpenAI SDK, LangChain and LiteLLM make a client, and which ask a model.

Data, and the few questions that the call finder has about it. Names are dotted paths as Python code imports them.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Library: TypeAlias = Literal["anthropic", "openai", "langchain", "litellm"]
LIBRARIES: tuple[Library, ...] = ("anthropic", "openai", "langchain", "litellm")

# Drop-in modules that serve the same names.
SAME_AS = {"langfuse.openai": "openai", "ddtrace.openai": "openai", "posthog.ai.openai": "openai"}

ANTHROPIC_CLIENTS = frozenset(
    prefix + name
    for prefix in ("", "Async")
    for name in ("Anthropic", "AnthropicBedrock", "AnthropicVertex", "AnthropicFoundry")
) | {"Client", "AsyncClient"}
OPENAI_CLIENTS = frozenset(
    {"OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI", "Client", "AsyncClient"}
)

# Trail behind a client -> whether the call streams whatever its arguments say.
ANTHROPIC_CALLS: dict[str, bool] = {
    "messages.create": False,
    "messages.parse": False,
    "messages.stream": True,
    "beta.messages.create": False,
    "beta.messages.parse": False,
    "beta.messages.stream": True,
    "beta.messages.tool_runner": False,
    "completions.create": False,
}
OPENAI_CALLS: dict[str, bool] = {
    "chat.completions.create": False,
    "chat.completions.parse": False,
    "chat.completions.stream": True,
    "beta.chat.completions.create": False,
    "beta.chat.completions.parse": False,
    "beta.chat.completions.stream": True,
    "responses.create": False,
    "responses.parse": False,
    "responses.stream": True,
    "completions.create": False,
}
# The module of openai is a client itself; before version 1 it had classes in their place.
OPENAI_OLD_CALLS: dict[str, bool] = {  # path -> whether it is asynchronous
    "ChatCompletion.create": False,
    "ChatCompletion.acreate": True,
    "Completion.create": False,
    "Completion.acreate": True,
}
LITELLM_CALLS: dict[str, bool] = {  # name -> whether it is asynchronous
    "completion": False,
    "acompletion": True,
    "text_completion": False,
    "atext_completion": True,
    "batch_completion": False,
    "responses": False,
    "aresponses": True,
    "completion_with_retries": False,
    "acompletion_with_retries": True,
}
LANGCHAIN_CALLS: dict[str, bool] = {  # name -> whether it streams; those that begin with `a` are asynchronous
    "invoke": False,
    "ainvoke": False,
    "stream": True,
    "astream": True,
    "astream_events": True,
    "astream_log": True,
    "batch": False,
    "abatch": False,
    "batch_as_completed": False,
    "abatch_as_completed": False,
    "generate": False,
    "agenerate": False,
    "generate_prompt": False,
    "agenerate_prompt": False,
    "predict": False,
    "apredict": False,
    "predict_messages": False,
    "apredict_messages": False,
    "call_as_llm": False,
    "run": False,
    "arun": False,
    "__call__": False,
}
LANGCHAIN_MODELS = frozenset(
    {
        "AzureChatOpenAI",
        "AzureOpenAI",
        "Anthropic",
        "AnthropicLLM",
        "ChatAnthropic",
        "ChatAnthropicMessages",
        "ChatAnthropicVertex",
        "ChatBedrock",
        "ChatBedrockConverse",
        "ChatCohere",
        "ChatDeepSeek",
        "ChatFireworks",
        "ChatGoogleGenerativeAI",
        "ChatGroq",
        "ChatHuggingFace",
        "ChatLiteLLM",
        "ChatLiteLLMRouter",
        "ChatMistralAI",
        "ChatOllama",
        "ChatOpenAI",
        "ChatPerplexity",
        "ChatTogether",
        "ChatVertexAI",
        "ChatXAI",
        "OllamaLLM",
        "OpenAI",
        "init_chat_model",
    }
)

# What hands a client or a model on, with more arguments.
KEEPS_THE_CLIENT = frozenset({"with_options", "copy", "__enter__", "__aenter__"})
KEEPS_THE_MODEL = KEEPS_THE_CLIENT | {
    "bind",
    "bind_functions",
    "bind_tools",
    "pipe",
    "with_config",
    "with_fallbacks",
    "with_listeners",
    "with_retry",
    "with_structured_output",
    "with_types",
}
TRANSPARENT = frozenset({"with_raw_response", "with_streaming_response"})
# Functions of other packages whose answer is, for our purpose, their first argument.
WRAPPERS = frozenset(
    {
        "copy.copy",
        "instructor.from_anthropic",
        "instructor.from_litellm",
        "instructor.from_openai",
        "instructor.patch",
        "langsmith.wrappers.wrap_anthropic",
        "langsmith.wrappers.wrap_openai",
        "braintrust.wrap_anthropic",
        "braintrust.wrap_openai",
    }
)
# Functions that call what they are given: path -> which positional argument is called.
CALLERS = {
    "asyncio.to_thread": 0,
    "anyio.to_thread.run_sync": 0,
    "asgiref.sync.sync_to_async": 0,
    "starlette.concurrency.run_in_threadpool": 0,
    "fastapi.concurrency.run_in_threadpool": 0,
}
# Clients that look like OpenAI's or Anthropic's and are somebody else's, or nobody's.
OTHER_VENDORS = frozenset(
    {
        "aleph_alpha_client",
        "cerebras",
        "cohere",
        "fireworks",
        "google",
        "groq",
        "huggingface_hub",
        "mistralai",
        "ollama",
        "replicate",
        "together",
        "vertexai",
        "xai_sdk",
    }
)
NOT_CLIENTS = OTHER_VENDORS | {
    "unittest",
    "mock",
    "pytest",
    "pytest_mock",
    "respx",
    "twilio",
    "telegram",
    "slack_sdk",
}
# Calls of the four libraries that the router does not make: said in a note.
NOT_ROUTED = frozenset(
    {
        "embeddings.create",
        "images.generate",
        "audio.transcriptions.create",
        "audio.speech.create",
        "moderations.create",
        "messages.batches.create",
        "beta.messages.batches.create",
        "batches.create",
        "beta.threads.runs.create",
        "beta.threads.runs.create_and_poll",
        "fine_tuning.jobs.create",
    }
)
NOT_ROUTED_FUNCTIONS = frozenset(
    {
        "litellm.embedding",
        "litellm.aembedding",
        "litellm.image_generation",
        "litellm.transcription",
        "litellm.speech",
        "openai.Embedding.create",
        "openai.Moderation.create",
    }
)

# Calls known by their shape alone, where the receiver cannot be traced: trail -> library, and the keywords it must have.
SHAPES: dict[str, tuple[Library, frozenset[str]]] = {
    "messages.create": ("anthropic", frozenset({"model", "messages"})),
    "messages.stream": ("anthropic", frozenset({"model", "messages"})),
    "chat.completions.create": ("openai", frozenset({"messages"})),
    "chat.completions.parse": ("openai", frozenset({"messages"})),
    "responses.create": ("openai", frozenset({"model", "input"})),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that asks a model. `form` is its trail or name, such as `messages.create`."""

    library: Library
    form: str
    asynchronous: bool
    streams: bool


def canonical(path: str) -> str:
    """The path under its own library's name: `langfuse.openai.OpenAI` is `openai.OpenAI`."""
    for module, same in SAME_AS.items():
        if path == module or path.startswith(module + "."):
            return same + path[len(module) :]
    return path


def library_of(path: str) -> Library | None:
    """The library a path belongs to: `langchain_openai.ChatOpenAI` to langchain."""
    top = canonical(path).partition(".")[0]
    if top == "langchain" or top.startswith("langchain_") or top == "langgraph":
        return "langchain"
    return next((library for library in LIBRARIES if library == top), None)


def makes_a_client(path: str) -> bool:
    """Whether calling this makes a client of one of the four libraries, or a LangChain model."""
    last = path.rpartition(".")[2]
    match library_of(path):
        case "anthropic":
            return last in ANTHROPIC_CLIENTS
        case "openai":
            return last in OPENAI_CLIENTS
        case "langchain":
            return last in LANGCHAIN_MODELS
        case "litellm":
            return last == "Router"
        case None:
            return False


def asked_by_client(path: str, trail: tuple[str, ...]) -> Asked | None:
    """What calling `trail` of an instance of `path` asks, if it asks a model."""
    form = ".".join(trail)
    last = path.rpartition(".")[2]
    match library_of(path):
        case "anthropic" if form in ANTHROPIC_CALLS:
            return Asked("anthropic", form, last.startswith("Async"), ANTHROPIC_CALLS[form])
        case "openai" if form in OPENAI_CALLS:
            return Asked("openai", form, last.startswith("Async"), OPENAI_CALLS[form])
        case "litellm" if form in LITELLM_CALLS:
            return Asked("litellm", form, LITELLM_CALLS[form], False)
        case "langchain" if (form or "__call__") in LANGCHAIN_CALLS:
            name = form or "__call__"
            return Asked("langchain", name, name.startswith("a"), LANGCHAIN_CALLS[name])
        case _:
            return None


def asked_by_name(path: str) -> Asked | None:
    """What calling a function or class method of a library asks: `litellm.acompletion`, `openai.ChatCompletion.create`."""
    path = canonical(path)
    top, _, rest = path.partition(".")
    if top == "litellm":
        name = rest.rpartition(".")[2]
        return Asked("litellm", name, LITELLM_CALLS[name], False) if name in LITELLM_CALLS else None
    if top == "openai":
        if rest in OPENAI_OLD_CALLS:
            return Asked("openai", rest, OPENAI_OLD_CALLS[rest], False)
        if rest in OPENAI_CALLS:
            return Asked("openai", rest, False, OPENAI_CALLS[rest])
    return None


def asked_by_shape(trail: tuple[str, ...], keywords: frozenset[str]) -> Asked | None:
    """What a call on an unknown receiver asks, judged by its last names and its keywords."""
    for length in (3, 2):
        form = ".".join(trail[-length:])
        if form in SHAPES and len(trail) > length - 1:
            library, needed = SHAPES[form]
            if needed <= keywords:
                return Asked(library, form, False, form.endswith(".stream"))
    return None
