"""An error body -> the fields of the request that its target says it will not take.

Only what the request has is looked for, and only sentences that say that the field, or its value, is not
supported: what is found is left out when the target is asked again. How servers say it is data in
`refused_fields.toml`, each form with its source.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from engine.providers.base import Request
from engine.providers.error_bodies import ErrorBody
from engine.providers.errors import RefusedField
from engine.providers.field_table import LIMIT_NAMES, PARTS, USAGE_WANTED, rows_of
from engine.providers.messages import read_tools

_UNSUPPORTED = frozenset(
    {"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"}
)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    said: re.Pattern[str]
    named: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    fields: tuple[_Field, ...]
    only_the_default: re.Pattern[str]
    only_a_value: re.Pattern[str]
    most_output: re.Pattern[str]


@cache
def _vocabulary() -> _Vocabulary:
    data: dict[str, Any] = tomllib.loads(
        (files("engine.providers") / "refused_fields.toml").read_text("utf-8")
    )
    return _Vocabulary(
        tuple(
            _Field(
                row["name"],
                re.compile("|".join([*_forms(data["says"].values(), row["spelled"]), *row.get("also", ())])),
                frozenset(name.lower() for name in row["named"]),
            )
            for row in data["field"]
        ),
        re.compile(data["only"]["default"]),
        re.compile(data["only"]["value"]),
        re.compile("|".join(data["most_output"].values())),
    )


def _forms(says: Any, spelled: list[str]) -> list[str]:
    quoted = rf"(?<![a-z0-9_])['`\"\[(]?(?:{'|'.join(spelled)})['`\"\])]?(?![a-z0-9_])"
    return [form.replace("FIELD", quoted) for form in says]


def refused_fields(said: ErrorBody, request: Request) -> tuple[RefusedField, ...]:
    """What of the request is refused, by the names of the field table, with `max_tokens`,
    `max_completion_tokens` and `stream_options` beside them; nothing that was left out already."""
    known = _vocabulary()
    has = rows_of(request.read(), read_tools(request.tools), request.options) | {USAGE_WANTED}
    if request.max_tokens is not None:
        has |= set(LIMIT_NAMES)
    only_a_value = bool(known.only_a_value.search(said.text) and not known.only_the_default.search(said.text))
    return tuple(
        RefusedField(field.name, only_a_value)
        for field in known.fields
        if field.name in has - request.refused and _is_refused(field, said)
    )


def most_output(said: ErrorBody, request: Request) -> int | None:
    """The most tokens of output that the target gives, when that is why it refuses the request."""
    found = _vocabulary().most_output.search(said.text)
    if found is None or request.max_tokens is None:
        return None
    most = int(next(number for number in found.groups() if number))
    return most if 0 < most < request.max_tokens else None


def _is_refused(field: _Field, said: ErrorBody) -> bool:
    if field.said.search(said.text):
        return True
    return bool(_UNSUPPORTED & set(said.words)) and any(_names(field, path) for path in said.parameters)


def _names(field: _Field, path: str) -> bool:
    """Whether a path such as `thinking.type` or `messages[0].name` leads to a field."""
    steps = [step for step in re.split(r"[.\[\]]+", path.lower()) if step]
    in_messages = steps[:1] == ["messages"]
    if in_messages != (field.name in PARTS):
        return False
    return bool(steps) and steps[-1 if in_messages else 0] in field.named
