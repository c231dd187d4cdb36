"""The names of the Anthropic SDK, the OpenAI SDK, LangChain and LiteLLM that create a client or call a model.

Tables first, then the few functions that look something up in them. Names are dotted paths, as Python code
imports them. A new client class or method is a new row here and nothing else.
"""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Library: TypeAlias = Literal["anthropic", "openai", "langchain", "litellm"]
LIBRARIES: tuple[Library, ...] = ("anthropic", "openai", "langchain", "litellm")

# A file without any of these names cannot call a model by itself.
MENTIONS_A_LIBRARY = re.compile(
    r"anthropic|openai|langchain|langgraph|litellm|messages\.create|messages\.stream|completions\.|responses\.create"
)

# Drop-in modules that provide the same names.
DROP_INS = {"langfuse.openai": "openai", "ddtrace.openai": "openai", "posthog.ai.openai": "openai"}

ANTHROPIC_CLIENTS = frozenset(
    prefix + name
    for prefix in ("", "Async")
    for name in ("Anthropic", "AnthropicBedrock", "AnthropicVertex", "AnthropicFoundry")
) | {"Client", "AsyncClient"}
OPENAI_CLIENTS = frozenset(
    {"OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI", "Client", "AsyncClient"}
)

# Attributes of a client -> whether the call streams whatever its arguments are.
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
# The module `openai` is a client itself; before version 1 it had classes instead.
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

