"""Every recorded error body and stream ending has its class and its conduct, whole and streamed alike."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.providers.base import Request, Timeouts
from engine.providers.conduct import CONDUCT, ErrorClass
from engine.providers.errors import BY_CLASS, DETAIL_CHARACTERS, ProviderError, StreamInterrupted
from engine.providers.reply import collect
from engine.providers.wire_provider import WireProvider

from .dialects import (
    DIALECTS,
    KEY,
    MODEL,
    WORDS,
    Dialect,
    anthropic_events,
    asked,
    changed,
    ollama_lines,
    openai_events,
)
from .time_jump import TimeJump
from .wire_server import Answer, Received, in_events, in_json, in_lines, wire_server

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "wire" / "faults.yaml").read_text())


def _spread() -> list[Any]:
    spread = []
    for case in CASES:
        names = sorted(DIALECTS) if case["dialect"] == "all" else [case["dialect"]]
        for name in names:
            for way in ("whole", "streamed"):
                if (way == "whole" and {"stream", "ending"} & set(case)) or (
                    way == "streamed" and "whole" in case
                ):
                    continue
                spread.append(pytest.param(DIALECTS[name], case, way, id=f"{case['id']}-{name}-{way}"))
    return spread


def test_there_are_enough_cases() -> None:
    """At least eighty bodies and endings are recorded, every class that is not found here among them."""
    found_here = {"EGRESS", "INVALID", "LEAK"}
    assert len(CASES) >= 80
    assert {case["class"] for case in CASES} == {kind.name for kind in ErrorClass} - found_here
    assert len({case["id"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize(("dialect", "case", "way"), _spread())
async def test_class_and_conduct(dialect: Dialect, case: dict[str, Any], way: str) -> None:
    """The failure is of the recorded class, and what may be done about it is as recorded."""
    failed, served_prompts = await _fail(dialect, case, way)
    conduct = failed.conduct
    assert failed.kind.name == case["class"], failed
    told = (conduct.same_target.name, conduct.next_target.name, conduct.billed.name)
    assert told == (case["same"], case["next"], case["billed"])
    assert failed.retry_after_s == case.get("retry_after_s")
    assert isinstance(failed, StreamInterrupted) == bool(case.get("after"))
    assert (failed.provider, failed.model) == ("there", MODEL)
    assert served_prompts == (0 if case.get("wire") == "refused" else 1), "one attempt sends one request"
    if isinstance(failed, StreamInterrupted):
        assert failed.partial == "".join(WORDS[: case["after"]])
        assert (failed.usage_estimate.output_tokens or 0) >= 1
    if "body" in case and "request_id" in case["body"]:
        assert failed.request_id == case["body"]["request_id"]


async def _fail(dialect: Dialect, case: dict[str, Any], way: str) -> tuple[ProviderError, int]:
    wire = case.get("wire")
    if wire == "refused":
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            port = unheard.getsockname()[1]
        provider = dialect.at(f"http://127.0.0.1:{port}")
        return await _complete(provider, asked(provider.target), way), 0

    jump = TimeJump()

    def handler(received: Received) -> Answer:
        if received.path == dialect.prompt_path and wire in ("silent", "deadline"):
            jump.soon(200.0)
        return dialect.handler(_answer(dialect, case), _answer(dialect, case))(received)

    async with wire_server(handler) as served:
        provider = dialect.at(served.url)
        more = {"first_token_s": 900.0, "answer_s": 900.0} if wire == "deadline" else {}
        # A server that says it is loading the model is not waited for.
        limits = Timeouts(load_s=0.0, **more)
        deadline_s = 150.0 if wire == "deadline" else 600.0
        # The SDK is imported under no limit but the deadline; have that behind us.
        await provider.discover(asked(provider.target).permit, timeout_s=60.0)
        failed = await _complete(
            provider, asked(provider.target, timeouts=limits, deadline_s=deadline_s), way
        )
        await provider.aclose()
        return failed, len(served.prompts())


async def _complete(provider: WireProvider, request: Request, way: str) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await (provider.complete(request) if way == "whole" else collect(provider.stream(request)))
    return failed.value


def _answer(dialect: Dialect, case: dict[str, Any]) -> Answer:
    match case:
        case {"status": int(status), "raw": str(raw), **more}:
            return Answer(status, raw.encode(), more.get("headers", {}))
        case {"status": int(status), "body": body, **more}:
            return in_json(body, status, headers=more.get("headers", {}))
        case {"stream": error, **more}:
            return _broken_stream(dialect, more.get("after", 0), error)
        case {"ending": str(ending), **more}:
            return _ended_stream(dialect, more.get("after", 0), ending)
        case {"whole": "half"}:
            whole = dialect.whole()
            return changed(whole, framing="close", cut=len(whole.body) // 2)
        case {"whole": "html"}:
            return Answer(200, b"<html>hello</html>", {"content-type": "text/html"})
        case {"whole": "refusal"}:
            body = dialect.whole().body
            for said in (b'"end_turn"', b'"stop"'):
                body = body.replace(
                    said, b'"refusal"' if dialect.name == "anthropic" else b'"content_filter"'
                )
            return changed(dialect.whole(), body=body)
        case {"whole": body}:
            return in_json(body)
        case {"wire": "reset"}:
            return Answer(silent=True, after="reset")
        case {"wire": "closed"}:
            return Answer(silent=True, after="close")
        case {"wire": "silent" | "deadline"}:
            return Answer(silent=True, after="hang")
        case _:
            return Answer(status=7)


def _started(dialect: Dialect, pieces: int) -> list[Any]:
    """The beginning of a good stream, up to and with so many pieces of content."""
    match dialect.name:
        case "openai":
            return list(openai_events(WORDS[:pieces])[: 1 + pieces])
        case "anthropic":
            return list(anthropic_events(WORDS[:pieces])[: 3 + pieces])
        case _:
            return list(ollama_lines(WORDS[:pieces])[:pieces])


def _written(dialect: Dialect, parts: list[Any]) -> Answer:
    return in_lines(parts) if dialect.name == "ollama" else in_events(parts)


def _broken_stream(dialect: Dialect, after: int, error: object) -> Answer:
    last = error if dialect.name == "ollama" else ("error" if dialect.name == "anthropic" else None, error)
    return _written(dialect, [*_started(dialect, after), last])


def _ended_stream(dialect: Dialect, after: int, ending: str) -> Answer:
    match (dialect.name, ending):
        case (_, "none"):
            return _written(dialect, _started(dialect, after))
        case ("ollama", "malformed"):
            return _written(dialect, [*_started(dialect, after), '{"message": {"con'])
        case ("anthropic", "malformed"):
            good = anthropic_events(())[-2:]
            return _written(
                dialect, [*_started(dialect, after), ("content_block_delta", '{"type": "cont'), *good]
            )
        case ("openai", "malformed"):
            return _written(
                dialect, [*_started(dialect, after), (None, '{"choices": [{'), *openai_events(())[1:]]
            )
        case ("anthropic", _):
            return in_events(anthropic_events(WORDS[:after], stop=ending))
        case _:
            return in_events(openai_events(WORDS[:after], finish=ending))


def test_the_table_is_whole() -> None:
    """Every class has its conduct and its exception."""
    assert set(CONDUCT) == set(BY_CLASS) == set(ErrorClass)


async def test_a_body_error_outranks_the_good_status_of_its_stream() -> None:
    """The key in an error's text is masked and the text is bounded."""
    dialect = DIALECTS["openai"]
    body = {
        "error": {"message": f"Incorrect API key provided: {KEY}. " + "x " * 500, "code": "invalid_api_key"}
    }
    async with wire_server(dialect.handler(in_json(body, 401))) as served:
        provider = dialect.at(served.url)
        failed = await _complete(provider, asked(provider.target), "whole")
        await provider.aclose()
    assert KEY not in str(failed)
    assert len(failed.detail) <= DETAIL_CHARACTERS
    assert failed.code == "invalid_api_key"
