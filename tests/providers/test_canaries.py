"""No key and no prompt is shown anywhere: every class of failure, every sink, no fragment of eight
characters.

The sinks: str, repr, format, pickle, copies, tracebacks with the locals of every frame, everything reachable
from the exception, and every log record at DEBUG of every library.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import pickle
import traceback
import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.providers.base import Egress, Request, Timeouts
from engine.providers.errors import BY_CLASS, ProviderError, StreamInterrupted
from engine.providers.reply import collect
from engine.providers.sanitising import FRAGMENT, sanitise
from engine.providers.secret import Secret
from engine.providers.wire_provider import WireProvider

from .dialects import KEY, Dialect, asked, changed
from .test_error_mapping import _broken_stream
from .wire_server import Answer, in_json, wire_server

PROMPT = "zebra-quartz 4711 über-Käse\n\tvault code: 99-XYZZY-08"
TOOL = {
    "type": "function",
    "function": {
        "name": "open_vault_canary",
        "description": "Öffnet-Käserei-Tresor-canary",
        "parameters": {"type": "object", "properties": {"combination_canary": {"type": "string"}}},
    },
}
SECRETS = (KEY, PROMPT, "open_vault_canary", "Öffnet-Käserei-Tresor-canary", "combination_canary")
ECHO = (
    f"bad request: {PROMPT} / {json.dumps(PROMPT)} / {PROMPT!r} / {KEY} / {PROMPT.upper()}"
    f" / {json.dumps(TOOL)}"
)


def fragments() -> Iterator[str]:
    """Every run of eight characters of a secret, as it is and as JSON and Python would write it."""
    for secret in SECRETS:
        for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.lower(), secret.upper()):
            yield from (form[place : place + FRAGMENT] for place in range(len(form) - FRAGMENT + 1))


FRAGMENTS = frozenset(fragments())


def hits(text: str) -> list[str]:
    """The fragments that a text shows."""
    windows = {text[place : place + FRAGMENT] for place in range(len(text) - FRAGMENT + 1)}
    return sorted(windows & FRAGMENTS)


FAULTS = """
400 401 402 403 404 408 409 413 429 500 503 504 529 307 filter overflow stream stream-late reset closed
hang deadline half html nonsense permit refused cancel no-body bad-message bad-tools
""".split()  # noqa: SIM905


def _answer(dialect: Dialect, fault: str) -> Answer:
    error = {"type": "invalid_request_error", "message": ECHO, "param": PROMPT}
    body: Any = {"error": ECHO} if dialect.name == "ollama" else {"type": "error", "error": error}
    match fault:
        case "307":
            return Answer(307, b"", {"location": f"http://127.0.0.1:9/{KEY}"})
        case status if status.isdigit():
            return in_json(body, int(status), headers={"x-echo": KEY, "request-id": KEY, "x-request-id": KEY})
        case "filter":
            return in_json({"error": {"code": "content_policy_violation", "message": ECHO}}, 400)
        case "overflow":
            return in_json({"error": {"code": "context_length_exceeded", "message": ECHO}}, 400)
        case "stream" | "stream-late":
            return _broken_stream(dialect, 2 if "late" in fault else 0, body)
        case "reset":
            return Answer(silent=True, after="reset")
        case "closed":
            return Answer(silent=True, after="close")
        case "hang" | "deadline" | "cancel":
            return Answer(silent=True, after="hang")
        case "half":
            whole = dialect.whole()
            return changed(whole, framing="close", cut=len(whole.body) // 2)
        case "html":
            return Answer(200, f"<html>{ECHO}</html>".encode(), {"content-type": "text/html"})
        case "no-body":
            return Answer(500)
        case _:
            return Answer(status=7, body=ECHO.encode())


async def _failure(dialect: Dialect, fault: str, way: str) -> BaseException:
    """The exception a caller gets."""
    answer = _answer(dialect, fault)
    async with wire_server(dialect.handler(answer, answer)) as served:
        provider = dialect.at(served.url, Egress.CLOUD)
        limits = Timeouts(first_token_s=0.2, answer_s=0.2) if fault == "hang" else Timeouts()
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": PROMPT},
            {"role": "user", "content": PROMPT},
        ]
        tools: list[dict[str, Any]] = [TOOL]
        if fault == "bad-message":
            messages.append({"role": PROMPT, "content": PROMPT})
        if fault == "bad-tools":
            tools.append({"type": PROMPT, "function": {"name": PROMPT}})
        request = asked(
            provider.target,
            messages=messages,
            tools=tools,
            timeouts=limits,
            deadline_s=0.2 if fault == "deadline" else 30.0,
        )
        await provider.discover(request.permit, timeout_s=60.0)
        if fault == "permit":
            request = copy.replace(request) if hasattr(copy, "replace") else request
            object.__setattr__(
                request, "permit", type(request.permit)("other", Egress.CLOUD, "sha256:policy")
            )
        if fault == "refused":
            served.end()
        failure = await _raised(provider, request, way, cancel=fault == "cancel", served=served)
        await provider.aclose()
    return failure


async def _raised(
    provider: WireProvider, request: Request, way: str, *, cancel: bool, served: Any
) -> BaseException:
    async def ask() -> object:
        return await (provider.complete(request) if way == "whole" else collect(provider.stream(request)))

    task = asyncio.create_task(ask())
    if cancel:
        while not served.prompts():
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])
    failure = None if task.cancelled() else task.exception()
    if task.cancelled():
        try:
            await task
        except asyncio.CancelledError as cancelled:
            failure = cancelled
    assert failure is not None
    return failure


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_sink_shows_a_canary(
    dialect: Dialect,
    fault: str,
    way: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever fails, however it is shown: no fragment of the key, the prompt or the tools, which the
    servers echo."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("anthropic", "openai", "httpx2", "httpcore2", "engine"):
            logging.getLogger(name).setLevel(logging.NOTSET)
            caplog.set_level(logging.DEBUG, logger=name)
    failure = await _failure(dialect, fault, way)
    if fault == "cancel":
        assert isinstance(failure, asyncio.CancelledError)
    elif fault == "half" and way == "streamed":
        assert isinstance(failure, ProviderError)
    else:
        assert isinstance(failure, ProviderError), failure
    for sink, text in _sinks(failure).items():
        assert not hits(text), f"{sink}: {hits(text)[:3]}"
    for record in caplog.records:
        logged = f"{record.getMessage()} {record.args!r} {record.exc_text or ''}"
        if record.exc_info:
            logged += "".join(traceback.format_exception(*record.exc_info))
        assert not hits(logged), f"{record.name}: {hits(logged)[:3]}"
    shown = capfd.readouterr()
    assert not hits(shown.out + shown.err)


def _sinks(failure: BaseException) -> dict[str, str]:
    """Everything a crash reporter could make of an exception."""
    locals_ = traceback.TracebackException.from_exception(failure, capture_locals=True, lookup_lines=False)
    frames = [
        frame
        for frame in locals_.stack
        if "/engine/" in frame.filename or "/site-packages/" in frame.filename
    ]
    sinks = {
        "str": str(failure),
        "repr": repr(failure),
        "format": f"{failure}",
        "args": repr(failure.args),
        "traceback": "".join(traceback.format_exception(failure)),
        "locals": " ".join(f"{frame.name} {frame.locals}" for frame in frames),
        "chain": f"{failure.__cause__!r} {failure.__context__!r}",
    }
    if isinstance(failure, ProviderError):
        sinks |= {
            "pickle": pickle.dumps(failure).decode("utf-8", "replace"),
            "unpickled": repr(vars(pickle.loads(pickle.dumps(failure)))),
            "copy": repr(copy.copy(failure)),
            "vars": repr(vars(failure)),
            "reachable": " ".join(_reachable(failure)),
        }
        assert failure.__cause__ is None
        assert failure.__context__ is None
    return sinks


def _reachable(failure: BaseException) -> Iterator[str]:
    """Every string that hangs on the exception but not on its traceback, which ends in the caller's own
    frames."""
    seen: set[int] = set()
    waiting: list[object] = [vars(failure), failure.args]
    while waiting:
        held = waiting.pop()
        if id(held) in seen or isinstance(
            held, type | types.ModuleType | types.FunctionType | types.TracebackType
        ):
            continue
        seen.add(id(held))
        if isinstance(held, str | bytes):
            yield held if isinstance(held, str) else held.decode("utf-8", "replace")
        else:
            waiting.extend(gc.get_referents(held))


def test_there_are_enough_combinations() -> None:
    """Faults times dialects times ways times sinks make at least two thousand."""
    assert len(FAULTS) * 3 * 2 * 12 >= 2000


@given(st.text(min_size=FRAGMENT), st.text(), st.integers(0, 200), st.integers(FRAGMENT, 60))
def test_sanitising_leaves_no_fragment(prompt: str, noise: str, start: int, length: int) -> None:
    """Any piece of any prompt inside any message: what is kept shares no eight characters with the prompt."""
    request = Request("m", None, [{"role": "user", "content": prompt}])  # type: ignore[arg-type]
    kept = sanitise(f"{noise}{prompt[start : start + length]}{noise}", request, None)
    windows = {kept[place : place + FRAGMENT] for place in range(len(kept) - FRAGMENT + 1)}
    assert not [window for window in windows if window in prompt and "[...]" not in window]
    assert len(kept) <= 200


def test_a_message_that_echoes_nothing_is_kept() -> None:
    """A provider's own words come through, without control characters and bounded."""
    question = {"role": "user", "content": "What is the capital of France?"}
    request = Request("m", None, [question])  # type: ignore[arg-type]
    said = "Unsupported parameter: 'temperature' is not\x1b[31m supported\u202e with this model."
    assert sanitise(said, request, Secret(KEY)) == (
        "Unsupported parameter: 'temperature' is not [31m supported with this model."
    )


