"""What a provider said of a failure, in whatever form -> its words, its own status, its sentence, its time.

One reader for every dialect: an object under `error` or none, a list around it, an error inside a message or
under `metadata.raw`, FastAPI's `detail`, Google's `details`, a web page. It judges nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_WORD_NAMES = ("error_code", "reason", "code", "type", "status")
_SENTENCE_NAMES = ("message", "msg", "error_description", "error_message", "reason", "title")
_INNER = (
    "error",
    "innererror",
    "inner_error",
    "details",
    "detail",
    "errors",
    "metadata",
    "raw",
    "upstream",
    "cause",
)
_DEPTH = 6
_BODY_CHARACTERS = 65_536
_TITLE = re.compile(r"<title[^>]*>(.{1,200}?)</title>", re.IGNORECASE | re.DOTALL)
_HEADING = re.compile(r"<h1[^>]*>(.{1,200}?)</h1>", re.IGNORECASE | re.DOTALL)
_EMPTY_SENTENCE = re.compile(
    r"provider returned error|error|unknown error|upstream error|bad request", re.IGNORECASE
)
_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What was said. `words` are its codes and types in one spelling, the most telling first; `sentences` its
    messages, the outermost first; `status` an HTTP status that the body names; `parameters` are paths
    to what of the request it points at; `retry_after_s` the seconds it asks for."""

    words: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    status: int | None = None
    parameters: tuple[str, ...] = ()
    retry_after_s: float | None = None

    @property
    def sentence(self) -> str:
        """The sentence that says most: the first that is no mere `Provider returned error`."""
        telling = (said for said in self.sentences if not _EMPTY_SENTENCE.fullmatch(said.strip(" .!")))
        return next(telling, self.sentences[0] if self.sentences else "")

    @property
    def text(self) -> str:
        """Every sentence in lower case, for the words that stand in them."""
        return " ".join(self.sentences).lower()


def read_error(body: object) -> ErrorBody:
    """The body of an error answer, parsed or not.

    >>> said = read_error([{"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}])
    >>> said.words, said.sentence, said.status
    (('resource_exhausted',), 'Slow down.', 429)
    """
    found = _Found()
    _read(parsed_body(body), found, _DEPTH)
    return ErrorBody(
        tuple(dict.fromkeys(found.words)),
        tuple(dict.fromkeys([*found.sentences, *found.codes])),
        found.status,
        tuple(dict.fromkeys(found.parameters)),
        found.retry_after_s,
    )


def is_error(body: object) -> bool:
    """Whether a parsed answer under status 200 is an error all the same.

    >>> is_error({"choices": []}), is_error({"detail": "Not Found"}), is_error("<html>")
    (False, True, True)
    """
    match body:
        case str():
            return bool(body.strip())
        case Mapping():
            if (
                body.get("error")
                or body.get("errors")
                or body.get("type") == "error"
                or body.get("object") == "error"
            ):
                return True
            answers = {"choices", "content", "message", "done", "models", "data"} & set(body)
            return (not answers and "detail" in body) or (
                "code" in body and isinstance(body.get("message"), str)
            )
        case Sequence() if len(body) == 1:
            return is_error(body[0])
        case _:
            return False


def stray_error(tail: bytes) -> object | None:
    """The error at the end of an answer that came under status 200, from its last bytes; None without one.

    It can be the whole body (JSON or a web page), a line of server-sent events (`data:`, or the field
    `error:` that some servers invented), or the last line of a stream of JSON lines.
    """
    text = tail.decode("utf-8", "replace").strip()
    whole = parsed_body(text)
    if not isinstance(whole, str):
        return whole if is_error(whole) else None
    if text[:1] == "<" and ("<html" in text.lower() or "<!doctype" in text.lower()):
        return text
    for line in reversed(text.splitlines()):
        name, colon, value = line.partition(":")
        if colon and name.strip() == "error":
            return parsed_body(value.strip())
        said = parsed_body(value.strip()) if colon and name.strip() == "data" else parsed_body(line)
        if not isinstance(said, str) and is_error(said):
            return said
    return None


def parsed_body(body: object) -> object:
    """JSON that was sent as text, else what was given."""
    if isinstance(body, bytes | bytearray):
        body = bytes(body[:_BODY_CHARACTERS]).decode("utf-8", "replace")
    if isinstance(body, str) and body.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return body
    return body


