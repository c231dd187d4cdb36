"""What a caller asks for beside messages, tools and a length -> one checked value, in no vendor's form.

Both vendors' spellings are read. What is wrong is refused by place (`tool_choice.name`), and never quoted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict

from engine.provider_apis import APIS
from engine.providers.messages import refusal

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""How much reasoning may be asked for, from none up."""

MOST_STOPS = 16


class RequestFields(TypedDict, total=False):
    """What `select_and_invoke` and `stream` take by name, beside what they name themselves."""

    system: str | Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: Mapping[str, Any] | None
    stop: str | Sequence[str] | None
    top_p: float | None
    seed: int | None
    reasoning: str | int | Mapping[str, Any] | None
    metadata: Mapping[str, str] | None
    user: str | None
    cache: bool | str | Mapping[str, Any] | None
    extra: Mapping[str, Mapping[str, Any]] | None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools may or must be called; `name` is the one that must be."""

    kind: Literal["auto", "none", "required", "named"]
    name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """JSON: of a `schema`, or any when that is None."""

    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    name: str = field(default="answer", repr=False)
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ReasoningWanted:
    """How much a model may reason: an effort of `EFFORTS`, or a budget in tokens."""

    effort: str | None = None
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What one request asks for; None and empty are not asked for. Nothing that could be a caller's content
    is in its repr."""

    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    stop: tuple[str, ...] = field(default=(), repr=False)
    top_p: float | None = None
    temperature: float | None = None
    seed: int | None = None
    reasoning: ReasoningWanted | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str | None = field(default=None, repr=False)
    cache: str | None = None
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def wanted(self) -> Iterator[str]:
        """The names of the fields that are asked for, `extra` aside."""
        if self is NO_OPTIONS:
            return
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None and value != () and value != {} and one.name != "extra":
                yield one.name

    def content(self) -> list[Any]:
        """Everything in it that is the caller's own words."""
        choice, form = self.tool_choice, self.response_format
        held = [choice.name if choice else None, form.schema if form else None, form.name if form else None]
        return [*held, *self.stop, dict(self.metadata), self.user, dict(self.extra)]


NO_OPTIONS = RequestOptions()


def unknown_field(given: Iterable[str]) -> str | None:
    """A name among these that no field of a request has."""
    return min(set(given) - _READERS.keys() - {"system"}, default=None)


def read_options(given: Mapping[str, Any]) -> RequestOptions:
    """Read what a caller gave by name, `system` aside. Raises InvalidRequest."""
    told = {name: value for name, value in given.items() if value is not None and name != "system"}
    if not told:
        return NO_OPTIONS
    read = {name: _READERS[name](value) for name, value in told.items()}
    metadata = dict(read.get("metadata", {}))
    if "user_id" in metadata and "user" not in read:
        read["user"] = metadata.pop("user_id")
        read["metadata"] = metadata
    choice = given.get("tool_choice")
    if isinstance(choice, Mapping) and isinstance(choice.get("disable_parallel_tool_use"), bool):
        read.setdefault("parallel_tool_calls", not choice["disable_parallel_tool_use"])
    return RequestOptions(**read)


def _tool_choice(value: object) -> ToolChoice:
    match value:
        case "auto" | {"type": "auto"}:
            return ToolChoice("auto")
        case "none" | {"type": "none"}:
            return ToolChoice("none")
        case "required" | "any" | {"type": "any"}:
            return ToolChoice("required")
        case {"type": "function", "function": {"name": str(name)}} | {"type": "tool", "name": str(name)}:
            return ToolChoice("named", name)
        case _:
            raise refusal("tool_choice", "is neither auto, none, required nor the name of a function tool")


def _response_format(value: object) -> ResponseFormat | None:
    match value:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return ResponseFormat()
        case {"type": "json_schema", "json_schema": {"schema": Mapping() as schema, **rest}}:
            name, strict = rest.get("name"), rest.get("strict")
            return ResponseFormat(
                schema,
                name if isinstance(name, str) else "answer",
                strict if isinstance(strict, bool) else None,
            )
        case {"type": "json_schema", "schema": Mapping() as schema}:
            return ResponseFormat(schema)
        case _:
            raise refusal("response_format", "is neither text, json_object nor a json_schema with its schema")


