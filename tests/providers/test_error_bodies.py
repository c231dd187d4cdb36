"""Errors in every form that servers give them: one reader finds words, status, sentence and time."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from engine.providers.conduct import CONDUCT, Fault, HealthMark, NextTarget
from engine.providers.error_bodies import read_error, stray_error
from engine.providers.error_mapping import classify, reported, retry_after
from engine.providers.errors import ProviderError, StreamInterrupted
from engine.providers.http_exchange import Call
from engine.providers.reply import collect
from engine.providers.sanitising import sanitise
from engine.providers.secret import Secret

from .dialects import KEY, OPENAI, WORDS, asked, openai_events, permit, target
from .wire_server import Answer, in_events, in_json, wire_server

RAW = json.dumps({"error": {"code": 429, "message": "Resource has been exhausted (e.g. check quota)."}})
FORMS: dict[str, tuple[object, str, str]] = {
    "object": ({"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}, "THROTTLED", "Slow down"),
    "number as code": ({"error": {"message": "Nobody home", "code": 503}}, "OVERLOADED", "Nobody home"),
    "number as text": ({"error": {"message": "Gone", "code": "404"}}, "MISSING", "Gone"),
    "list around it": (
        [{"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}],
        "THROTTLED",
        "Slow down.",
    ),
    "error as text": (
        {"code": "Some requested entity was not found", "error": "The model grok-2 does not exist"},
        "MISSING",
        "The model grok-2 does not exist",
    ),
    "no envelope": (
        {"object": "error", "message": "Internal boom", "type": "InternalServerError", "code": 500},
        "SERVER",
        "Internal boom",
    ),
    "JSON inside a message": (
        {"error": {"message": RAW, "code": 429, "status": "Too Many Requests"}},
        "THROTTLED",
        "Resource has been exhausted (e.g. check quota).",
    ),
    "metadata.raw": (
        {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": RAW}}},
        "THROTTLED",
        "Resource has been exhausted (e.g. check quota).",
    ),
    "quoted by a gateway": (
        {
            "error": {
                "message": 'litellm.BadRequestError: XException - {"error": {"message": "Model Not Exist"}}'
            }
        },
        "MISSING",
        'litellm.BadRequestError: XException - {"error": {"message": "Model Not Exist"}}',
    ),
    "detail of a framework": (
        {"detail": [{"loc": ["body"], "msg": "field required"}]},
        "SERVER",
        "field required",
    ),
    "bytes": (b'{"error": {"message": "Slow down", "type": "rate_limit_error"}}', "THROTTLED", "Slow down"),
    "a web page": ("<html><title>502 Bad Gateway</title></html>", "SERVER", "a web page: 502 Bad Gateway"),
    "text": ("upstream connect error", "SERVER", "upstream connect error"),
    "nothing": (None, "SERVER", ""),
    "nested without end": (json.loads('{"error":' * 40 + "{}" + "}" * 40), "SERVER", ""),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read(name: str) -> None:
    """Inside a good answer, where no HTTP status helps."""
    body, kind, sentence = FORMS[name]
    assert (classify(200, body).name, read_error(body).sentence) == (kind, sentence)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "UNFIT"), (418, "UNFIT"), (500, "SERVER"), (599, "SERVER")]
)
def test_an_unknown_word_is_judged_by_its_status(status: int, kind: str) -> None:
    """A 4xx is the target's fault, a 5xx the provider's."""
    assert classify(status, {"error": {"type": "brand_new_error", "message": "what"}}).name == kind


def test_the_kinds_are_what_they_say() -> None:
    """Of what targets do, a refusal and a leak alone end the chain; a target's fault never touches health."""
    ends = {kind.name for kind, row in CONDUCT.items() if row.next_target is NextTarget.NO}
    assert ends == {"INVALID", "CANCELLED", "REFUSED", "LEAK"}
    cannot = [row for kind, row in CONDUCT.items() if row.fault is Fault.TARGET and kind.name != "LEAK"]
    assert {row.health for row in cannot} == {HealthMark.NEUTRAL, HealthMark.MISCONFIGURED}


