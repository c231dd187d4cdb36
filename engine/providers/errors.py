"""What can go wrong at a provider: one exception class for each class of failure in `conduct`.

ProviderError                   (under engine.errors.EngineError)
├── Unreachable                 UNREACHABLE   nobody answered; the request was not fully written
├── OutcomeUnknown              UNKNOWN       the request was written, then silence or a reset
├── AuthFailed                  AUTH          the key is missing, wrong or not allowed
├── QuotaSpent                  QUOTA         no money or quota left at the provider
├── Throttled                   THROTTLED     too many requests; may carry retry_after_s
├── Overloaded                  OVERLOADED    the provider is full
├── ServerFailed                SERVER        the provider broke
├── Transient                   TRANSIENT     a conflict or a time-out the provider reported
├── ModelMissing                MISSING       the provider does not have the model, or has it no more
├── NotAllowed                  DENIED        this key may not use this model, or a gateway's rule forbids it
├── Unfit                       UNFIT         this target cannot take this request
├── ContextOverflow             OVERFLOW      the prompt does not fit the window
│   └── ContextTruncated        OVERFLOW      the provider cut the prompt and answered all the same
├── TooLarge                    TOO_LARGE     the request has more bytes than the provider takes
├── Refused                     REFUSED       the model or its filter declined
├── InvalidRequest              INVALID       the request is wrong, whoever is asked
├── Truncated                   TRUNCATED     the answer ended without its terminal mark
├── BrokenAnswer                BROKEN        what came is no answer
├── Cancelled                   CANCELLED     the deadline passed (a caller's cancel stays CancelledError)
├── EgressRefused               EGRESS        sending would leave the permit; nothing was sent
├── EgressAlarm                 LEAK          the answer shows that the model was not local after all
└── StreamInterrupted           (its cause's) content had already reached the caller

No error here holds a request, a prompt, a key or a foreign exception: `detail` is at most 200 characters that
were cleared of both (`sanitising.sanitise`), and each is raised outside the handler of what caused it, so
that neither `__cause__` nor `__context__` leads back to a request.
"""

# ruff: noqa: N818  (the names say what happened; `Error` on each would say nothing more)
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from engine.errors import EngineError
from engine.providers.conduct import (
    CONDUCT,
    Billed,
    Conduct,
    ErrorClass,
    Fault,
    HealthMark,
    NextTarget,
    SameTarget,
)
from engine.providers.reply import ToolCall, Usage

DETAIL_CHARACTERS = 200
# Who gave up waiting does not know whether somebody worked on: 504, 524 of a well-known gateway, and 408,
# which is billed for what was worked (https://learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs).
_TIMEOUTS = (408, 504, 524)


@dataclass(frozen=True, slots=True)
class RefusedField:
    """A field that a target says it will not take: by its row in the field table, or by its name on the wire.
    `only_value`: another value of it may be taken."""

    name: str
    only_value: bool = False