def _stop(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, Sequence) or not all(isinstance(stop, str) and stop for stop in stops):
        raise refusal("stop", "is neither a text nor a list of texts")
    if len(stops) > MOST_STOPS:
        raise refusal("stop", f"has more than {MOST_STOPS} texts")
    return tuple(stops)


def _number(name: str, most: float) -> Any:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise refusal(name, "is not a number")
        if not 0 <= value <= most:
            raise refusal(name, f"is not from 0 to {most:g}")
        return value

    return read


def _seed(value: object) -> int:
    if type(value) is not int:
        raise refusal("seed", "is not a whole number")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise refusal("parallel_tool_calls", "is neither True nor False")
    return value


def _reasoning(value: object) -> ReasoningWanted:
    match value:
        case str(effort) | {"effort": str(effort)} if effort in EFFORTS:
            return ReasoningWanted(effort)
        case {"type": "disabled"}:
            return ReasoningWanted("none")
        case {"type": "adaptive"}:
            return ReasoningWanted("medium")
        case int(budget) | {"budget_tokens": int(budget)} | {"max_tokens": int(budget)}:
            if not isinstance(budget, bool) and budget > 0:
                return ReasoningWanted(budget_tokens=budget)
    raise refusal("reasoning", f"is neither one of {', '.join(EFFORTS)} nor a budget in tokens")


def _metadata(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(
        isinstance(key, str) and isinstance(held, str) for key, held in value.items()
    ):
        raise refusal("metadata", "is not a mapping of texts")
    return dict(value)


def _user(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise refusal("user", "is not a text")
    return value


def _cache(value: object) -> str | None:
    """How long a prompt is to be kept: `5m` or `1h`; None for not."""
    match value:
        case False:
            return None
        case True | "5m" | {"type": "ephemeral", "ttl": "5m"}:
            return "5m"
        case "1h" | {"type": "ephemeral", "ttl": "1h"}:
            return "1h"
        case {"type": "ephemeral"}:
            return "5m"
        case _:
            raise refusal("cache", "is neither True, 5m nor 1h")


_ROUTERS_OWN = frozenset(
    {
        *("model", "messages", "system", "tools", "stream", "stream_options", "store", "truncate"),
        # What these ask for is paid for beyond what the budget held.
        *("max_tokens", "max_completion_tokens", "n", "best_of", "service_tier", "web_search_options"),
        *("mcp_servers", "container", "modalities", "audio", "prediction", "background", "speed", "num_ctx"),
        *("num_predict", "plugins", "models", "fallbacks", "route", "functions", "function_call"),
    }
)
"""What `extra` may not hold: the router writes it itself, decides it, or has to know what it costs."""


def _extra(value: object) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping):
        raise refusal("extra", "is not a mapping of APIs")
    for api, held in value.items():
        if api not in APIS:
            raise refusal("extra", f"is by API: {', '.join(APIS)}")
        if not isinstance(held, Mapping):
            raise refusal(f"extra.{api}", "is not a mapping")
        options = held.get("options")
        for key in (*held, *(options if isinstance(options, Mapping) else ())):
            if not isinstance(key, str):
                raise refusal(f"extra.{api}", "has a name that is no text")
            if key in _ROUTERS_OWN:
                raise refusal(f"extra.{api}.{key}", "is the router's own to say")
    return {api: dict(held) for api, held in value.items()}


_READERS: Mapping[str, Any] = {
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _flag,
    "response_format": _response_format,
    "stop": _stop,
    "top_p": _number("top_p", 1),
    "temperature": _number("temperature", 2),
    "seed": _seed,
    "reasoning": _reasoning,
    "metadata": _metadata,
    "user": _user,
    "cache": _cache,
    "extra": _extra,
}