def test_echoed_keys_are_masked() -> None:
    """Our key in any form it may have, and anything that looks like a key though it is not ours."""
    own = Secret("0123quartz4567zebra")
    assert sanitise("we got 0123quartz4567zebra, wrong", None, own) == "we got [...], wrong"
    assert sanitise("we got 0123quartz45 only", None, own) == "we got [...] only"
    assert (
        sanitise("Incorrect API key provided: sk-proj-abc***xyz.", None, own)
        == "Incorrect API key provided: [key]."
    )


def test_a_secret_never_shows() -> None:
    """repr, str, format, JSON, pickle, copies and attributes: a Secret gives its value to `reveal` alone."""
    secret = Secret(KEY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", repr([secret]), repr({"key": secret})]
    shown += [
        pickle.dumps(secret).decode("latin-1"),
        repr(vars(secret) if hasattr(secret, "__dict__") else ""),
    ]
    shown += [repr(copy.copy(secret)), copy.deepcopy(secret).reveal(), repr(dir(secret))]
    assert not any(hits(text) for text in shown)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        list(secret)
    assert secret.reveal() == KEY
    assert secret == Secret(KEY)
    assert secret != Secret("other")


@pytest.mark.parametrize("made", BY_CLASS.values(), ids=lambda made: made.__name__)
def test_errors_survive_a_pickle(made: type[ProviderError]) -> None:
    """Every error can be pickled and says the same afterwards; an interruption comes back without its
    text."""
    error = made(provider="p", model="m", status=400, code="c", request_id="r", retry_after_s=1.0, detail="d")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.conduct) == (made, str(error), error.conduct)
    from engine.providers.reply import Usage

    broken = StreamInterrupted(cause=error, partial=PROMPT, usage_estimate=Usage(output_tokens=3))
    back = pickle.loads(pickle.dumps(broken))
    assert (back.partial, back.kind, back.usage_estimate) == ("", error.kind, Usage(output_tokens=3))
    assert not hits(f"{broken!r} {broken}")
