"""A YAML document -> the same with every misspelt or foreign key as it was meant, each reported once.

What is read on is what the author meant: a key that could not be read would otherwise be missing, and so
would all that stands below it. A document with such a finding decides nothing all the same.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from engine.config.foreign_keys import INSTEAD, MEANT, TOKEN_PRICES, meant_by
from engine.config.messages import schema as messages
from engine.config.redaction import is_blanked, is_secret_key, variable_named
from engine.config.yaml_source import Document, Path
from engine.language.diagnostics import Diagnostic, Replacement, visible
from engine.language.spelling import misspelt

Schema = Mapping[str, Any]


def mend_keys(document: Document, schema: Schema) -> tuple[Document, list[Diagnostic]]:
    """The document as it was meant, and a finding for each key that is not called so."""
    mender = _Mender(document, schema)
    value = mender.value(document.value, (), (), schema)
    if not mender.found:
        return document, []
    places = {mender.moved(path): span for path, span in document.places.items()}
    keys = {mender.moved(path): span for path, span in document.keys.items()}
    return replace(document, value=value, places=places, keys=keys), mender.found


class _Mender:
    def __init__(self, document: Document, schema: Schema) -> None:
        self.document = document
        self.definitions: Schema = schema.get("$defs", {})
        self.found: list[Diagnostic] = []
        self._renamed: dict[Path, Path] = {}

    def value(self, value: Any, path: Path, new_path: Path, schema: Schema) -> Any:
        if "$ref" in schema:
            schema = self.definitions[schema["$ref"].rpartition("/")[2]]
        match value:
            case dict():
                return dict(self._members(value, path, new_path, schema))
            case list() if isinstance(schema.get("items"), dict):
                return [
                    self.value(member, (*path, index), (*new_path, index), schema["items"])
                    for index, member in enumerate(value)
                ]
            case _:
                return value

    def moved(self, path: Path) -> Path:
        """Where what stood at a path stands now."""
        for length in range(len(path), 0, -1):
            if (above := self._renamed.get(path[:length])) is not None:
                return (*above, *path[length:])
        return path

    def _members(
        self, value: dict[str, Any], path: Path, new_path: Path, schema: Schema
    ) -> Iterator[tuple[str, Any]]:
        known: Schema = schema.get("properties", {})
        others = schema.get("additionalProperties")
        taken = {*value}
        for key, member in value.items():
            here: Path = (*path, key)
            name, inner = key, member
            if known and key not in known and others is False:
                name, inner = self._meant(key, member, here, frozenset(known) - taken)
                taken.add(name)
            below = known.get(name, others if isinstance(others, dict) else {})
            if name != key:
                self._renamed[here] = (*new_path, name)
            yield name, self.value(inner, here, (*new_path, name), below)

    def _meant(self, key: str, member: Any, path: Path, free: frozenset[str]) -> tuple[str, Any]:
        """The key that was meant and its value, after reporting it; the key itself where it is not plain."""
        span, parent = self.document.key(*path), named(path[:-1])
        variable = variable_named(member) if isinstance(member, str) and is_secret_key(key) else None
        if variable and "api_key_env" in free:
            edit = Replacement(span.until(self.document.at(*path)), f"api_key_env: {variable}")
            self.found.append(messages.misnamed_key(key, parent, edit.text, edit))
            return "api_key_env", variable
        if (right := TOKEN_PRICES.get(key)) in free and right is not None and (price := _per_million(member)):
            edit = Replacement(span.until(self.document.at(*path)), f"{right}: {price}")
            self.found.append(messages.price_by_the_token(key, edit.text, edit))
            return right, Decimal(price)
        near = misspelt(key.casefold().replace("-", "_"), free)
        right = meant_by(key, free) or (near[0] if len(near) == 1 else None)
        is_unit_open = right in PRICES and key not in MEANT[right] and _is_small(member)
        if right is None or is_unit_open or is_blanked(str(member)):
            return key, member
        edit = Replacement(span, right)
        self.found.append(messages.misnamed_key(key, parent, right, edit))
        return right, member


PRICES = ("input_per_1m", "output_per_1m")


def _is_small(price: Any) -> bool:
    """A price that would be low by the million and usual by the thousand."""
    return isinstance(price, int | Decimal) and price < Decimal("0.05")


def _per_million(price: Any) -> str | None:
    try:
        amount = Decimal(str(price)) * 1_000_000
    except InvalidOperation:
        return None
    return f"{amount.normalize():f}" if amount.is_finite() and 0 < amount < 1_000_000 else None


def named(path: Path) -> str:
    """How the author would call it: `max_context`, `models` number 2, `ollama`."""
    if not path:
        return "this file"
    *above, last = path
    if isinstance(last, int):
        return f"{messages.ordinal(last + 1)} of `{above[-1]}`" if above else f"member {last + 1}"
    return f"`{visible(last)}`"


def instead_of(key: str) -> str | None:
    """What to do in place of writing a key that these files do not have."""
    if re.match("(?:input|output).*per", key, re.IGNORECASE):
        return "`input_per_1m` is a price per million tokens, `input_per_1k` one per thousand"
    return INSTEAD.get(key.casefold())