class ProviderError(EngineError):
    """A provider that failed. Raise one of the classes below, not this one.

    `provider` and `model` name the target; `status` is the HTTP status, None when no answer came (an error
    inside a stream has status 200); `code` is the provider's own error type when it is a known word;
    `request_id` is the provider's; `retry_after_s` is in seconds; `dispatched` says whether any byte of the
    request may have been sent; `usage` is what the provider reported before failing; `feature` is what the
    target cannot do at all, `refused` the fields of the request that it will not take, and `most_output` the
    most tokens of output that it gives, when it said so.
    """

    kind: ClassVar[ErrorClass]
    sentence: ClassVar[str]

    def __init__(
        self,
        *,
        provider: str = "",
        model: str = "",
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        detail: str = "",
        dispatched: bool = True,
        usage: Usage | None = None,
        feature: str | None = None,
        refused: tuple[RefusedField, ...] = (),
        most_output: int | None = None,
    ) -> None:
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.detail = detail[:DETAIL_CHARACTERS]
        self.dispatched = dispatched
        self.usage = usage
        self.feature = feature
        self.refused = refused
        self.most_output = most_output
        super().__init__(self._message())

    def _message(self) -> str:
        where = " / ".join(part for part in (self.provider, self.model) if part)
        facts = [
            f"status {self.status}" if self.status is not None else "",
            self.code or "",
            f"request {self.request_id}" if self.request_id else "",
        ]
        known = ", ".join(fact for fact in facts if fact)
        return "".join(
            [
                f"{where}: " if where else "",
                self.sentence,
                f" ({known})" if known else "",
                f": {self.detail}" if self.detail else "",
            ]
        )

    @property
    def conduct(self) -> Conduct:
        """What may be done now: the class's row, corrected by what is known of this one failure."""
        row = CONDUCT[self.kind]
        if row.billed is Billed.NO and self.status == 200 and self.dispatched:
            # It failed after its answer began, and what it had worked until then may be billed.
            return replace(row, billed=Billed.UNKNOWN)
        if self.kind in (ErrorClass.SERVER, ErrorClass.TRANSIENT) and self.status in _TIMEOUTS:
            return replace(row, billed=Billed.UNKNOWN)
        if self.kind is ErrorClass.CANCELLED and not self.dispatched:
            return replace(row, billed=Billed.NO)
        return row

    def at(self, provider: str, model: str, *, dispatched: bool) -> ProviderError:
        """A fresh copy that names its target: no traceback, no context, nothing but the facts."""
        facts = self._state() | {"provider": provider, "model": model, "dispatched": dispatched}
        return type(self)(**facts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "model": self.model,
            "status": self.status,
            "code": self.code,
            "request_id": self.request_id,
            "retry_after_s": self.retry_after_s,
            "detail": self.detail,
            "dispatched": self.dispatched,
            "usage": self.usage,
            "feature": self.feature,
            "refused": self.refused,
            "most_output": self.most_output,
        }


class Unreachable(ProviderError):
    """Name lookup, connect or TLS failed, or the connection broke before the request was fully written."""

    kind = ErrorClass.UNREACHABLE
    sentence = "cannot be reached"


class OutcomeUnknown(ProviderError):
    """The request was written; then came a reset or silence, before any content. It may have been billed."""

    kind = ErrorClass.UNKNOWN
    sentence = "gave no answer after the request was sent"


class AuthFailed(ProviderError):
    """401, 403, authentication errors, or no key at all."""

    kind = ErrorClass.AUTH
    sentence = "did not accept the key"


class QuotaSpent(ProviderError):
    """Out of credit, quota or the provider's own spend limit: no retry helps before its window resets."""

    kind = ErrorClass.QUOTA
    sentence = "has no quota left for this key"


class Throttled(ProviderError):
    """429 of the ordinary kind; `retry_after_s` when the provider said it."""

    kind = ErrorClass.THROTTLED
    sentence = "asks to slow down"


class Overloaded(ProviderError):
    """529, `overloaded_error`, 503; Ollama's full queue."""

    kind = ErrorClass.OVERLOADED
    sentence = "is overloaded"


class ServerFailed(ProviderError):
    """500, 502, 504 and their kin. After a 504 the request may have been billed."""

    kind = ErrorClass.SERVER
    sentence = "failed on its side"


class Transient(ProviderError):
    """408 and 409."""

    kind = ErrorClass.TRANSIENT
    sentence = "asks to try again"


class ModelMissing(ProviderError):
    """The provider does not know the model, or has retired it."""

    kind = ErrorClass.MISSING
    sentence = "does not have this model"


class NotAllowed(ProviderError):
    """The key is good and may not use this model, or a gateway's own budget or moderation forbids it."""

    kind = ErrorClass.DENIED
    sentence = "does not allow this model to this key"


class Unfit(ProviderError):
    """This target cannot take this request: a parameter, part, tool or schema, or the form of its API.

    Any 4xx without a known word is that, and every redirect.
    """

    kind = ErrorClass.UNFIT
    sentence = "does not take this request"


class ContextOverflow(ProviderError):
    """The prompt does not fit the context window. Never retried unchanged."""

    kind = ErrorClass.OVERFLOW
    sentence = "cannot hold this prompt in its context window"


class ContextTruncated(ContextOverflow):
    """The provider counted far fewer prompt tokens than were sent: it cut the prompt and answered anyway."""

    sentence = "cut the prompt before answering"


class TooLarge(ProviderError):
    """413: the request has too many bytes."""

    kind = ErrorClass.TOO_LARGE
    sentence = "does not take a request this large"


