"""One attempt at one provider, from permit to reply: time limits, and the border where foreign exceptions
end.

`WireProvider` is what the adapters share. Each adapter defines how to ask; this module decides when to give
up and how a failure is classified. It also ensures that no exception holds anything of the request: errors
travel as values up to the outermost frame, so the frames that held the request are not in the traceback.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from engine.providers.attempt import SIGN_OF_LIFE, Attempt
from engine.providers.base import DiscoveredModel, Egress, Health, Permit, Request, Target, Timeouts
from engine.providers.conduct import ErrorClass, HealthMark
from engine.providers.error_bodies import read_error, stray_error
from engine.providers.error_mapping import reported, request_id, says_loading
from engine.providers.errors import (
    AuthFailed,
    BrokenAnswer,
    Cancelled,
    OutcomeUnknown,
    ProviderError,
    ServerFailed,
    StreamInterrupted,
    Truncated,
    Unfit,
    Unreachable,
)
from engine.providers.http_exchange import Call
from engine.providers.importing import imported
from engine.providers.loop_local import LoopLocal
from engine.providers.reply import Chunk, Reply, Usage
from engine.providers.sanitising import sanitise
from engine.providers.secret import Secret

if TYPE_CHECKING:
    import httpx2

    from engine.providers.addresses import Address
    from engine.providers.transport import Resolve

Clock = Callable[[], float]
"""Seconds, monotonic."""

_T = TypeVar("_T")

DRAIN_S = 0.5
LOADING_S = 60.0

LOAD_PAUSE_S = 0.5
LONGEST_LOAD_PAUSE_S = 5.0
"""How long a server that says it loads a model is left alone before it is asked again, in seconds: the time
that it names, within the second."""


@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """What one event loop sends with: the guarded client, where it leads, and a vendor's SDK over it."""

    http: httpx2.AsyncClient
    address: Address
    sdk: Any = None


async def _closed(connection: Connection) -> None:
    await connection.http.aclose()


