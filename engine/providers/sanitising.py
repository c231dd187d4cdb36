"""What a provider says of a failure -> what may be shown of it: nothing of the prompt, the key or a
terminal's codes."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from engine.providers.base import Request
from engine.providers.errors import DETAIL_CHARACTERS
from engine.providers.secret import Secret

FRAGMENT = 8
"""A run of this many characters that also stands in the prompt or the key is masked."""

# Words of the format itself, which a provider's message may quote.
_FORMAT = frozenset(
    [
        "array",
        "arguments",
        "assistant",
        "boolean",
        "content",
        "description",
        "developer",
        "function",
        "image_url",
        "integer",
        "name",
        "number",
        "object",
        "parameters",
        "properties",
        "required",
        "role",
        "string",
        "system",
        "text",
        "tool",
        "tool_call_id",
        "tool_calls",
        "type",
        "url",
        "user",
    ]
)


def sanitise(message: str, request: Request | None, key: Secret | None) -> str:
    """At most 200 characters of what a provider said, with nothing in them of the prompt, the key or a
    terminal code.

    Every run of 8 characters that also stands in the request's messages or tools, or in the key (reversed, in
    base64 or in hexadecimal too), is masked;
    case and white space do not hide it, nor does JSON escaping.
    """
    shown = " ".join(_printable(message[: 4 * DETAIL_CHARACTERS]).split())[: 2 * DETAIL_CHARACTERS]
    shown = re.sub(r"\b(?:(?:sk|pk|key)[-_]|bearer )[\w*-]{4,}", "[key]", shown, flags=re.IGNORECASE)
    secret = _haystack(request)
    masked = [False] * len(shown)
    echoes = frozenset() if key is None else key.echoes(shown, FRAGMENT)
    for start in range(len(shown) - FRAGMENT + 1):
        if start in echoes or _squeezed(shown[start : start + FRAGMENT]) in secret:
            masked[start : start + FRAGMENT] = [True] * FRAGMENT
    cleared = "".join("\0" if hidden else character for character, hidden in zip(shown, masked, strict=True))
    return re.sub("\0+", "[...]", cleared)[:DETAIL_CHARACTERS]


def _printable(text: str) -> str:
    # Control, format (bidi, zero-width), surrogate and private characters never reach a terminal or a log.
    return "".join(" " if unicodedata.category(character)[0] == "C" else character for character in text)


def _squeezed(text: str) -> str:
    return " ".join(text.lower().split()) if not text.isspace() else text


def _haystack(request: Request | None) -> str:
    if request is None:
        return ""
    texts = list(_strings([request.messages, request.tools or (), request.options.content()]))
    whole = "\n".join(texts)
    escaped = json.dumps(whole)
    plain_escaped = json.dumps(whole, ensure_ascii=False)
    return " ".join(f"{whole}\n{escaped}\n{plain_escaped}".lower().split())


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value not in _FORMAT:
            yield value
    elif isinstance(value, Mapping):
        for key, held in value.items():
            yield from _strings(key)
            yield from _strings(held)
    elif isinstance(value, Sequence):
        for held in value:
            yield from _strings(held)
