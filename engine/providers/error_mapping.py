"""Which failure is of which class: a status, a body or a foreign exception becomes one of our errors.

Known words decide first, then phrases in the sentences, then the status; the words are data in
`error_words.toml`, each with its source. The provider's sentence is kept only after `sanitise` has taken out
everything that could be prompt, key or terminal control.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.resources import files
from typing import Any

from engine.providers.base import Request
from engine.providers.conduct import Billed, ErrorClass
from engine.providers.error_bodies import ErrorBody, parsed_body, read_error
from engine.providers.errors import BY_CLASS, ProviderError
from engine.providers.http_exchange import Call
from engine.providers.refused_fields import most_output, refused_fields
from engine.providers.reply import Usage
from engine.providers.sanitising import sanitise
from engine.providers.secret import Secret

# Longer than a year is no waiting time but a mistake, such as a time of day sent as seconds.
_LONGEST_WAIT_S = 366 * 86_400.0
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SPAN = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(ms|s|m|h)")
_WAIT = re.compile(rf"(?:try again|retry|wait)[^.0-9]{{0,20}}((?:{_SPAN.pattern}[a-z]* ?)+)")
_REGAIN = re.compile(r"regain access on ([0-9]{4}-[0-9]{2}-[0-9]{2})(?: at ([0-9]{2}:[0-9]{2}) utc)?")
# Some servers say under a 500 what their model cannot take.
_MAY_NAME_A_FEATURE = (ErrorClass.UNFIT, ErrorClass.MISSING, ErrorClass.SERVER)
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "not_supported_error")


@dataclass(frozen=True, slots=True)
class _Phrase:
    kind: ErrorClass
    pattern: re.Pattern[str]
    over: frozenset[ErrorClass]
    statuses: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Feature:
    name: str
    pattern: re.Pattern[str]
    parameters: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    words: Mapping[str, ErrorClass]
    weak: Mapping[str, ErrorClass]
    statuses: Mapping[int, ErrorClass]
    phrases: tuple[_Phrase, ...]
    features: tuple[_Feature, ...]
    loading: re.Pattern[str]


@cache
def _vocabulary() -> _Vocabulary:
    data: dict[str, Any] = tomllib.loads((files("engine.providers") / "error_words.toml").read_text("utf-8"))
    return _Vocabulary(
        {word: ErrorClass(kind) for word, kind in data["words"].items()},
        {word: ErrorClass(kind) for word, kind in data["weak"].items()},
        {int(status): ErrorClass(kind) for status, kind in data["status"].items()},
        tuple(
            _Phrase(
                ErrorClass(row["class"]),
                re.compile(row["pattern"]),
                frozenset(map(ErrorClass, row.get("over", ()))),
                frozenset(row.get("statuses", ())),
            )
            for row in data["phrase"]
        ),
        tuple(
            _Feature(row["name"], re.compile(row["pattern"]), frozenset(row["parameters"]))
            for row in data["feature"]
        ),
        re.compile(data["loading"]["pattern"]),
    )


def says_loading(error: ProviderError) -> bool:
    """Whether a server refused a prompt because it is still loading the model."""
    return error.conduct.billed is Billed.NO and bool(_vocabulary().loading.search(error.detail.lower()))


def classify(status: int, body: object) -> ErrorClass:
    """The class of an error that the provider reported; `status` is 200 for one inside a good answer.

    >>> classify(200, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    <ErrorClass.OVERLOADED: 'overloaded'>
    """
    return _class_of(status, read_error(body))


def _class_of(http_status: int, said: ErrorBody) -> ErrorClass:
    known, text = _vocabulary(), said.text
    status = said.status if http_status < 400 and said.status is not None else http_status
    found = next((known.words[word] for word in said.words if word in known.words), None)
    for phrase in known.phrases:
        if (
            (found is None or found in phrase.over)
            and (not phrase.statuses or status in phrase.statuses)
            and phrase.pattern.search(text)
        ):
            return phrase.kind
    if found is not None:
        return found
    if status >= 400:
        by_status = known.statuses.get(status)
        return by_status or (ErrorClass.SERVER if status >= 500 else ErrorClass.UNFIT)
    # A server that accepted the request and then failed without a number.
    return next((known.weak[word] for word in said.words if word in known.weak), ErrorClass.SERVER)


def feature_of(kind: ErrorClass, said: ErrorBody) -> str | None:
    """What of the request the target cannot take at all; None unless it said so."""
    if kind not in _MAY_NAME_A_FEATURE:
        return None
    features = _vocabulary().features
    if set(said.words) & set(_UNSUPPORTED) and said.parameters:
        parameter = re.split(r"[.\[]", said.parameters[0])[0]
        named = next((feature.name for feature in features if parameter in feature.parameters), None)
        if named is not None:
            return named
    return next((feature.name for feature in features if feature.pattern.search(said.text)), None)


def known_word(body: object) -> str | None:
    """The provider's own word for the error, if it is one of those that are data here: no other is ever
    shown."""
    return _known_word(read_error(body))


def _known_word(said: ErrorBody) -> str | None:
    known = _vocabulary()
    return next((word for word in said.words if word in known.words or word in known.weak), None)


def reported(
    call: Call,
    body: object,
    *,
    request: Request | None = None,
    key: Secret | None = None,
    usage: Usage | None = None,
) -> ProviderError:
    """The error that the provider reported in `body`, under the status its answer began with."""
    body = parsed_body(body)
    status, said = call.status if call.status is not None else 200, read_error(body)
    kind = _class_of(status, said)
    # A probe asks with no messages, and so with no field that could be refused.
    asked = request if request and request.messages else None
    refused = refused_fields(said, asked) if asked and kind in _MAY_NAME_A_FEATURE else ()
    most = most_output(said, request) if request and kind is ErrorClass.UNFIT and not refused else None
    feature = None if refused else feature_of(kind, said)
    if refused or feature is not None:
        kind = ErrorClass.UNFIT
    return BY_CLASS[kind](
        status=status,
        code=_known_word(said),
        request_id=request_id(call, body),
        retry_after_s=_wait_s(call.headers, said),
        detail=sanitise(said.sentence, request, key),
        usage=usage,
        feature=feature,
        refused=refused,
        most_output=most,
    )


def request_id(call: Call, body: object = None) -> str | None:
    """The provider's id of the request, from a header or an Anthropic error body; None unless it looks
    like one."""
    found = call.headers.get("request-id") or call.headers.get("x-request-id")
    if found is None and isinstance(body, Mapping):
        found = body.get("request_id")
    return found if isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{1,80}", found) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, however it was said; a date counts from the answer's own Date header, else from
    this machine's clock.

    >>> retry_after({"retry-after": "7"}), retry_after({"retry-after-ms": "1500"}), retry_after({})
    (7.0, 1.5, None)
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        written = headers.get(name, "").strip()
        if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", written):
            return _plausible(float(written) * unit_s)
    try:
        then = parsedate_to_datetime(headers["retry-after"])
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return _plausible(max(0.0, (then - now).total_seconds()))
    except (KeyError, ValueError, TypeError):
        return None


def _wait_s(headers: Mapping[str, str], said: ErrorBody) -> float | None:
    """The time that the target named: in its headers, in its body's fields, or in its sentence."""
    named = retry_after(headers)
    if named is None and said.retry_after_s is not None:
        named = _plausible(said.retry_after_s)
    if named is None and (wait := _WAIT.search(said.text)):
        named = _plausible(sum(float(size) * _UNITS_S[unit] for size, unit in _SPAN.findall(wait[1])))
    if named is None and (regain := _REGAIN.search(said.text)):
        try:
            then = datetime.fromisoformat(f"{regain[1]}T{regain[2] or '00:00'}:00+00:00")
        except ValueError:
            return None
        named = _plausible(max(0.0, then.timestamp() - time.time()))
    return named


def _plausible(wait_s: float) -> float | None:
    return wait_s if wait_s <= _LONGEST_WAIT_S else None