class WireProvider(ABC):
    """A provider that speaks HTTP through the guarded transport.

    `api_key` is needed by the vendor itself, and an empty one is refused anywhere in the cloud; `clock`
    (monotonic seconds) only measures a probe's latency; `ca_file` is a PEM file to trust instead of the
    system's certificates; `resolve` replaces the system's name lookup.
    """

    vendor_host: str | None = None

    def __init__(
        self,
        target: Target,
        *,
        api_key: Secret | None = None,
        clock: Clock | None = None,
        ca_file: str | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self.target = target
        self._api_key = api_key
        self._clock = clock
        self._ca_file = ca_file
        self._resolve = resolve
        self._connections = LoopLocal(self._open, _closed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target.name!r})"

    async def complete(self, request: Request) -> Reply:
        """The whole answer. Raises ProviderError, and CancelledError when the caller cancels."""
        attempt = self._begin(request)
        outcome = await self._limited(attempt, lambda: self._complete(attempt), request.timeouts.answer_s)
        while await self._waited_for_load(attempt, outcome):
            outcome = await self._limited(attempt, lambda: self._complete(attempt), request.timeouts.answer_s)
        if isinstance(outcome, BaseException):
            raise outcome
        if (problem := _no_call(outcome)) is not None:
            usage = outcome.usage if outcome.usage != Usage() else None
            raise self._placed(BrokenAnswer(status=200, usage=usage, detail=problem), attempt)
        return outcome

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """The answer piece by piece. Raises ProviderError before content and StreamInterrupted after it."""
        attempt = self._begin(request)
        pieces = self._stream(attempt)
        ended = False
        try:
            while not ended:
                limit_s = request.timeouts.idle_s if attempt.alive else request.timeouts.first_token_s
                outcome = await self._limited(attempt, pieces.__anext__, limit_s, is_silence=True)
                if await self._waited_for_load(attempt, outcome):
                    pieces = self._stream(attempt)
                    continue
                if isinstance(outcome, BaseException):
                    raise self._interrupted(attempt, outcome)
                problem = None if outcome.reply is None else _no_call(outcome.reply)
                if problem is not None:
                    broken = BrokenAnswer(status=200, usage=attempt.usage, detail=problem)
                    raise self._interrupted(attempt, self._placed(broken, attempt))
                attempt.note(outcome)
                ended = outcome.reply is not None
                if outcome != SIGN_OF_LIFE:
                    yield outcome
        finally:
            await pieces.aclose()

    async def probe(self, permit: Permit, *, timeout_s: float = 5.0) -> Health:
        """Is it there? Raises for nothing but a caller's cancel."""
        started = self._clock() if self._clock else None
        attempt = self._begin(_errand(permit, timeout_s))
        outcome = await self._limited(attempt, lambda: self._ping(attempt), timeout_s)
        if isinstance(outcome, ProviderError):
            return Health(_status_of(outcome), error=outcome)
        if isinstance(outcome, BaseException):
            raise outcome
        latency_s = self._clock() - started if self._clock and started is not None else None
        return Health("up", latency_s=latency_s, version=outcome)

    async def discover(self, permit: Permit, *, timeout_s: float = 5.0) -> tuple[DiscoveredModel, ...]:
        """The models it has, sorted by id. Raises ProviderError."""
        attempt = self._begin(_errand(permit, timeout_s))
        outcome = await self._limited(attempt, lambda: self._list_models(attempt), timeout_s)
        if isinstance(outcome, BaseException):
            raise outcome
        return tuple(sorted(outcome, key=lambda model: model.id))

    async def aclose(self) -> None:
        """Close its connections, in every event loop. Idempotent; a later call opens new ones."""
        await self._connections.aclose()

    @abstractmethod
    async def _open(self) -> Connection:
        """Import what is needed and make the client, over `_client()`."""

    @abstractmethod
    async def _complete(self, attempt: Attempt) -> Reply:
        """Send the request and read the whole answer."""

    @abstractmethod
    def _stream(self, attempt: Attempt) -> AsyncGenerator[Chunk, None]:
        """Send the request and yield what comes; the last piece carries the reply."""

    @abstractmethod
    async def _ping(self, attempt: Attempt) -> str | None:
        """Ask for something small; returns the server's version if it tells."""

    @abstractmethod
    async def _list_models(self, attempt: Attempt) -> Iterable[DiscoveredModel]:
        """Ask for the models."""

    def _demand_key(self) -> None:
        if self._api_key is None and self._host != self.vendor_host:
            return  # A server of one's own may want none; if it does, it says so.
        if self.target.egress is Egress.CLOUD and not self._api_key:
            raise AuthFailed(dispatched=False, detail="no key is set for it")
        if self._api_key is not None and not self._api_key.fits_a_header():
            raise AuthFailed(
                dispatched=False, detail="its key has a blank, a line end or an odd character in it"
            )

    def _begin(self, request: Request) -> Attempt:
        now, timeouts = asyncio.get_running_loop().time(), request.timeouts
        return Attempt(
            request,
            now + request.deadline_s,
            answer_by=now + timeouts.answer_s,
            whole_by=now + timeouts.whole_s,
        )

    @property
    def _connection(self) -> Connection:
        """The running event loop's, opened before each attempt. Raises Unreachable after `aclose`."""
        connection = self._connections.here()
        if connection is None:
            raise Unreachable(detail="its connections were closed while it was asked")
        return connection

    @property
    def _host(self) -> str:
        return self._connection.address.host

    async def _client(self, headers: Mapping[str, str] | None = None) -> Connection:
        """The guarded client of this target, the only one a provider may send with."""
        transport = await imported("engine.providers.transport")
        return Connection(
            *transport.open_client(
                self.target,
                api_key=self._api_key,
                headers=headers,
                ca_file=self._ca_file,
                resolve=self._resolve,
            )
        )

    async def _opened(self) -> None:
        await self._connections.opened()

    async def _limited(
        self,
        attempt: Attempt,
        work: Callable[[], Awaitable[_T]],
        limit_s: float,
        *,
        is_silence: bool = False,
    ) -> _T | Exception | asyncio.CancelledError:
        """Await `work` under a limit. What it raises comes back as a value, stripped of the frames that
        raised it."""
        limit = asyncio.timeout_at(attempt.give_up_at)
        try:
            async with limit:
                if not attempt.calls:
                    # Not under limit_s: an SDK takes seconds to import, once.
                    await self._opened()
                attempt.begin_limit(limit, limit_s, is_silence=is_silence)
                return await work()
        except asyncio.CancelledError as cancel:
            # The caller's own, to be raised again: same object, none of the frames it came through.
            cancel.__cause__ = cancel.__context__ = None
            return cancel.with_traceback(None)
        except StopAsyncIteration:
            return self._fault(Truncated(), attempt)
        except Exception as exc:
            return self._late(attempt, limit) if limit.expired() else self._fault(exc, attempt)
        finally:
            attempt.limit = None

    async def _waited_for_load(self, attempt: Attempt, outcome: object) -> bool:
        """True when a server said that it loads the model, which is not over its load budget, and a moment
        has passed since."""
        if not isinstance(outcome, ProviderError) or attempt.shown or not says_loading(outcome):
            return False
        attempt.cold = True
        now = asyncio.get_running_loop().time()
        if attempt.loaded_by is None:
            load_s = attempt.request.timeouts.load_s
            attempt.loaded_by = min(now + load_s, attempt.give_up_at)
            attempt.answer_by, attempt.whole_by = attempt.answer_by + load_s, attempt.whole_by + load_s
        pause_s = min(outcome.retry_after_s or LOAD_PAUSE_S, LONGEST_LOAD_PAUSE_S)
        if now + pause_s >= attempt.loaded_by:
            return False
        waited = await self._limited(attempt, lambda: asyncio.sleep(pause_s), math.inf)
        if isinstance(waited, BaseException):
            raise waited
        return True

    def _late(self, attempt: Attempt, limit: asyncio.Timeout) -> ProviderError:
        when = limit.when()
        if when is not None and when >= attempt.give_up_at:
            return self._placed(Cancelled(), attempt)
        if not attempt.dispatched and not any(call.written for call in attempt.calls):
            return self._placed(Unreachable(detail="not connected in time"), attempt)
        is_over = when is not None and when >= attempt.ends_at
        detail = "not done in the time it is given" if is_over else "silent for too long"
        return self._placed(OutcomeUnknown(detail=detail), attempt)

    def _fault(self, exc: Exception, attempt: Attempt) -> Exception:
        """The border: a foreign exception becomes one of ours, judged by how far the call got, not by its
        type."""
        # A bug in the reading of an answer ends here too, as an answer that cannot be read: with a stranger's
        # bytes in hand the two cannot be told apart.
        objection = attempt.calls[-1].objection if attempt.calls else None
        if objection is not None:
            return objection[0].with_traceback(objection[1])
        own = next((link for link in _chain(exc) if isinstance(link, ProviderError)), None)
        call = attempt.calls[-1] if attempt.calls else None
        stray = None if call is None or call.status != 200 else stray_error(call.tail)
        if own is not None:
            is_unread = isinstance(own, Truncated) and not own.detail and stray is not None
            return self._placed(self._stray(call, stray, attempt) if call and is_unread else own, attempt)
        if call is None or not call.used:
            return self._placed(Unfit(detail="it cannot be put in the provider's form"), attempt)
        body = _body_of(exc)
        if call.status is not None and (call.status >= 400 or body is not None):
            return self._placed(self._reported(call, body, attempt), attempt)
        if call.carries_prompt and stray is not None:
            return self._placed(self._stray(call, stray, attempt), attempt)
        if not call.carries_prompt:
            away = call.status is None
            error: ProviderError = (
                Unreachable()
                if away
                else ServerFailed(status=call.status, detail="its answer cannot be read")
            )
        elif call.status is not None:
            error = Truncated(status=call.status, request_id=request_id(call), usage=attempt.usage_estimate())
        else:
            error = OutcomeUnknown() if call.written else Unreachable()
        return self._placed(error, attempt)

    def _stray(self, call: Call, stray: object, attempt: Attempt) -> ProviderError:
        """An error that stood where an answer should; a web page is none of the target's own."""
        if not isinstance(stray, str):
            return self._reported(call, stray, attempt)
        detail = sanitise(read_error(stray).sentence, attempt.request, self._api_key)
        return BrokenAnswer(status=200, usage=attempt.usage_estimate(), detail=detail)

    def _reported(self, call: Call, body: object, attempt: Attempt) -> ProviderError:
        is_final = attempt.usage_reader.is_final(attempt.shown_bytes)
        return reported(
            call,
            body,
            request=attempt.request,
            key=self._api_key,
            usage=attempt.usage if is_final else None,
        )

    def _placed(self, error: ProviderError, attempt: Attempt) -> ProviderError:
        placed = error.at(self.target.name, attempt.request.model, dispatched=attempt.dispatched)
        if placed.request_id != self._identity(attempt, placed.request_id):
            placed.request_id = None
            placed = placed.at(placed.provider, placed.model, dispatched=placed.dispatched)
        return placed

    def _identity(self, attempt: Attempt, told: str | None) -> str | None:
        """A request id that the provider told; None when it echoes anything of the prompt or the key."""
        return told if told is None or sanitise(told, attempt.request, self._api_key) == told else None

    @staticmethod
    def _interrupted(attempt: Attempt, outcome: BaseException) -> BaseException:
        if not attempt.shown or not isinstance(outcome, ProviderError):
            return outcome
        return StreamInterrupted(
            cause=outcome,
            partial="".join(attempt.text),
            tool_calls=tuple(attempt.tool_calls),
            usage_estimate=attempt.usage_estimate(),
        )


