"""Ollama, in its native API: the only one that takes `num_ctx` and says which models are not local at all.

A daemon on loopback is not yet a local model: a model can be backed by a remote host, under a plain name. So
before each prompt the daemon is asked what it would run, and a remote-backed, unknown or changed model gets
no prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.providers.attempt import SIGN_OF_LIFE, Attempt
from engine.providers.base import DiscoveredModel, Egress, Target
from engine.providers.errors import (
    ContextTruncated,
    EgressAlarm,
    EgressRefused,
    ModelMissing,
    ProviderError,
    Truncated,
)
from engine.providers.field_table import carried
from engine.providers.http_exchange import Call
from engine.providers.messages import read_tools
from engine.providers.ollama_chat import (
    chat_body,
    expected_tokens,
    fills,
    message_of,
    reply_of,
    tool_calls_of,
    window_for,
)
from engine.providers.ollama_models import (
    canonical_name,
    cloud_name,
    find_model,
    listed_window,
    remote_host,
    shown_window,
    tells_all,
    texts_of,
)
from engine.providers.reply import Chunk, Reply
from engine.providers.secret import Secret
from engine.providers.usage_reading import count_of
from engine.providers.wire_provider import (
    Clock,
    Connection,
    WireProvider,
    drain,
    text_of,
)

if TYPE_CHECKING:
    import httpx2

    from engine.providers.transport import Resolve


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,350}")
# A prompt of fewer expected tokens than this fits any window.
_COUNTABLE = 512
_LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Checked:
    """The daemon's answers about a model before a prompt is sent: `name` is what to call it by, the
    windows are in tokens."""

    name: str
    window: int | None
    loaded: int | None


class OllamaProvider(WireProvider):
    """Ollama at `target.base_url`, for instance http://127.0.0.1:11434.

    `strict` also wants the daemon's cloud features switched off (`/api/status`), and refuses otherwise.
    """

    def __init__(
        self,
        target: Target,
        *,
        api_key: Secret | None = None,
        clock: Clock | None = None,
        ca_file: str | None = None,
        resolve: Resolve | None = None,
        strict: bool = False,
    ) -> None:
        super().__init__(target, api_key=api_key, clock=clock, ca_file=ca_file, resolve=resolve)
        self._strict = strict
        self._shown: dict[tuple[str, str | None], tuple[str, int | None]] = {}
        self._quarantined: set[str] = set()

    async def _open(self) -> Connection:
        return await self._client()

    async def _complete(self, attempt: Attempt) -> Reply:
        body = await self._prepared(attempt, stream=False)
        call = attempt.call(carries_prompt=True)
        answer = await self._fetch(attempt, call, "/api/chat", body)
        _read_usage(attempt, answer)
        await self._check_answer(attempt, body, answer)
        if answer.get("done") is not True:
            raise Truncated(status=call.status, usage=attempt.usage)
        message = message_of(answer)
        calls = tuple(tool_calls_of(message, 0))
        text, thinking = str(message.get("content") or ""), str(message.get("thinking") or "")
        attempt.text, attempt.reasoning, attempt.tool_calls = [text], [thinking], list(calls)
        return reply_of(attempt, body, answer, text, calls, thinking)

    async def _stream(self, attempt: Attempt) -> AsyncGenerator[Chunk, None]:
        body = await self._prepared(attempt, stream=True)
        call = attempt.call(carries_prompt=True)
        response = await self._send(call, "POST", "/api/chat", body)
        lines = self._lines(attempt, call, response)
        try:
            async for line in lines:
                if line.get("done"):
                    _read_usage(attempt, line)
                await self._check_answer(attempt, body, line)
                message = message_of(line)
                text, thinking = str(message.get("content") or ""), str(message.get("thinking") or "")
                yield Chunk(text=text, reasoning=thinking) if text or thinking else SIGN_OF_LIFE
                for tool_call in tool_calls_of(message, len(attempt.tool_calls)):
                    yield Chunk(tool_call=tool_call)
                if line.get("done") is True:
                    calls = tuple(attempt.tool_calls)
                    told = "".join(attempt.text), calls, "".join(attempt.reasoning)
                    await drain(lines)
                    yield Chunk(reply=reply_of(attempt, body, line, *told))
                    return
        finally:
            await response.aclose()

    async def _ping(self, attempt: Attempt) -> str | None:
        answer = await self._fetch(attempt, attempt.call(carries_prompt=False), "/api/version", None)
        version = answer.get("version")
        return version if isinstance(version, str) and re.fullmatch(r"[\w.+-]{1,40}", version) else None

    async def _list_models(self, attempt: Attempt) -> Iterable[DiscoveredModel]:
        tags = await self._models(attempt, "/api/tags")
        loaded = await self._models(attempt, "/api/ps")
        return [
            await self._discovered(attempt, name, model, loaded)
            for model in tags
            if (name := text_of(model.get("name")) or text_of(model.get("model"))) is not None
        ]

    async def _discovered(
        self, attempt: Attempt, name: str, listed: Mapping[str, Any], loaded: Iterable[Mapping[str, Any]]
    ) -> DiscoveredModel:
        remote = remote_host(listed)
        shown: Mapping[str, Any] = {}
        if remote is None and not cloud_name(name) and not tells_all(listed):
            try:
                shown = await self._fetch(
                    attempt, attempt.call(carries_prompt=False), "/api/show", {"model": name}
                )
            except ProviderError as gone:
                if gone.status != 404:
                    raise
            remote = remote_host(shown)
        running = find_model(loaded, name)
        capabilities = texts_of(shown.get("capabilities")) or texts_of(listed.get("capabilities"))
        return DiscoveredModel(
            id=name,
            digest=text_of(listed.get("digest")),
            context_tokens=shown_window(shown) or listed_window(listed),
            loaded_context_tokens=count_of((running or {}).get("context_length")),
            capabilities=capabilities,
            tools="tools" in capabilities if capabilities else None,
            warm=running is not None,
            remote_host=remote or ("ollama.com" if cloud_name(name) else None),
        )

    async def _prepared(self, attempt: Attempt, *, stream: bool) -> dict[str, Any]:
        """The body of /api/chat, once the daemon has shown that it would run the model itself."""
        request = attempt.request
        kept = carried(
            request.read(),
            read_tools(request.tools),
            request.options,
            "ollama",
            fetches=False,
            refused=request.refused,
        )
        checked = await self._checked(attempt)
        num_ctx = window_for(request, window=checked.window, loaded=checked.loaded)
        body, attempt.notes = chat_body(request, kept, model=checked.name, num_ctx=num_ctx, stream=stream)
        return body

    async def _checked(self, attempt: Attempt) -> _Checked:
        name = attempt.request.model
        held_local = self.target.egress is Egress.LOCAL
        if not _NAME.fullmatch(name):
            raise ModelMissing(dispatched=False, detail="the model's name is not one Ollama has")
        if held_local and cloud_name(name):
            raise EgressRefused(
                dispatched=False, detail="its name asks Ollama for a model in the vendor's cloud"
            )
        if held_local and canonical_name(name) in self._quarantined:
            raise EgressRefused(
                dispatched=False, detail="it answered through a remote host before and is quarantined"
            )
        if held_local and self._strict:
            await self._demand_no_cloud(attempt)
        listed = find_model(await self._models(attempt, "/api/tags"), name)
        if listed is None:
            raise ModelMissing(status=404, dispatched=False, detail="the model is not on this machine")
        self._demand_local(listed, held_local=held_local)
        called, window = await self._show(attempt, name, text_of(listed.get("digest")), held_local=held_local)
        running = find_model(await self._models(attempt, "/api/ps"), name)
        attempt.cold = running is None
        if running is None:
            attempt.expect_load()
        return _Checked(called, window, count_of((running or {}).get("context_length")))

    async def _show(
        self, attempt: Attempt, name: str, digest: str | None, *, held_local: bool
    ) -> tuple[str, int | None]:
        """What to call the model by and its window; asked again whenever the manifest's digest has
        changed."""
        known = self._shown.get((name, digest))
        if known is not None and digest is not None:
            return known
        called = name
        shown: Mapping[str, Any] | None = None
        if held_local and not canonical_name(name).endswith(":local"):
            # `name:local` makes a daemon that knows the suffix refuse a remote-backed model by itself.
            try:
                shown = await self._fetch(
                    attempt, attempt.call(carries_prompt=False), "/api/show", {"model": f"{name}:local"}
                )
                called = f"{name}:local"
            except ProviderError as unknown:
                if unknown.status not in (400, 404):
                    raise
        if shown is None:
            shown = await self._fetch(
                attempt, attempt.call(carries_prompt=False), "/api/show", {"model": name}
            )
        self._demand_local(shown, held_local=held_local)
        found = called, shown_window(shown)
        # Replaced whole, from a copy: another thread may be reading or replacing it.
        others = {key: value for key, value in self._shown.copy().items() if key[0] != name}
        self._shown = others | {(name, digest): found}
        return found

    async def _demand_no_cloud(self, attempt: Attempt) -> None:
        status = await self._fetch(attempt, attempt.call(carries_prompt=False), "/api/status", None)
        cloud = status.get("cloud")
        if not isinstance(cloud, Mapping) or cloud.get("disabled") is not True:
            raise EgressRefused(
                dispatched=False, detail="its cloud features are on, and the policy wants them off"
            )

    @staticmethod
    def _demand_local(described: Mapping[str, Any], *, held_local: bool) -> None:
        if held_local and remote_host(described) is not None:
            raise EgressRefused(dispatched=False, detail="the model is backed by a remote host")

    async def _check_answer(
        self, attempt: Attempt, body: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> None:
        if self.target.egress is Egress.LOCAL and remote_host(answer) is not None:
            self._quarantined.add(canonical_name(attempt.request.model))
            raise EgressAlarm(
                usage=attempt.usage, detail="the answer names a remote host; the prompt went there"
            )
        if answer.get("done") is True:
            await self._check_window(attempt, body, count_of(answer.get("prompt_eval_count")))

    async def _check_window(self, attempt: Attempt, body: Mapping[str, Any], counted: int | None) -> None:
        """Raises ContextTruncated when more was sent than the window holds, and just the window was read.

        A low count alone says nothing: scripts, tables and rule lines differ in bytes a token, and some
        daemons count only what their cache lacks.
        """
        expected = expected_tokens(attempt.request)
        if not counted or expected <= _COUNTABLE or counted * 10 > expected * 9:
            return
        window = body["options"]["num_ctx"]
        try:
            running = find_model(await self._models(attempt, "/api/ps"), attempt.request.model)
            window = count_of((running or {}).get("context_length")) or window
        except Exception:  # the answer is whole: what goes wrong in asking for the window is no fault of it
            pass
        if expected > window and fills(counted, window):
            raise ContextTruncated(
                status=200,
                usage=attempt.usage,
                detail=f"{counted} prompt tokens were read, in a window of {window},"
                f" where about {expected} were sent",
            )

    async def _models(self, attempt: Attempt, path: str) -> list[Mapping[str, Any]]:
        answer = await self._fetch(attempt, attempt.call(carries_prompt=False), path, None)
        models = answer.get("models")
        return [model for model in models if isinstance(model, Mapping)] if isinstance(models, list) else []

    async def _fetch(
        self, attempt: Attempt, call: Call, path: str, body: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        """One whole answer: an object. Raises what the daemon reported, also when it did so under status
        200."""
        response = await self._send(call, "GET" if body is None else "POST", path, body)
        try:
            await response.aread()
        finally:
            await response.aclose()
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = None
        if response.status_code >= 400 or (isinstance(answer, dict) and "error" in answer):
            raise self._reported(call, answer, attempt)
        if not isinstance(answer, dict):
            raise ValueError("the answer is not a JSON object")
        return answer

    async def _send(
        self, call: Call, method: str, path: str, body: Mapping[str, Any] | None
    ) -> httpx2.Response:
        content = None if body is None else json.dumps(body).encode("utf-8")
        headers = {"accept": "application/json"} | (
            {} if body is None else {"content-type": "application/json"}
        )
        connection = self._connection
        request = connection.http.build_request(
            method, f"{connection.address.url}{path}", content=content, headers=headers
        )
        with call.in_force():
            return await connection.http.send(request, stream=True)

    async def _lines(
        self, attempt: Attempt, call: Call, response: httpx2.Response
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The objects of an NDJSON stream. Raises the error that a line reports, and Truncated for half a
        line."""
        if response.status_code >= 400:
            await response.aread()
            raise self._reported(call, _lenient(response.content), attempt)
        rest = b""
        async for part in response.aiter_bytes():
            # Not `aiter_lines`: it also breaks at characters that JSON leaves bare inside strings.
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.strip():
                    yield self._line(attempt, call, line)
            if len(rest) > _LINE_BYTES:
                raise Truncated(status=call.status, detail="a line of the stream has no end")
        if rest.strip():
            yield self._line(attempt, call, rest)

    def _line(self, attempt: Attempt, call: Call, line: bytes) -> Mapping[str, Any]:
        read = _lenient(line)
        if not isinstance(read, dict):
            raise Truncated(
                status=call.status, usage=attempt.usage_estimate(), detail="a line cannot be read"
            )
        if "error" in read:
            raise self._reported(call, read, attempt)
        return read


def _read_usage(attempt: Attempt, answer: Mapping[str, Any]) -> None:
    """The token counts of an answer; Ollama tells neither cached nor reasoning tokens."""
    attempt.usage_reader.read({name: answer.get(name) for name in ("prompt_eval_count", "eval_count")})


def _lenient(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None
