"""The usage of an answer is the largest that the answer tells, whatever way its provider counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.providers.reply import Usage
from engine.providers.usage_reading import UsageReader, usage_records


def _openai(prompt: object, completion: object, total: object = None, **parts: object) -> dict[str, Any]:
    """A record in OpenAI's form; parts are `cached`, `written` and `reasoning`."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {
            "cached_tokens": parts.get("cached"),
            "cache_write_tokens": parts.get("written"),
        },
        "completion_tokens_details": {"reasoning_tokens": parts.get("reasoning")},
    }


ONE_RECORD: dict[str, tuple[object, tuple[int | None, int | None]]] = {
    "ordinary": (_openai(100, 20, 120), (100, 20)),
    "reasoning inside the completion": (_openai(100, 500, 600, reasoning=400), (100, 500)),
    "reasoning beside it": (_openai(10_120, 1_499, 14_428, cached=128, reasoning=2_809), (10_120, 4_308)),
    "reasoning in the total only": (_openai(12, 30, 842), (12, 830)),
    "reasoning larger than the completion, without a total": (_openai(9, 10, reasoning=40), (9, 50)),
    "reasoning in neither completion nor total": (_openai(9, 10, 19, reasoning=40), (9, 50)),
    "cache inside the prompt": (_openai(100, 20, 120, cached=60, written=10), (100, 20)),
    "cache beside the prompt": (_openai(40, 20, 120, cached=60), (100, 20)),
    "cache larger than the prompt, without a total": (_openai(40, 20, cached=60), (100, 20)),
    "only the written cache beside": (_openai(90, 20, 120, cached=60, written=10), (100, 20)),
    "cache and reasoning both beside": (_openai(40, 20, 150, cached=60, reasoning=30), (100, 50)),
    "cache and reasoning alike: the dearer is beside": (
        _openai(40, 20, 90, cached=30, reasoning=30),
        (40, 50),
    ),
    "a total without the completion": (_openai(100, None, 130), (100, 30)),
    "a total without the prompt": (_openai(None, 30, 130), (100, 30)),
    "a total that is too small": (_openai(100, 30, 60), (100, 30)),
    "an empty prompt": (_openai(0, 30, 30), (None, 30)),
    "negative": (_openai(-100, -30, -130), (None, None)),
    "fractional": (_openai(100.5, 30.0, 130.5), (None, None)),
    "text": (_openai("100", "few", "many"), (None, None)),
    "true": (_openai(True, True, True), (None, None)),
    "absurd": (_openai(10**15, 10**15, 10**15), (None, None)),
    "nothing": ({}, (None, None)),
    "no record": (None, (None, None)),
    "not even a mapping": ("usage", (None, None)),
    "Ollama's names": ({"prompt_eval_count": 9, "eval_count": 4}, (9, 4)),
    "an SDK's object": (
        SimpleNamespace(prompt_tokens=7, completion_tokens=3, total_tokens=10),
        (7, 3),
    ),
}


@pytest.mark.parametrize("name", ONE_RECORD)
def test_one_record(name: str) -> None:
    """Input has the cache in it, output the reasoning; what cannot be told is unknown."""
    record, expected = ONE_RECORD[name]
    reader = UsageReader()
    reader.read(record)
    usage = reader.usage()
    assert (usage.input_tokens, usage.output_tokens) == expected
    assert reader.is_final() == (None not in expected)


ZERO, PARTIAL, REAL = _openai(0, 0, 0), _openai(1_200, 1, 1_201), _openai(1_200, 340, 1_540)


@pytest.mark.parametrize(
    "records",
    [
        (ZERO, ZERO, REAL),
        (REAL, ZERO),
        (PARTIAL, PARTIAL, REAL),
        (REAL, PARTIAL),
        (PARTIAL, _openai(-5, "x", 0.5), REAL),
    ],
    ids=["zeros first", "zeros last", "partial first", "partial last", "one that is none between"],
)
def test_the_largest_of_all_records_counts(records: tuple[dict[str, Any], ...]) -> None:
    """In whatever order they come."""
    reader = UsageReader()
    for record in records:
        reader.read(record)
    assert (reader.usage().input_tokens, reader.usage().output_tokens) == (1_200, 340)


def test_anthropic_counts_the_cache_beside_and_tells_input_first() -> None:
    """The prompt is known from the start of the stream, its output count there is a placeholder."""
    reader = UsageReader(cache_beside=True)
    start = {"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10}
    reader.read(start | {"output_tokens": 1}, has_output=False)
    assert reader.usage() == Usage(100, None, 60, 10)
    assert not reader.is_final()
    reader.read({"output_tokens": 20, "output_tokens_details": {"thinking_tokens": 15}})
    assert reader.usage() == Usage(100, 20, 60, 10, 15)
    assert reader.is_final()


@pytest.mark.parametrize(
    ("output", "shown_bytes", "known"), [(0, 0, True), (0, 1, False), (1, 128, True), (1, 129, False)]
)
def test_an_output_too_small_for_its_text_is_unknown(output: int, shown_bytes: int, known: bool) -> None:
    """Zero is a count only where nothing was said, and no token has more than 128 bytes."""
    reader = UsageReader()
    reader.read(_openai(7, output, 7 + output))
    assert (reader.usage(shown_bytes).output_tokens is not None) == known
    assert reader.is_final(shown_bytes) == known


def test_what_was_told_before_the_end_is_not_final() -> None:
    """A record in the middle of a stream says what was used until then."""
    reader = UsageReader()
    reader.read(REAL, final=False)
    assert reader.usage().output_tokens == 340
    assert not reader.is_final()


def test_every_place_for_usage_is_looked_at() -> None:
    """At the top, in the choice and its parts, in a vendor's extension; as mappings or objects."""
    choice = SimpleNamespace(usage=2, delta={"usage": 3}, message=SimpleNamespace(usage=4))
    event = SimpleNamespace(usage=1, x_groq={"usage": 5}, choices=[choice])
    assert {record for record in usage_records(event) if record is not None} == {1, 2, 3, 4, 5}
    assert not [record for record in usage_records({"choices": "none"}) if record is not None]