async def next_event(call: Call, events: AsyncIterator[Any], until: float | None = None) -> Any:
    """The next event of an SDK's stream, read while its call is in force; None at its end.

    Raises TimeoutError at `until`, a time of the event loop.
    """
    with call.in_force():
        try:
            async with asyncio.timeout_at(until):
                return await anext(events)
        except StopAsyncIteration:
            return None


async def drain(rest: AsyncIterator[Any]) -> None:
    """After the terminal mark: read on to the end, so that the connection can serve again, but not for long.

    The answer is whole already; what goes wrong now is no failure of it.
    """
    try:
        async with asyncio.timeout(DRAIN_S):
            async for _ in rest:
                pass
    except Exception:
        return


def text_of(value: object) -> str | None:
    """A short text of a provider's about itself, such as a model's name; None unless it can be printed as
    it is."""
    plain = isinstance(value, str) and 0 < len(value) <= 300 and value.isprintable()
    return value if plain and isinstance(value, str) else None


def _errand(permit: Permit, timeout_s: float) -> Request:
    """A request for no model and with no content, for probing and discovering."""
    # Loading an SDK is no part of the time a provider has.
    return Request(
        "", permit, (), deadline_s=timeout_s + LOADING_S, timeouts=Timeouts(connect_s=min(3.0, timeout_s))
    )


def _status_of(error: ProviderError) -> Literal["up", "down", "misconfigured"]:
    if error.kind is ErrorClass.THROTTLED:
        return "up"
    failing = error.conduct.health in (HealthMark.FAILING, HealthMark.CLOSED)
    return "down" if failing or error.kind is ErrorClass.CANCELLED else "misconfigured"


def _no_call(reply: Reply) -> str | None:
    """Why an answer that ends with tool calls has none; None when it is well."""
    if any(not call["function"]["name"] for call in reply.tool_calls):
        return "a tool call without a name"
    if reply.finish_reason == "tool_calls" and not (reply.tool_calls or reply.content):
        return "it ends for tool calls and has none"
    return None


def _body_of(exc: BaseException) -> object:
    """What an SDK keeps of an error's body: the answer itself where it was read, for the SDKs strip its
    envelope."""
    answer = getattr(exc, "response", None)
    if answer is not None and answer.status_code >= 400 and answer.is_stream_consumed:
        content: bytes = answer.content
        return content
    body: object = getattr(exc, "body", None)
    return {"error": body} if isinstance(body, Mapping) and "error" not in body else body


def _chain(exc: BaseException | None) -> Iterable[BaseException]:
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__
