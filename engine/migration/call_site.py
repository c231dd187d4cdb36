"""A found call -> the facts that a report shows, and the router call that could replace it.

The task type of the suggestion is a guess from names, and the report says so.
"""

import ast
import re
from dataclasses import dataclass

from engine.migration.found_calls import FoundCall
from engine.migration.libraries import Library
from engine.migration.values import Argument, Constant, Values

PROMPTS = ("messages", "input", "prompt", "contents")
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample", "num_predict")
MODELS = ("model", "model_name", "model_id", "deployment_name", "azure_deployment", "engine")
EMPTY = frozenset(
    {
        "None",
        "[]",
        "()",
        "{}",
        "NOT_GIVEN",
        "NotGiven()",
        "omit",
        "Omit()",
        "anthropic.NOT_GIVEN",
        "openai.NOT_GIVEN",
    }
)

# Beginnings of words in the names around a call -> the task type they suggest. The first match decides.
TASK_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("planning", ("plan", "roadmap", "orchestrat", "decompos", "strateg")),
    ("summarization", ("summar", "tldr", "digest", "condens", "recap")),
    ("classification", ("classif", "categor", "sentiment", "moderat", "triage", "intent", "label")),
    ("extraction", ("extract", "entit", "ner", "invoice", "structur")),
    ("coding", ("code", "coding", "coder", "refactor", "codegen", "sql", "docstring")),
    ("routing", ("route", "routing", "dispatch", "tool", "function")),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """The TaskProfile to suggest; `why` says where its task type comes from."""

    task_type: str
    criticality: str
    context_size: int | None
    tool_use_required: bool
    budget_sensitivity: str | None
    why: str

    def arguments(self) -> dict[str, str | int | bool]:
        """The arguments that differ from a default or matter to a reader, in the order of TaskProfile."""
        arguments: dict[str, str | int | bool] = {"task_type": self.task_type}
        if not self.tool_use_required or self.criticality != "medium":
            arguments["criticality"] = self.criticality
        if self.context_size is not None:
            arguments["context_size"] = self.context_size
        if self.tool_use_required:
            arguments["tool_use_required"] = True
        if self.budget_sensitivity is not None:
            arguments["budget_sensitivity"] = self.budget_sensitivity
        return arguments

    def code(self) -> str:
        """`TaskProfile(task_type="qa", criticality="medium")`."""
        parts = [f"{name}={_literal(value)}" for name, value in self.arguments().items()]
        return f"TaskProfile({', '.join(parts)})"


@dataclass(frozen=True, slots=True, eq=False)
class CallSite:
    """One direct call. Lines and columns are 1-based. `models` are the names that could be traced to a
    constant; `model_source` and `max_tokens_source` are the arguments as their author wrote them."""

    found: FoundCall
    file: str
    line: int
    column: int
    end_line: int
    library: Library
    call: str
    models: tuple[str, ...]
    model_source: str | None
    max_tokens: int | None
    max_tokens_source: str | None
    tools: bool
    asynchronous: bool
    streaming: bool
    function: str
    traced: bool
    profile: Profile
    suggestion: str
    remarks: tuple[str, ...]


def site_of(found: FoundCall) -> CallSite:
    """Everything that the text of a call tells about it."""
    keywords = dict(found.keywords)
    node = found.node
    model = next((keywords[name] for name in MODELS if name in keywords), None)
    limit = next((keywords[name] for name in LIMITS if name in keywords), None)
    tools = any(_is_given(keywords.get(name)) for name in ("tools", "functions"))
    streaming = found.kind.streams or _is_given(keywords.get("stream"))
    limits = [value for value in _constants(limit) if type(value) is int]
    max_tokens = max(limits) if limits else None
    profile = _profile(found, max_tokens, tools)
    return CallSite(
        found=found,
        file=found.module.file,
        line=node.lineno,
        column=node.col_offset + 1,
        end_line=node.end_lineno or node.lineno,
        library=found.kind.library,
        call=_short(ast.unparse(node.func)),
        models=tuple(sorted({value for value in _constants(model) if isinstance(value, str)})),
        model_source=None if model is None else source_of(model, found),
        max_tokens=max_tokens,
        max_tokens_source=None if limit is None else source_of(limit, found),
        tools=tools,
        asynchronous=found.kind.asynchronous,
        streaming=streaming,
        function=found.function,
        traced=found.traced,
        profile=profile,
        suggestion=_suggestion(found, profile, keywords, limit, streaming, tools),
        remarks=_remarks(found, keywords, tools),
    )


def source_of(argument: Argument, found: FoundCall) -> str:
    """The argument as its author wrote it, on one line."""
    if argument.file == found.module.file:
        text = ast.get_source_segment(found.module.text, argument.node)
        if text is not None and "\n" not in text:
            return text
    return _short(ast.unparse(argument.node))