class Refused(ProviderError):
    """The model or a content filter declined. Surfaced, not routed around."""

    kind = ErrorClass.REFUSED
    sentence = "declined to answer"


class InvalidRequest(ProviderError):
    """The request is wrong by its own form: no target could take it. Found here, before it is sent."""

    kind = ErrorClass.INVALID
    sentence = "does not accept this request"


class Truncated(ProviderError):
    """The answer ended without its terminal mark, or a part of it could not be read."""

    kind = ErrorClass.TRUNCATED
    sentence = "ended the answer before it was complete"


class BrokenAnswer(ProviderError):
    """What came is no answer: `finish_reason: error`, a tool call that is none, a web page."""

    kind = ErrorClass.BROKEN
    sentence = "gave an answer that is none"


class Cancelled(ProviderError):
    """The request's own deadline passed. A cancel by the caller stays `asyncio.CancelledError`."""

    kind = ErrorClass.CANCELLED
    sentence = "was given up at the deadline"


class EgressRefused(ProviderError):
    """The transport would have sent where the permit does not allow it. Nothing was sent."""

    kind = ErrorClass.EGRESS
    sentence = "may not be called"


class EgressAlarm(ProviderError):
    """A model held to be local answered through a remote host. The prompt is out: quarantine the target."""

    kind = ErrorClass.LEAK
    sentence = "was held to be local and is not"


_NO_SWITCH = Conduct(Fault.ANSWER, SameTarget.NEVER, NextTarget.NO, Billed.UNKNOWN, HealthMark.FAILING)


class StreamInterrupted(ProviderError):
    """A stream that failed after content had reached the caller: never switched, never retried.

    `partial` is the text so far, `tool_calls` those that were complete, `cause` the classified failure and
    `usage_estimate` what the provider had reported by then (each count None when unknown). The text is kept
    out of repr, str, logs and pickles; ask for it by name.
    """

    sentence = "broke off in the middle of the answer"

    def __init__(
        self,
        *,
        cause: ProviderError,
        partial: str,
        usage_estimate: Usage,
        tool_calls: tuple[ToolCall, ...] = (),
    ) -> None:
        self.cause = cause
        self.partial = partial
        self.tool_calls = tool_calls
        self.usage_estimate = usage_estimate
        super().__init__(
            provider=cause.provider,
            model=cause.model,
            status=cause.status,
            code=cause.code,
            request_id=cause.request_id,
            retry_after_s=cause.retry_after_s,
            detail=f"{cause.kind.value}: {cause.detail}" if cause.detail else cause.kind.value,
            dispatched=True,
            usage=usage_estimate,
        )

    @property
    def kind(self) -> ErrorClass:  # type: ignore[override]
        """The class of the failure behind it."""
        return self.cause.kind

    @property
    def conduct(self) -> Conduct:
        """No retry, no next target; health as the cause says; what was billed is unknown, but for a refusal
        whose stream came to its end and told its usage."""
        cause = self.cause.conduct
        is_told = self.cause.kind is ErrorClass.REFUSED and self.cause.usage is not None
        billed = Billed.BY_USAGE if is_told else _NO_SWITCH.billed
        return replace(_NO_SWITCH, fault=cause.fault, health=cause.health, billed=billed)

    def at(self, provider: str, model: str, *, dispatched: bool) -> ProviderError:
        """Itself: its cause has named the target."""
        return self

    def _state(self) -> dict[str, Any]:
        return {"cause": self.cause, "partial": "", "usage_estimate": self.usage_estimate}


def _rebuild(made: type[ProviderError], state: dict[str, Any]) -> ProviderError:
    return made(**state)


BY_CLASS: dict[ErrorClass, type[ProviderError]] = {
    made.kind: made
    for made in (
        Unreachable,
        OutcomeUnknown,
        AuthFailed,
        QuotaSpent,
        Throttled,
        Overloaded,
        ServerFailed,
        Transient,
        ModelMissing,
        NotAllowed,
        Unfit,
        ContextOverflow,
        TooLarge,
        Refused,
        InvalidRequest,
        Truncated,
        BrokenAnswer,
        Cancelled,
        EgressRefused,
        EgressAlarm,
    )
}