# Methods that return the same client or model with more arguments.
CLIENT_COPIES = frozenset({"with_options", "copy", "__enter__", "__aenter__"})
MODEL_COPIES = CLIENT_COPIES | {
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
# Attributes that stand for the client itself.
CLIENT_VIEWS = frozenset({"with_raw_response", "with_streaming_response"})
# What calling a function of another package means for the values that pass through it.
Effect: TypeAlias = Literal[
    "returns its first argument",
    "calls its first argument",
    "binds its first argument",
    "calls its factory",
    "returns its default",
    "makes a dict",
    "imports",
]
EFFECTS: dict[str, Effect] = {
    "copy.copy": "returns its first argument",
    "instructor.from_anthropic": "returns its first argument",
    "instructor.from_litellm": "returns its first argument",
    "instructor.from_openai": "returns its first argument",
    "instructor.patch": "returns its first argument",
    "langsmith.wrappers.wrap_anthropic": "returns its first argument",
    "langsmith.wrappers.wrap_openai": "returns its first argument",
    "braintrust.wrap_anthropic": "returns its first argument",
    "braintrust.wrap_openai": "returns its first argument",
    "asyncio.to_thread": "calls its first argument",
    "anyio.to_thread.run_sync": "calls its first argument",
    "asgiref.sync.sync_to_async": "calls its first argument",
    "starlette.concurrency.run_in_threadpool": "calls its first argument",
    "fastapi.concurrency.run_in_threadpool": "calls its first argument",
    "functools.partial": "binds its first argument",
    "functools.partialmethod": "binds its first argument",
    "fastapi.Depends": "calls its factory",
    "fastapi.params.Depends": "calls its factory",
    "dataclasses.field": "calls its factory",
    "pydantic.Field": "calls its factory",
    "os.getenv": "returns its default",
    "os.environ.get": "returns its default",
    "builtins.dict": "makes a dict",
    "importlib.import_module": "imports",
    "__import__": "imports",
}
CASTS = frozenset({"typing.cast", "typing_extensions.cast"})
# Builtins and modules that receive a function and do not call it.
INSPECTORS = frozenset(
    {
        "callable",
        "functools",
        "getattr",
        "hasattr",
        "id",
        "inspect",
        "isinstance",
        "mock",
        "print",
        "repr",
        "setattr",
        "type",
        "wraps",
    }
)
PROPERTIES = frozenset({"property", "cached_property", "functools.cached_property"})
# Generic types whose argument says what the value is, or what it yields.
TRANSPARENT_TYPES = frozenset(
    {
        "Annotated",
        "AsyncGenerator",
        "AsyncIterator",
        "Awaitable",
        "ClassVar",
        "Final",
        "Generator",
        "Iterator",
        "Optional",
        "Type",
        "Union",
    }
)
# Packages whose clients look like OpenAI's or Anthropic's: other vendors, then test doubles and messengers.
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
# Calls of the four libraries that the router cannot make; the report has a note on each.
UNSUPPORTED_CALLS = frozenset(
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
UNSUPPORTED_FUNCTIONS = frozenset(
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

# Calls recognized by shape where the receiver cannot be traced: attributes -> library, and required keywords.
SHAPES: dict[str, tuple[Library, frozenset[str]]] = {
    "messages.create": ("anthropic", frozenset({"model", "messages"})),
    "messages.stream": ("anthropic", frozenset({"model", "messages"})),
    "chat.completions.create": ("openai", frozenset({"messages"})),
    "chat.completions.parse": ("openai", frozenset({"messages"})),
    "responses.create": ("openai", frozenset({"model", "input"})),
}


@dataclass(frozen=True, slots=True)
class CallKind:
    """One way to call a model. `form` is its attributes or name, such as `messages.create`."""

    library: Library
    form: str
    asynchronous: bool
    streams: bool


def canonical(path: str) -> str:
    """The path under its own library's name: `langfuse.openai.OpenAI` is `openai.OpenAI`."""
    for module, original in DROP_INS.items():
        if path == module or path.startswith(module + "."):
            return original + path[len(module) :]
    return path


def library_of(path: str) -> Library | None:
    """The library a path belongs to: `langchain_openai.ChatOpenAI` to langchain."""
    top = canonical(path).partition(".")[0]
    if top == "langchain" or top.startswith("langchain_") or top == "langgraph":
        return "langchain"
    return next((library for library in LIBRARIES if library == top), None)


def creates_client(path: str) -> bool:
    """Whether calling this path creates a client of one of the four libraries, or a LangChain model."""
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


def client_call(path: str, attributes: tuple[str, ...]) -> CallKind | None:
    """The model call that `attributes` of an instance of `path` is, if it is one."""
    form = ".".join(attributes)
    last = path.rpartition(".")[2]
    match library_of(path):
        case "anthropic" if form in ANTHROPIC_CALLS:
            return CallKind("anthropic", form, last.startswith("Async"), ANTHROPIC_CALLS[form])
        case "openai" if form in OPENAI_CALLS:
            return CallKind("openai", form, last.startswith("Async"), OPENAI_CALLS[form])
        case "litellm" if form in LITELLM_CALLS:
            return CallKind("litellm", form, LITELLM_CALLS[form], False)
        case "langchain" if (form or "__call__") in LANGCHAIN_CALLS:
            name = form or "__call__"
            return CallKind("langchain", name, name.startswith("a"), LANGCHAIN_CALLS[name])
        case _:
            return None


def function_call(path: str) -> CallKind | None:
    """The model call that a function or class method of a library is: `litellm.acompletion`."""
    path = canonical(path)
    top, _, rest = path.partition(".")
    if top == "litellm":
        name = rest.rpartition(".")[2]
        return CallKind("litellm", name, LITELLM_CALLS[name], False) if name in LITELLM_CALLS else None
    if top == "openai":
        if rest in OPENAI_OLD_CALLS:
            return CallKind("openai", rest, OPENAI_OLD_CALLS[rest], False)
        if rest in OPENAI_CALLS:
            return CallKind("openai", rest, False, OPENAI_CALLS[rest])
    return None


def call_by_shape(attributes: tuple[str, ...], keywords: frozenset[str]) -> CallKind | None:
    """The model call that a call on an unknown receiver looks like, by its last attributes and keywords."""
    for length in (3, 2):
        form = ".".join(attributes[-length:])
        if form in SHAPES and len(attributes) > length - 1:
            library, needed = SHAPES[form]
            if needed <= keywords:
                return CallKind(library, form, False, form.endswith(".stream"))
    return None