@pytest.mark.parametrize(
    ("headers", "body", "wait_s"),
    [
        ({"retry-after": "7"}, {}, 7.0),
        (
            {"date": "Sun, 01 Nov 2026 10:00:00 GMT", "retry-after": "Sun, 01 Nov 2026 10:02:00 GMT"},
            {},
            120.0,
        ),
        ({}, {"error": {"details": [{"@type": "x.RetryInfo", "retryDelay": "31s"}]}}, 31.0),
        ({}, {"error": {"message": "Rate limit reached. Please try again in 7.66s."}}, 7.66),
        ({}, {"error": {"message": "Please try again in 6m0s"}}, 360.0),
        ({"retry-after": "1790000000"}, {}, None),
        ({"retry-after": "-5"}, {}, None),
        ({}, {}, None),
    ],
)
def test_a_time_is_found_wherever_it_is_said(
    headers: dict[str, str], body: Any, wait_s: float | None
) -> None:
    """In headers, fields and sentences; what cannot be a waiting time is none."""
    call = Call(permit(target("http://127.0.0.1:1")), 1.0, status=429, headers=headers)
    assert reported(call, body).retry_after_s == wait_s


def test_a_date_needs_no_date_header() -> None:
    """Then this machine's clock is asked; a time that is over is no wait."""
    assert retry_after({"retry-after": "Sun, 01 Nov 2020 10:00:00 GMT"}) == 0.0


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        KEY[::-1],
        KEY.upper(),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
        KEY[::-1].encode().hex(),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(b"Bearer " + KEY.encode()).decode(),
        base64.b64encode(b"x:" + KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY[::-1].encode()).decode(),
        base64.b64encode(KEY.encode()).decode()[::-1],
    ],
)
def test_no_form_of_a_key_is_shown(echo: str) -> None:
    """No run of twelve characters of it is left but what stood before it, and the sentence around it is."""
    shown = sanitise(f"the key {echo} is not known here", None, Secret(KEY))
    assert shown.startswith("the key ")
    assert shown.endswith(" is not known here")
    runs = [echo[at : at + 12] for at in range(4, len(echo) - 11)]
    assert runs
    assert not [run for run in runs if run in shown]


ERROR = {"error": {"message": "Engine is gone", "type": "InternalServerError", "code": 500}}
STRAYS: dict[str, tuple[Answer, str, str]] = {
    "JSON instead of a stream": (in_json(ERROR), "SERVER", "Engine is gone"),
    "the field error:": (
        Answer(200, f"error: {json.dumps(ERROR)}\n\n".encode(), {"content-type": "text/event-stream"}),
        "SERVER",
        "Engine is gone",
    ),
    "an event without an envelope": (
        in_events([("error", {"message": "Too busy", "code": 503, "type": "unavailable_error"})]),
        "OVERLOADED",
        "Too busy",
    ),
    "a web page": (
        Answer(200, b"<html><title>Sign in</title></html>", {"content-type": "text/html"}),
        "BROKEN",
        "a web page: Sign in",
    ),
}


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("name", STRAYS)
async def test_an_error_under_a_good_status_is_read(name: str, way: str) -> None:
    """Whole and streamed, in whatever the server wraps it."""
    answer, kind, sentence = STRAYS[name]
    async with wire_server(OPENAI.handler(answer, answer)) as served:
        provider = OPENAI.at(served.url)
        request = asked(provider.target)
        with pytest.raises(ProviderError) as failed:
            await (provider.complete(request) if way == "whole" else collect(provider.stream(request)))
        await provider.aclose()
    assert (failed.value.kind.name, failed.value.detail) == (kind, sentence)


async def test_an_error_field_after_content_is_an_interruption() -> None:
    """With the text that was shown, and the server's own sentence."""
    begun = in_events(list(openai_events(WORDS[:2])[:3]))
    answer = Answer(200, begun.body + f"error: {json.dumps(ERROR)}\n\n".encode(), begun.headers)
    async with wire_server(OPENAI.handler(answer, answer)) as served:
        provider = OPENAI.at(served.url)
        with pytest.raises(StreamInterrupted, match="Engine is gone") as failed:
            await collect(provider.stream(asked(provider.target)))
        await provider.aclose()
    assert (failed.value.partial, failed.value.kind.name) == ("".join(WORDS[:2]), "SERVER")


def test_a_good_answer_holds_no_stray_error() -> None:
    """Nor does a text that talks of errors."""
    assert stray_error(b'{"choices": [{"message": {"content": "error: none"}}]}') is None
    assert stray_error(b'data: {"choices": []}\n\ndata: [DONE]\n\n') is None