def messages_code(found: FoundCall, keywords: dict[str, Argument], prompt_source: str | None = None) -> str:
    """The expression for the router's `messages`, from the prompt and the system prompt of the call."""
    prompt = next((keywords[name] for name in PROMPTS if name in keywords), None)
    if prompt is None:
        return "messages"
    text = prompt_source if prompt_source is not None else source_of(prompt, found)
    takes_text = "messages" not in keywords and not isinstance(prompt.node, ast.List)
    if takes_text and found.kind.library != "langchain":
        text = f'[{{"role": "user", "content": {text}}}]'
    system = keywords.get("system") or keywords.get("instructions")
    if system is not None:
        first = f'{{"role": "system", "content": {source_of(system, found)}}}'
        literal = isinstance(prompt.node, ast.List) and prompt.node.elts and text.startswith("[")
        text = f"[{first}, {text[1:].lstrip()}" if literal else f"[{first}, *{text}]"
    return text


def _suggestion(
    found: FoundCall,
    profile: Profile,
    keywords: dict[str, Argument],
    limit: Argument | None,
    streaming: bool,
    tools: bool,
) -> str:
    arguments = ["task", "messages" if found.kind.library == "langchain" else messages_code(found, keywords)]
    if limit is not None:
        arguments.append(f"max_tokens={source_of(limit, found)}")
    if tools:
        given = keywords.get("tools") or keywords["functions"]
        arguments.append(f"tools={source_of(given, found)}")
    if "temperature" in keywords:
        arguments.append(f"temperature={source_of(keywords['temperature'], found)}")
    router = "self.model_router" if _in_method(found) else "model_router"
    lines = [f"task = {profile.code()}"]
    if streaming:
        lines.append(f"async for chunk in {router}.stream({', '.join(arguments)}): ...")
    elif found.in_async or found.kind.asynchronous:
        lines.append(f"result = await {router}.select_and_invoke({', '.join(arguments)})")
    else:
        lines.append(f"result = asyncio.run({router}.select_and_invoke({', '.join(arguments)}))")
    return "\n".join(lines)


def _remarks(found: FoundCall, keywords: dict[str, Argument], tools: bool) -> tuple[str, ...]:
    remarks = []
    if not found.traced:
        remarks.append("known by its shape: where the client comes from could not be traced")
    if found.in_async and not found.kind.asynchronous and found.traced:
        remarks.append("a synchronous call in an asynchronous function: it blocks the event loop")
    if tools and found.kind.library == "anthropic":
        remarks.append("Anthropic's tool shape: write each tool as an OpenAI-style function tool")
    if "functions" in keywords:
        remarks.append("`functions` became `tools` in the OpenAI API")
    if found.kind.library == "langchain":
        remarks.append("the router takes role/content messages: format the prompt first")
    if found.kind.form in ("completions.create", "Completion.create", "Completion.acreate"):
        remarks.append("a plain completion: the router asks chat models")
    if "**" in keywords:
        remarks.append("more keywords come from `**`, and could not be traced")
    return tuple(remarks)


def _profile(found: FoundCall, max_tokens: int | None, tools: bool) -> Profile:
    task_type, why = _task_type(found, tools)
    if task_type == "planning":
        return Profile(task_type, "high", max_tokens, tools, "low", why)
    return Profile(task_type, "medium", None, tools, None, why)


def _task_type(found: FoundCall, tools: bool) -> tuple[str, str]:
    function = found.function.rpartition(".")[2]
    for names, what in ((function, "function"), (found.function.rpartition(".")[0], "class")):
        guess = _by_words(names)
        if guess:
            return guess, f"guessed from the name of the {what}, {names}"
        if what == "function" and tools:
            return "routing", "it passes tools"
    file = found.module.file.rpartition("/")[2].removesuffix(".py")
    guess = _by_words(file)
    if guess:
        return guess, f"guessed from the name of the file, {file}"
    return "qa", "nothing says otherwise"


def _by_words(names: str) -> str | None:
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", names)]
    for task_type, beginnings in TASK_WORDS:
        if any(
            word == begin or (len(begin) > 3 and word.startswith(begin))
            for word in words
            for begin in beginnings
        ):
            return task_type
    return None


def _in_method(found: FoundCall) -> bool:
    return isinstance(found.node.func, ast.Attribute) and ast.unparse(found.node.func).startswith("self.")


def _constants(argument: Argument | None) -> list[str | int | float | bool | None]:
    values: Values = frozenset() if argument is None else argument.values
    return [value.value for value in values if isinstance(value, Constant)]


def _is_given(argument: Argument | None) -> bool:
    """Whether the argument is there and is not, by its text, empty or false."""
    if argument is None or ast.unparse(argument.node) in EMPTY:
        return False
    constants = _constants(argument)
    return not constants or any(constants) or len(constants) < len(argument.values)


def _literal(value: str | int | bool) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _short(text: str, most: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."
