"""Every usage record of an answer -> the token counts of the answer: of each count the largest that was told.

Providers tell usage early and late, in zeros first and in full at the end, and count in different ways:
reasoning inside the completion count or beside it, cached input inside the prompt count or beside it.
`total_tokens` tells the two apart. What cannot be a count (negative, fractional, text, absurdly large) is
unknown, and unknown is never zero.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, fields, replace

from engine.providers.reply import Usage
from engine.providers.sdk_objects import fields_of

LONGEST_TOKEN_BYTES = 128
"""No vocabulary has a longer token, so fewer tokens than bytes / 128 cannot have made a text."""

_MOST = 10**12
_NOTHING = Usage()

_COUNTS = {
    **dict.fromkeys(("prompt_tokens", "input_tokens", "prompt_eval_count"), "input"),
    **dict.fromkeys(("completion_tokens", "output_tokens", "eval_count"), "output"),
    "total_tokens": "total",
    **dict.fromkeys(("cached_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens"), "cached_read"),
    **dict.fromkeys(
        ("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens"), "cache_write"
    ),
    **dict.fromkeys(("reasoning_tokens", "thinking_tokens"), "reasoning"),
}
"""The names of each count in the wild: OpenAI and its likes, Anthropic, Ollama."""

_IN_DETAILS = {
    **dict.fromkeys(("prompt_tokens_details", "input_tokens_details"), ("cached_read", "cache_write")),
    **dict.fromkeys(("completion_tokens_details", "output_tokens_details"), ("reasoning",)),
}
"""Which counts stand in the details of another one."""
_EVERYWHERE = frozenset(_COUNTS.values())


@dataclass(frozen=True, slots=True)
class _Told:
    """One usage record as it stands there; None is not told, or no count."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cached_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


@dataclass(slots=True)
class UsageReader:
    """Reads the usage records of one answer, in the order they come.

    `cache_beside` says that the API counts cached input beside the rest, always, as Anthropic's does.
    """

    cache_beside: bool = False
    _largest: Usage = _NOTHING
    _final: Usage = _NOTHING

    def read(self, record: object, *, final: bool = True, has_output: bool = True) -> None:
        """Take in one record: a mapping, an SDK's object, or None for none.

        `final`: it came with the end of the answer or after it, and so can speak for all of it. Without
        `has_output` its output count is a placeholder.
        """
        told = _told(record)
        counted = _counted(told if has_output else replace(told, output=None), cache_beside=self.cache_beside)
        self._largest = _larger(self._largest, counted)
        if final:
            self._final = _larger(self._final, counted)

    @property
    def is_told(self) -> bool:
        """True when any record held any count."""
        return self._largest != _NOTHING

    def usage(self, shown_bytes: int = 0) -> Usage:
        """The largest counts, for an answer that has shown so many bytes; zero for something is unknown."""
        return _believed(self._largest, shown_bytes)

    def is_final(self, shown_bytes: int = 0) -> bool:
        """True when a final record told both input and output."""
        told = _believed(self._final, shown_bytes)
        return None not in (told.input_tokens, told.output_tokens)


def _believed(told: Usage, shown_bytes: int) -> Usage:
    """Without an input of zero tokens, which no prompt has, and an output too small for the text it made."""
    output = told.output_tokens
    is_enough = output is not None and output * LONGEST_TOKEN_BYTES >= shown_bytes
    return Usage(
        told.input_tokens or None,
        output if is_enough else None,
        told.cached_read_tokens,
        told.cache_write_tokens,
        told.reasoning_tokens,
    )


def count_of(value: object) -> int | None:
    """A token count as a provider tells it; None unless it is a whole number that a count can be."""
    plausible = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST
    return value if plausible and isinstance(value, int) else None


def usage_records(event: object) -> Iterator[object]:
    """Every place in an OpenAI-style answer or piece of a stream where servers put usage.

    At the top, in a vendor's extension (`x_groq`), or inside the choice (Kimi).
    """
    plain = fields_of(event)
    yield plain.get("usage")
    yield fields_of(plain.get("x_groq")).get("usage")
    choices = plain.get("choices")
    for choice in choices if isinstance(choices, list | tuple) else ():
        inside = fields_of(choice)
        yield inside.get("usage")
        for name in ("delta", "message"):
            yield fields_of(inside.get(name)).get("usage")


def _told(record: object) -> _Told:
    counts: dict[str, int] = {}
    plain = fields_of(record)
    _take(counts, plain, _EVERYWHERE)
    for name, wanted in _IN_DETAILS.items():
        if name in plain:
            _take(counts, fields_of(plain[name]), wanted)
    return _Told(**counts)


def _take(counts: dict[str, int], plain: Mapping[str, object], wanted: Container[str]) -> None:
    """Take in the wanted counts, where they are larger than what was told before."""
    for name, value in plain.items():
        count = _COUNTS.get(name)
        if count is not None and count in wanted and (told := count_of(value)) is not None:
            counts[count] = max(told, counts.get(count, 0))


def _counted(told: _Told, *, cache_beside: bool) -> Usage:
    """One record with everything inside: the cache in the input, the reasoning in the output."""
    prompt, output = told.input, told.output
    cached, reasoning = (told.cached_read or 0) + (told.cache_write or 0), told.reasoning or 0
    if cache_beside and (prompt is not None or cached):
        prompt = (prompt or 0) + cached
    if told.total is not None and prompt is not None and output is not None:
        prompt, output = _with_the_rest(told, prompt, output, 0 if cache_beside else cached)
    elif told.total is not None and prompt is not None:
        output = max(0, told.total - prompt) or None
    elif told.total is not None and output is not None:
        prompt = max(0, told.total - output) or None
    # A part larger than its whole is not a part of it.
    if output is not None and reasoning > output:
        output += reasoning
    if prompt is not None and cached > prompt:
        prompt += cached
    return Usage(prompt, output, told.cached_read, told.cache_write, told.reasoning)


def _with_the_rest(told: _Told, prompt: int, output: int, cached: int) -> tuple[int, int]:
    """Prompt and output with what the total has beyond them.

    That is the part which is exactly as large, the dearest first; what no part explains is output that was
    told nowhere else.
    """
    assert told.total is not None
    rest, reasoning = told.total - prompt - output, told.reasoning or 0
    parts_of_input = {cached, told.cached_read or 0, told.cache_write or 0} if cached else set()
    if rest <= 0:
        return prompt, output
    if rest != reasoning and rest in parts_of_input:
        return prompt + rest, output
    if cached and reasoning and rest == cached + reasoning:
        return prompt + cached, output + reasoning
    return prompt, output + rest


def _larger(one: Usage, other: Usage) -> Usage:
    """Field by field the larger count."""
    if one == _NOTHING:
        return other
    return Usage(*(_most(getattr(one, each.name), getattr(other, each.name)) for each in fields(Usage)))


def _most(*counts: int | None) -> int | None:
    return max((count for count in counts if count is not None), default=None)
