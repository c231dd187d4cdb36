"""What a caller wants to say and how -> one value that hides it, and what decisions and budgets need of it:
sizes and needs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from engine.budget import InputSize, input_size, input_token_bound
from engine.providers.errors import InvalidRequest
from engine.providers.messages import read_messages, read_tools, refusal
from engine.providers.options import NO_OPTIONS, RequestOptions, read_options, unknown_field
from engine.providers.parts import Audio, Document, Image, Turn, text_of_part

# A mean for the tokenisers in use; `Request.context_tokens` wants a mean.
BYTES_PER_TOKEN = 4


class Prompt:
    """Messages, tools and options of one request. Its repr shows their number and never their text, so that
    frames may hold it.

    Made without a look, so that whoever makes it can let go of the bare lists before anything can fail; then
    `check`.
    """

    def __init__(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self.messages = messages
        self.tools = tools or None
        self.turns: tuple[Turn, ...] = ()
        self.options: RequestOptions = NO_OPTIONS
        self.labels: frozenset[str] = frozenset()
        self._fields = fields or {}

    def check(self) -> None:
        """Read everything, once. Raises InvalidRequest, by place, for what no API could be asked; TypeError
        for a field that there is none of."""
        unknown = unknown_field(self._fields)
        if unknown is not None:
            raise TypeError(f"there is no field {unknown!r} of a request")
        refused: str | None = None
        try:
            self._read()
        except InvalidRequest as error:
            refused = error.detail
        # Outside the handler, so that no frame which held the prompt is in the error's traceback.
        if refused is not None:
            raise InvalidRequest(dispatched=False, detail=refused)

    def _read(self) -> None:
        for what, values in (("messages", self.messages), ("tools", self.tools)):
            problem = None if values is None else _problem(what, values)
            if problem:
                raise InvalidRequest(dispatched=False, detail=problem)
        self.options = read_options(self._fields)
        self.turns = read_messages(self.messages)
        self.labels = _labels(self.messages)
        system = self._fields.get("system")
        if system is not None:
            said = {"role": "system", "content": system}
            self.turns = (*_system(said), *self.turns)
            self.messages = [said, *self.messages]
        self._check_choice()
        self._fields = {}

    def _check_choice(self) -> None:
        names = [tool.name for tool in read_tools(self.tools)]
        choice = self.options.tool_choice
        if choice is None:
            return
        if choice.kind == "named" and choice.name not in names:
            raise refusal("tool_choice", "names a tool that was not passed")
        if choice.kind == "required" and not names:
            raise refusal("tool_choice", "wants a tool to be called, and none was passed")

    def __repr__(self) -> str:
        return f"<Prompt of {len(self.messages)} messages and {len(self.tools or ())} tools>"

    @cached_property
    def needs(self) -> frozenset[str]:
        """What a model must be able to do for it, as the request itself shows."""
        shown = {"tools"} if self.tools else set()
        form = self.options.response_format
        if form is not None and form.schema is not None:
            shown.add("structured_output")
        for turn in self.turns:
            for part in turn.parts:
                match part:
                    case Image():
                        shown.add("vision")
                    case Document(text=None):
                        shown.add("documents")
                    case Audio():
                        shown.add("audio")
        return frozenset(shown)

    @cached_property
    def expected_tokens(self) -> int:
        """About how many tokens a model will count: a mean, for windows and waiting, never for money."""
        texts = [text_of_part(part) for turn in self.turns for part in turn.parts]
        texts += [call["function"]["arguments"] for turn in self.turns for call in turn.tool_calls]
        size = sum(len(text.encode("utf-8", "replace")) for text in texts)
        for described in (self.tools, self._schema):
            if described:
                size += len(json.dumps(described, ensure_ascii=False, default=str))
        return size // BYTES_PER_TOKEN

    @cached_property
    def most_tokens(self) -> int:
        """The most a provider can bill for it. Raises UnboundedInput for documents, audio and video."""
        return input_token_bound(self.messages, self._described)

    @cached_property
    def size(self) -> InputSize:
        """The same by its parts, for what was learnt of a model."""
        return input_size(self.messages, self._described)

    @property
    def _described(self) -> list[Mapping[str, Any]]:
        schema = [self._schema] if self._schema else []
        return [*(self.tools or ()), *schema]

    @property
    def writes_cache(self) -> bool:
        """Whether it asks a provider to keep a part of it, which may cost more than reading it."""
        return self.options.cache is not None or any(
            turn.cache is not None or any(getattr(part, "cache", None) is not None for part in turn.parts)
            for turn in self.turns
        )

    @property
    def _schema(self) -> Mapping[str, Any] | None:
        form = self.options.response_format
        return None if form is None else form.schema

    def context_size(self, max_tokens: int) -> int:
        """Tokens the exchange needs in the window, prompt and reply, with a quarter to spare for the
        prompt."""
        return self.expected_tokens * 5 // 4 + max_tokens


def _labels(messages: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """What messages and answers of tools say that the task is to be marked with."""
    found: set[str] = set()
    for place, message in enumerate(messages):
        labels = message.get("labels")
        if labels is None:
            continue
        is_list = isinstance(labels, Iterable) and not isinstance(labels, str | bytes | Mapping)
        named: list[Any] = list(labels) if is_list else [None]
        if not all(isinstance(label, str) and label for label in named):
            raise refusal(f"messages[{place}].labels", "is not a list of names")
        found.update(named)
    return frozenset(found)


def _system(said: Mapping[str, Any]) -> tuple[Turn, ...]:
    try:
        return read_messages([said])
    except InvalidRequest as refused:
        detail = refused.detail.replace("messages[0].content", "system")
    raise InvalidRequest(dispatched=False, detail=detail)


def _problem(what: str, values: object) -> str | None:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        return f"{what} is a list of mappings"
    if not values:
        return f"{what} is empty"
    wrong = next((place for place, value in enumerate(values) if not isinstance(value, Mapping)), None)
    return None if wrong is None else f"{what}[{wrong}] is not a mapping"
