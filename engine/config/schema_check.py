"""A YAML document against its JSON Schema -> one finding an error, at the line and in the author's words.

The schemas in `schemas/` are the single source of which keys exist and what they hold; editors read the same
files. What a schema cannot say (sums, references, names that exist) is for the loaders. jsonschema is
imported here, on the first check, and by nothing else.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from engine.bundled import bundled_text
from engine.config.key_names import instead_of, mend_keys, named
from engine.config.messages import schema as messages
from engine.config.messages.yaml import too_many_findings
from engine.config.redaction import is_blanked, is_secret_key
from engine.config.yaml_source import MOST_FINDINGS, Document, Path
from engine.language.diagnostics import Diagnostic, Problems, visible
from engine.language.source import Span
from engine.language.wording import listed
from engine.provider_apis import APIS

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


@dataclass(frozen=True, slots=True)
class Unread:
    """What of a document could not be read, by path; all of it counts as written, and as anything."""

    document: Document
    paths: frozenset[Path] = frozenset()

    def is_open(self, *above: str) -> bool:
        """Whether names below a key may be there that could not be read."""
        return any(
            path[: len(above)] == above[: len(path)] and (not path or path[-1] not in _NO_NAMES)
            for path in self.paths
        )

    def covers(self, span: Span) -> bool:
        """Whether a place is inside a mapping of which something could not be read."""
        return any(self._holds(self._mapping(path), span) for path in self.paths)

    def _mapping(self, path: Path) -> Path:
        while len(path) > 1 and not isinstance(self._value(path), dict):
            path = path[:-1]
        return path

    def _value(self, path: Path) -> Any:
        value: Any = self.document.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _holds(self, path: Path, span: Span) -> bool:
        whole, key = self.document.at(*path), self.document.key(*path)
        return not path or whole.start <= span.start < whole.end or key.start <= span.start < key.end


_NO_NAMES = frozenset(
    ("max_context", "quality_tier", "latency_tier", "tools", "display_name", "cost_profile", "currency")
)
"""Keys below which no name is declared."""


def check_schema(document: Document, schema_file: str, problems: Problems) -> tuple[Document, Unread]:
    """Adds a finding for each secret in the document, and for each thing that its schema does not allow.

    Returns the document as it was meant, and what of it could not be read.
    """
    validator, schema = _validator(schema_file, tuple(APIS))
    secrets = [*_secrets(document, document.value)]
    mended, misnamed = mend_keys(document, schema)
    weights = dict(_weights_of_a_hundred(mended))
    paths: set[Path] = {*weights}
    errors = _errors(mended, validator, paths)
    found = chain(secrets, misnamed, weights.values(), errors)
    for count, diagnostic in enumerate(islice(found, MOST_FINDINGS + 1)):
        if count == MOST_FINDINGS:
            diagnostic = too_many_findings(document.source.span(0, 0), MOST_FINDINGS)
        problems.add(diagnostic)
    return mended, Unread(mended, frozenset(paths))


@cache
def _validator(schema_file: str, apis: tuple[str, ...]) -> "tuple[Draft202012Validator, dict[str, Any]]":
    from jsonschema import Draft202012Validator

    schema = json.loads(bundled_text("schemas", schema_file))
    if schema_file == "models.schema.json":
        # The file lists the APIs for editors; what is allowed is what the engine can speak.
        schema["$defs"]["provider"]["properties"]["api"]["enum"] = list(apis)
    return Draft202012Validator(schema), schema


def _secrets(document: Document, value: Any, path: Path = ()) -> Iterator[Diagnostic]:
    """One finding for each value that was blanked when the file was read."""
    if not is_blanked(document.source.text):
        return
    match value:
        case dict():
            for key, member in value.items():
                yield from _secrets(document, member, (*path, key))
        case list():
            for index, member in enumerate(value):
                yield from _secrets(document, member, (*path, index))
        case str() if is_blanked(value):
            key = next((step for step in reversed(path) if isinstance(step, str)), "")
            yield messages.secret_in_file(key, document.at(*path))


def _errors(document: Document, validator: "Draft202012Validator", paths: set[Path]) -> Iterator[Diagnostic]:
    """What the schema finds; of a value, only the first finding: its type, then its size. `paths` gets where
    it is."""
    reported: set[Path] = {(*path, part) for path in paths for part in _WEIGHTS}
    for error in validator.iter_errors(document.value):
        path: Path = tuple(error.absolute_path)
        paths.add(path)
        if error.validator in _ABOUT_KEYS:
            yield from _diagnostics(document, path, error)
        elif path not in reported:
            reported.add(path)
            yield from _diagnostics(document, path, error)


_WEIGHTS = ("cost", "quality", "latency")


def _weights_of_a_hundred(document: Document) -> Iterator[tuple[Path, Diagnostic]]:
    """`{cost: 30, quality: 60, latency: 10}`, and the same with `%`: one finding for the three."""
    value: Any = document.value
    for step in ("routing", "weights"):
        value = value.get(step) if isinstance(value, dict) else None
    for mode, shares in value.items() if isinstance(value, dict) else ():
        if not isinstance(shares, dict) or {*shares} != {*_WEIGHTS}:
            continue
        texts = [str(share).removesuffix("%") for share in shares.values()]
        if (
            all(re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", text) for text in texts)
            and sum(map(Decimal, texts)) == 100
        ):
            right = ", ".join(
                f"{part}: {Decimal(text).scaleb(-2).normalize():f}"
                for part, text in zip(shares, texts, strict=True)
            )
            path: Path = ("routing", "weights", mode)
            yield path, messages.weights_of_a_hundred(document.at(*path), f"{{{right}}}")


_ABOUT_KEYS = ("additionalProperties", "required", "propertyNames", "minLength", "maxLength")


def _diagnostics(document: Document, path: Path, error: Any) -> Iterator[Diagnostic]:
    # `error` is jsonschema's ValidationError; what its fields hold depends on the keyword.
    keyword, allowed, value = error.validator, error.validator_value, error.instance
    key = named(path)
    at = document.at(*path)
    last = path[-1] if path else ""
    if isinstance(value, str) and is_blanked(value):
        return  # reported already
    match keyword:
        case "additionalProperties":
            yield from _unknown_keys(document, path, error)
        case "required":
            yield from _missing_keys(document, path, error)
        case "type" if value is None and not path:
            yield messages.empty_section("this file", at, "begin it with `providers:`")
        case "type" | "enum" if value is None:
            yield messages.no_value(str(last), at)
        case "enum" if last == "currency":
            yield messages.other_currency(_written(value), at)
        case "enum" if isinstance(value, list | dict):
            yield messages.wrong_type(key, f"one of {listed(_choices(allowed))}", _shown(value), at)
        case "enum":
            yield messages.not_one_of(str(last), _written(value), _choices(allowed), at)
        case "type":
            wanted = allowed[0] if isinstance(allowed, list) else allowed
            yield messages.wrong_type(
                key, _KINDS[wanted], _shown(value), at, _instead(wanted, value, at.text)
            )
        case "minimum" | "exclusiveMinimum":
            bound = "more than" if keyword == "exclusiveMinimum" else "at least"
            yield messages.out_of_bounds(key, _written(value), f"{bound} {allowed:,}", at)
        case "maximum":
            yield messages.out_of_bounds(key, _written(value), f"at most {allowed:,}", at)
        case "minItems" | "minProperties":
            yield messages.empty_section(key, at, "add at least one, or delete the line")
        case "maxItems":
            yield messages.too_many_members(key, allowed, at)
        case "pattern" if str(last).endswith("_env"):
            yield messages.no_variable(str(last), at)
        case "pattern":
            yield messages.bad_address(str(last), value, at)
        case _ if isinstance(value, str) and "propertyNames" in error.absolute_schema_path:
            yield messages.bad_name("a name", document.key(*path, value))
        case _:
            yield messages.bad_name(key, at)


def _unknown_keys(document: Document, path: Path, error: Any) -> Iterator[Diagnostic]:
    known = error.schema["properties"]
    missing = [key for key in error.schema.get("required", ()) if key not in error.instance]
    for key in error.instance:
        if key in known:
            continue
        if is_secret_key(key) and is_blanked(str(error.instance[key])):
            continue  # reported already
        yield messages.unknown_key(
            key, named(path), known, document.key(*path, key), instead_of(key), missing
        )


def _missing_keys(document: Document, path: Path, error: Any) -> Iterator[Diagnostic]:
    # jsonschema makes an error of its own for each missing key, and names it in the message only.
    if any(key not in error.schema["properties"] for key in error.instance):
        return  # one of these may be meant for it, and is reported
    for key in error.validator_value:
        if error.message.startswith(repr(key)):
            place = _first_line(document.key(*path))
            yield messages.missing_key(key, named(path), place, _EXAMPLES.get(key))


def _first_line(span: Span) -> Span:
    return span.source.span(span.start, span.start + len(span.text.partition("\n")[0].rstrip()))


_KINDS = {
    "object": "a set of `key: value` lines",
    "array": "a list",
    "string": "a word or a text",
    "integer": "a whole number",
    "number": "a number",
}

_EXAMPLES = {
    "type": "local",
    "id": "NAME",
    "max_context": "8192",
    "quality_tier": "medium",
    "latency_tier": "medium",
    "allow_cloud": "false",
}


def _shown(value: Any) -> str:
    """A value as the middle of a sentence."""
    match value:
        case dict():
            return "`key: value` lines"
        case list():
            return "a list"
        case bool():
            return f"`{_written(value)}`"
        case int() | Decimal():
            return f"the number {value}"
        case _:
            return f"`{visible(_short(str(value)))}`"


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _choices(allowed: list[Any]) -> list[str]:
    """The values of an `enum` as an author writes them; of the spellings of a flag, the shorter pair."""
    words = [value for value in allowed if isinstance(value, str)]
    return ["true", "false"] if allowed[0] is True else words


def _instead(wanted: str, value: Any, text: str) -> str | None:
    """What to write instead of a value of the wrong type, when that is known."""
    match wanted, value:
        case "string", bool() | int() | Decimal():
            return f'"{text}"'
        case "array", str() | int() if re.fullmatch(r"[\w./+-]+(,\s*[\w./+-]+)*", str(value)):
            return f"[{_short(str(value))}]"
        case (("integer" | "number"), str()):
            return _number_in(value, wanted)
        case "integer", Decimal() if value == int(value):
            return str(int(value))
        case _:
            return None


def _number_in(text: str, wanted: str) -> str | None:
    """`32k` is 32000, `200_000` is 200000, `$5` is 5."""
    bare = re.sub(r"(?<=\d)[_, ](?=\d{3}(?:\D|$))", "", text.strip().lstrip("$").replace("_", ""))
    factor = {"k": 1000, "M": 1_000_000}.get(bare[-1:], 1)
    digits = bare[:-1] if factor > 1 else bare
    if not digits.replace(".", "", 1).isdecimal() or len(digits) > 18 or not digits.isascii():
        return None
    number = Decimal(digits) * factor
    if number == int(number):
        return str(int(number))
    return None if wanted == "integer" else format(number, "f")