def spelling(word: str) -> str:
    """A word in one spelling: `InternalServerError`, `Internal Server Error` -> `internal_server_error`."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word.strip())
    return re.sub(r"[\s.-]+", "_", split).lower()


@dataclass(slots=True)
class _Found:
    words: list[str]
    sentences: list[str]
    codes: list[str]
    status: int | None
    parameters: list[str]
    retry_after_s: float | None

    def __init__(self) -> None:
        self.words, self.sentences, self.codes, self.parameters = [], [], [], []
        self.status, self.retry_after_s = None, None


def _read(body: object, found: _Found, depth: int) -> None:
    if depth == 0:
        return
    match body:
        case str():
            _read_text(body, found, depth)
        case Mapping():
            _read_object(body, found, depth)
        case Sequence() if not isinstance(body, bytes | bytearray):
            for held in body[:8]:
                _read(held, found, depth - 1)
        case _:
            pass


def _read_text(text: str, found: _Found, depth: int) -> None:
    parsed = parsed_body(text)
    if not isinstance(parsed, str):
        _read(parsed, found, depth - 1)
    elif "<html" in text[:2000].lower() or "<!doctype html" in text[:200].lower():
        said = _TITLE.search(text) or _HEADING.search(text)
        plain = re.sub(r"<[^>]*>", " ", said[1]) if said else ""
        found.sentences.append(f"a web page: {' '.join(plain.split())}" if plain.strip() else "a web page")
    elif text.strip():
        found.sentences.append(text)
        # A gateway quotes what stands behind it: `... Exception - {"error": {...}}`.
        start = text.find('{"')
        if start > 0:
            quoted = parsed_body(text[start : text.rfind("}") + 1])
            if not isinstance(quoted, str):
                _read(quoted, found, depth - 1)


def _read_object(body: Mapping[str, object], found: _Found, depth: int) -> None:
    inner = body.get("error")
    if isinstance(inner, Mapping):
        _read(inner, found, depth - 1)
    for name in _INNER:
        if name in ("innererror", "inner_error", "details"):
            _read_words(body.get(name), found)
    _read_words(body, found)
    for name in _SENTENCE_NAMES:
        value = body.get(name)
        if isinstance(value, str) and value.strip() and (name != "reason" or " " in value):
            _read_text(value, found, depth)
            break
    if not isinstance(body.get("message"), str):
        _read(body.get("message"), found, depth - 1)
    for name in ("param", "parameter"):
        value = body.get(name)
        if isinstance(value, str) and value:
            found.parameters.append(value)
    match body.get("loc"):
        case ["body", *steps] if steps:
            found.parameters.append(".".join(map(str, steps)))
    _read_time(body, found)
    for name in _INNER:
        if name != "error" or not isinstance(inner, Mapping):
            _read(body.get(name), found, depth - 1)


def _read_words(level: object, found: _Found) -> None:
    if isinstance(level, Sequence) and not isinstance(level, str | bytes):
        for held in level[:8]:
            _read_words(held, found)
        return
    if not isinstance(level, Mapping):
        return
    for word in _words(level, found):
        found.words.append(word)


def _words(level: Mapping[str, object], found: _Found) -> Iterator[str]:
    for name in _WORD_NAMES:
        value = level.get(name)
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{3,9}", value) else value
        if isinstance(number, int) and not isinstance(number, bool):
            if name in ("code", "status", "error_code") and 400 <= number <= 599 and found.status is None:
                found.status = number
        # `type: error` is the envelope's; a code that is a whole sentence is one.
        elif isinstance(value, str) and value and value.lower() != "error":
            if len(value) > 60:
                found.codes.append(value)
            else:
                yield spelling(value)


def _read_time(body: Mapping[str, object], found: _Found) -> None:
    """Google's `retryDelay: 30s`, and a plain number under `retry_after`."""
    for name in ("retryDelay", "retry_delay", "retry_after", "retry_after_seconds"):
        value = body.get(name)
        if isinstance(value, str) and (seconds := _SECONDS.fullmatch(value)):
            value = float(seconds[1])
        if found.retry_after_s is None and isinstance(value, int | float) and not isinstance(value, bool):
            found.retry_after_s = max(0.0, float(value))
