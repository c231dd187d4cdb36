"""Which failure is of which class: a status, a body or a foreign exception becomes one of our errors.

The body's `type` or `code` decides first, then telling phrases in its message, then the status. The
provider's message is kept only after `sanitise` has taken out everything that could be prompt, key or
terminal control.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from engine.providers.base import Request
from engine.providers.conduct import ErrorClass
from engine.providers.errors import BY_CLASS, ProviderError
from engine.providers.http_exchange import Call
from engine.providers.reply import Usage
from engine.providers.sanitising import sanitise
from engine.providers.secret import Secret

# Words that decide whatever the status is. Anthropic: `type`; OpenAI and its likes: `code`, then `type`.
_BY_WORD: dict[str, ErrorClass] = {
    "authentication_error": ErrorClass.AUTH,
    "permission_error": ErrorClass.AUTH,
    "permission_denied": ErrorClass.AUTH,
    "invalid_api_key": ErrorClass.AUTH,
    "incorrect_api_key": ErrorClass.AUTH,
    "invalid_organization": ErrorClass.AUTH,
    "invalid_authentication": ErrorClass.AUTH,
    "account_deactivated": ErrorClass.AUTH,
    "unsupported_country_region_territory": ErrorClass.AUTH,
    "billing_error": ErrorClass.QUOTA,
    "insufficient_quota": ErrorClass.QUOTA,
    "billing_hard_limit_reached": ErrorClass.QUOTA,
    "billing_not_active": ErrorClass.QUOTA,
    "enforced_spend_limit_reached": ErrorClass.QUOTA,
    "credit_balance_too_low": ErrorClass.QUOTA,
    "rate_limit_error": ErrorClass.THROTTLED,
    "rate_limit_exceeded": ErrorClass.THROTTLED,
    "rate_limit": ErrorClass.THROTTLED,
    "too_many_requests": ErrorClass.THROTTLED,
    "overloaded_error": ErrorClass.OVERLOADED,
    "overloaded": ErrorClass.OVERLOADED,
    "engine_overloaded": ErrorClass.OVERLOADED,
    "unavailable_error": ErrorClass.OVERLOADED,
    "service_unavailable": ErrorClass.OVERLOADED,
    "timeout_error": ErrorClass.SERVER,
    "conflict_error": ErrorClass.TRANSIENT,
    "context_length_exceeded": ErrorClass.OVERFLOW,
    "exceed_context_size_error": ErrorClass.OVERFLOW,
    "model_context_window_exceeded": ErrorClass.OVERFLOW,
    "request_too_large": ErrorClass.TOO_LARGE,
    "content_policy_violation": ErrorClass.REFUSED,
    "content_filter": ErrorClass.REFUSED,
    "moderation_blocked": ErrorClass.REFUSED,
    "responsible_ai_policy_violation": ErrorClass.REFUSED,
    "model_not_found": ErrorClass.INVALID,
    "not_found_error": ErrorClass.INVALID,
}
# Words that say little: the status is heard first, and they decide only inside a stream, where it is 200.
_WEAK: dict[str, ErrorClass] = {
    "invalid_request_error": ErrorClass.INVALID,
    "api_error": ErrorClass.SERVER,
    "server_error": ErrorClass.SERVER,
    "internal_server_error": ErrorClass.SERVER,
    "internal_error": ErrorClass.SERVER,
}
_OVERFLOW_PHRASE = re.compile(
    r"prompt is too long|maximum context length|exceeds? (?:the|its) (?:available |maximum )?context"
    r"|context (?:length|window|size) (?:is |was )?exceeded"
    r"|exceed(?:s|ed)? (?:the )?context (?:limit|window|length|size)"
    r"|longer than the context"
)
_QUOTA_PHRASE = re.compile(r"spend(?:ing)? limit|credit balance is too low|exceeded your current quota")
_BUSY_PHRASE = re.compile(r"server busy|maximum pending requests exceeded|overloaded")
_BY_STATUS: dict[int, ErrorClass] = {
    401: ErrorClass.AUTH,
    402: ErrorClass.QUOTA,
    403: ErrorClass.AUTH,
    408: ErrorClass.TRANSIENT,
    409: ErrorClass.TRANSIENT,
    413: ErrorClass.TOO_LARGE,
    429: ErrorClass.THROTTLED,
    503: ErrorClass.OVERLOADED,
    529: ErrorClass.OVERLOADED,
}


def classify(
    status: int, body: object, *, anthropic: bool = False, retry_after_s: float | None = None
) -> ErrorClass:
    """The class of an error that the provider reported; `status` is 200 for one inside a stream.

    `anthropic` turns on that vendor's habit: a 429 without Retry-After is a spent quota, not a short pause.

    >>> classify(200, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    <ErrorClass.OVERLOADED: 'overloaded'>
    """
    words, message = tuple(_words(body)), _message(body).lower()
    found = next((_BY_WORD[word] for word in words if word in _BY_WORD), None)
    if anthropic and status == 429 and retry_after_s is None and found in (None, ErrorClass.THROTTLED):
        return ErrorClass.QUOTA
    if _QUOTA_PHRASE.search(message) and found in (None, ErrorClass.THROTTLED):
        return ErrorClass.QUOTA
    if found is not None:
        return found
    if status in (200, 400, 422, 500) and _OVERFLOW_PHRASE.search(message):
        return ErrorClass.OVERFLOW
    if status in (200, 500) and _BUSY_PHRASE.search(message):
        return ErrorClass.OVERLOADED
    if status >= 400:
        return _BY_STATUS.get(status, ErrorClass.SERVER if status >= 500 else ErrorClass.INVALID)
    # Inside a stream: a word we do not know is INVALID; no word at all is a server that accepted and then
    # failed.
    weak = next((_WEAK[word] for word in words if word in _WEAK), None)
    return weak or (ErrorClass.INVALID if words else ErrorClass.SERVER)


def known_word(body: object) -> str | None:
    """The provider's own word for the error, if it is one of those this module knows: no other is ever
    shown."""
    return next((word for word in _words(body) if word in _BY_WORD or word in _WEAK), None)


def reported(
    call: Call,
    body: object,
    *,
    request: Request | None = None,
    key: Secret | None = None,
    anthropic: bool = False,
    usage: Usage | None = None,
) -> ProviderError:
    """The error that the provider reported in `body`, under the status its answer began with."""
    status = call.status if call.status is not None else 200
    retry_after_s = retry_after(call.headers)
    kind = classify(status, body, anthropic=anthropic, retry_after_s=retry_after_s)
    return BY_CLASS[kind](
        status=status,
        code=known_word(body),
        request_id=request_id(call, body),
        retry_after_s=retry_after_s,
        detail=sanitise(_message(body), request, key),
        usage=usage,
    )


def request_id(call: Call, body: object = None) -> str | None:
    """The provider's id of the request, from a header or an Anthropic error body; None unless it looks
    like one."""
    found = call.headers.get("request-id") or call.headers.get("x-request-id")
    if found is None and isinstance(body, Mapping):
        found = body.get("request_id")
    return found if isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{1,80}", found) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, however it was said; a date counts from the answer's own Date header.

    >>> retry_after({"retry-after": "7"}), retry_after({"retry-after-ms": "1500"}), retry_after({})
    (7.0, 1.5, None)
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        written = headers.get(name, "")
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", written):
            return float(written) * unit_s
    try:
        then = parsedate_to_datetime(headers["retry-after"])
        return max(0.0, (then - parsedate_to_datetime(headers["date"])).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None


def _words(body: object) -> Iterator[str]:
    """The error words of a body, most telling first: details, code, type, inside `error` and outside it."""
    if not isinstance(body, Mapping):
        return
    inner = body.get("error")
    for level in (inner, body) if isinstance(inner, Mapping) else (body,):
        assert isinstance(level, Mapping)
        details = level.get("details")
        inner_error = level.get("innererror")
        for source in (details, inner_error):
            if isinstance(source, Mapping):
                yield from _word_values(source, ("error_code", "reason", "code", "type"))
        yield from _word_values(level, ("error_code", "code", "type"))


def _word_values(level: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        value = level.get(name)
        # `type: error` is the envelope's; `code: "400"` of compatible servers is the status again.
        if isinstance(value, str) and value and value != "error" and not value.isdigit():
            yield value.lower()


def _message(body: object) -> str:
    if isinstance(body, str):
        return body
    if isinstance(body, Mapping):
        inner = body.get("error")
        for value in (inner if not isinstance(inner, Mapping) else inner.get("message"), body.get("message")):
            if isinstance(value, str):
                return value
    return ""
