"""The text of a YAML file -> plain values, and the place of every key and every value.

YAML 1.2's core scalars, read from the text: `yes`, `no`, `on`, dates and `08:30` are words, and a number is
the decimal that was written. Anchors, aliases, tags, repeated keys, deep nesting and big files are refused on
the way, in one pass over the parser's events: nothing is built that could grow beyond the file. Nothing here
knows what the keys mean, and nothing raises for bad input.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn, TypeAlias

import yaml

from engine.config.messages import yaml as messages
from engine.config.redaction import without_secrets
from engine.language.diagnostics import Diagnostic, Problems
from engine.language.messages.syntax import file_too_big
from engine.language.source import Source, Span

MOST_BYTES = 1024 * 1024
MOST_NESTING = 32
MOST_DIGITS = 18
MOST_FINDINGS = 100

Value: TypeAlias = "str | int | Decimal | bool | list[Value] | dict[str, Value] | None"
Path: TypeAlias = tuple[str | int, ...]

# libyaml's reader when PyYAML was built with it; the two make the same events.
_Reader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Control characters but tab and line ends, line separators, what turns or hides text, half characters.
_HIDDEN = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069"
    "\ufeff\ud800-\udfff\ufffe\uffff"
)
_FORBIDDEN = re.compile(f"[{_HIDDEN}]|\r(?!\n)")
_FORBIDDEN_IN_VALUE = re.compile(f"[{_HIDDEN}\t\r\n]")  # an escape or a block text can bring these in


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML file as plain values: dict, list, str, int, Decimal, bool, None. A key is always a str.

    Ask for places by path: `document.key("providers", "ollama")` is the name, `document.at("providers",
    "ollama", "type")` the value. A path that leads nowhere answers with the nearest place above it.
    """

    source: Source
    value: Value
    places: Mapping[Path, Span] = field(repr=False)
    keys: Mapping[Path, Span] = field(repr=False)

    def at(self, *path: str | int) -> Span:
        """Where the value stands; an empty value stands nowhere, and answers with its key."""
        while path and path not in self.places:
            path = path[:-1]
        span = self.places[path]
        return self.keys.get(path, span) if span.start == span.end else span

    def key(self, *path: str | int) -> Span:
        """Where the key stands; of a member of a list, the member."""
        return self.keys.get(path) or self.at(*path)


def decode(name: str, data: bytes, problems: Problems) -> Source | None:
    """The bytes of a file as text, without a byte-order mark; None, and a finding, when they are not
    UTF-8."""
    if len(data) > MOST_BYTES:
        problems.add(file_too_big(Source(name, "").span(0, 0), MOST_BYTES))
        return None
    try:
        return Source(name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = len(data[: error.start].decode("utf-8-sig"))
        shown = without_secrets(Source(name, data.decode("utf-8-sig", "replace")))
        is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        problems.add(messages.no_utf8_file(shown.span(before, before + 1), is_utf16))
        return None


def read_yaml(source: Source, problems: Problems) -> Document | None:
    """The values of a file and their places; None when it is no YAML that can be used.

    Text that looks like a secret is blanked first, so that no finding, trace or listing can print it.
    """
    source = without_secrets(source)
    forbidden = _FORBIDDEN.search(source.text)
    if forbidden:
        problems.add(messages.yaml_forbidden_character(source.span(*forbidden.span()), forbidden[0]))
        return None
    reader = _Reader(source.text)
    try:
        return _Builder(source, problems).build(_events(reader))
    except _RefusedError:
        pass
    except yaml.MarkedYAMLError as error:
        problems.add(_too_deep(source, error) or _syntax_error(source, error))
    except yaml.YAMLError:
        problems.add(messages.yaml_syntax("this file cannot be read as YAML", source.span(0, 1)))
    finally:
        reader.dispose()
    return None


class _RefusedError(Exception):
    """Reading stops here; the finding is already among the problems."""


def _events(reader: Any) -> Iterator[Any]:
    while (event := reader.get_event()) is not None:
        yield event


@dataclass(slots=True)
class _Open:
    """A mapping or a sequence that is not closed yet."""

    value: Any
    path: Path
    start: int
    end: int
    key: str | None = None  # of a mapping: the key whose value comes next

    @property
    def expects_key(self) -> bool:
        return isinstance(self.value, dict) and self.key is None


@dataclass(slots=True)
class _Builder:
    """Turns events into values, without recursion, and stops at what could hurt as soon as it is seen."""

    source: Source
    problems: Problems
    places: dict[Path, Span] = field(default_factory=dict)
    keys: dict[Path, Span] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    root: Value = None
    documents: int = 0

    def build(self, events: Iterator[Any]) -> Document:
        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.MappingStartEvent():
                    self._open({}, event)
                case yaml.SequenceStartEvent():
                    self._open([], event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._close(event)
                case yaml.AliasEvent():
                    self._refuse(messages.yaml_alias(self._span(event)))
                case yaml.DocumentStartEvent():
                    self.documents += 1
                    if self.documents > 1:
                        self._refuse(messages.yaml_second_document(self._span(event)))
                case _:
                    pass
        self.places.setdefault((), self.source.span(0, 0))
        return Document(self.source, self.root, self.places, self.keys)

    def _scalar(self, event: Any) -> None:
        self._refuse_marks(event)
        span = self._span(event)
        if _FORBIDDEN_IN_VALUE.search(event.value):
            self._refuse(messages.yaml_value_over_lines(span))
        top = self.stack[-1] if self.stack else None
        if top is not None and top.expects_key:
            self._key(top, event.value, span)
        elif event.style or not event.implicit[0]:
            self._add(event.value, span)
        else:
            self._add(self._core_scalar(event.value, span), span)

    def _key(self, top: _Open, key: str, span: Span) -> None:
        path = (*top.path, key)
        if key in top.value:
            self.problems.add(messages.yaml_repeated_key(key, span, self.keys[path]))
            if len(self.problems.found) >= MOST_FINDINGS:
                self._refuse(messages.too_many_findings(span, MOST_FINDINGS))
        top.key = key
        top.value[key] = None
        top.end = span.end
        self.keys[path] = span

    def _open(self, value: Value, event: Any) -> None:
        self._refuse_marks(event)
        start = self._span(event).start
        if len(self.stack) >= MOST_NESTING:
            self._refuse(messages.yaml_too_deep(self.source.span(start, start + 1), MOST_NESTING))
        top = self.stack[-1] if self.stack else None
        if top is not None and top.expects_key:
            self._refuse(messages.yaml_key_is_no_word(self.source.span(start, start + 1)))
        self.stack.append(_Open(value, self._path_of_next(), start, start))

    def _close(self, event: Any) -> None:
        closed = self.stack.pop()
        is_bracket = event.start_mark.index < event.end_mark.index
        end = event.end_mark.index if is_bracket else closed.end  # a block ends with its last member
        self._add(closed.value, self.source.span(closed.start, end))

    def _add(self, value: Value, span: Span) -> None:
        self.places[self._path_of_next()] = span
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        top.end = max(top.end, span.end)
        if isinstance(top.value, list):
            top.value.append(value)
        else:
            top.value[top.key] = value
            top.key = None

    def _path_of_next(self) -> Path:
        if not self.stack:
            return ()
        top = self.stack[-1]
        return (*top.path, len(top.value) if top.key is None else top.key)

    def _core_scalar(self, text: str, span: Span) -> Value:
        """What a plain scalar means in YAML 1.2's core schema; infinities and not-a-number stay words."""
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        number = _NUMBER.fullmatch(text)
        if not number:
            return text
        digits, exponent = number["digits"], number["exponent"]
        if digits is None:
            self._refuse_beyond(MOST_DIGITS, len(text), span)
            return int(text, 0)
        self._refuse_beyond(MOST_DIGITS, len(digits.replace(".", "")), span)
        if exponent is not None:
            self._refuse_beyond(2, len(exponent), span)
            self._refuse_beyond(MOST_DIGITS, abs(int(exponent)), span)
        return int(text) if digits.isdigit() and exponent is None else Decimal(text)

    def _refuse_beyond(self, most: int, count: int, span: Span) -> None:
        if count > most:
            self._refuse(messages.yaml_number_too_long(span, MOST_DIGITS))

    def _refuse_marks(self, event: Any) -> None:
        if event.anchor is not None:
            self._refuse(messages.yaml_alias(self._span(event)))
        if event.tag is not None:
            self._refuse(messages.yaml_tag(self._span(event)))

    def _refuse(self, diagnostic: Diagnostic) -> NoReturn:
        self.problems.add(diagnostic)
        raise _RefusedError

    def _span(self, event: Any) -> Span:
        return self.source.span(event.start_mark.index, max(event.start_mark.index, event.end_mark.index))


_CONSTANTS: Mapping[str, Value] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(
    r"[-+]?(?P<digits>[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE](?P<exponent>[-+]?[0-9]++))?"
    r"|0o[0-7]++|0x[0-9a-fA-F]++",
    re.ASCII,
)

# libyaml's words -> the author's. The first that fits; the place is where reading stopped, or where the thing
# began.
_SYNTAX: tuple[tuple[str, str, str, str | None], ...] = (
    ("quoted scalar", "unexpected end", "this quotation mark is never closed", None),
    ("quoted scalar", "document indicator", "this quotation mark is never closed", None),
    (
        "quoted scalar",
        "escape character",
        "after a backslash in double quotes only an escape may follow",
        "use single quotes, or write the backslash twice",
    ),
    (
        "flow sequence",
        "did not find expected",
        "this `[` is never closed, or a comma is missing between its members",
        None,
    ),
    (
        "flow mapping",
        "did not find expected",
        "this `{` is never closed, or a comma is missing between its members",
        None,
    ),
    (
        "",
        "mapping values are not allowed",
        "a colon cannot stand here",
        "put the key on a line of its own, indented like its neighbours; a text with a colon goes in quotes",
    ),
    (
        "",
        "block sequence entries are not allowed",
        "a `-` cannot stand here",
        "begin the list on the next line, indented below its key",
    ),
    (
        "block",
        "did not find expected",
        (
            "this does not belong to the lines above it: another indentation, or a quotation mark that ends "
            "early"
        ),
        "indent it like its neighbours",
    ),
    ("simple key", "could not find expected ':'", "this line has no colon", "write `key: value`"),
)


def _too_deep(source: Source, error: yaml.MarkedYAMLError) -> Diagnostic | None:
    """The finding for brackets that nest too deep, when the reader stopped at a limit of its own before it
    reported them.

    libyaml as of PyYAML 6.0.4 refuses the 1,001st open bracket while it still looks ahead for a colon behind
    the first. What stands before the place where it stopped is within its limit, so that text shows where
    ours was passed.
    """
    if not isinstance(error, yaml.scanner.ScannerError) or error.problem_mark is None:
        return None
    problems = Problems()
    reader = _Reader(source.text[: error.problem_mark.index])
    with suppress(_RefusedError, yaml.YAMLError):
        _Builder(source, problems).build(_events(reader))
    reader.dispose()
    return next((found for found in problems if found.slug == "yaml-too-deep"), None)


def _syntax_error(source: Source, error: yaml.MarkedYAMLError) -> Diagnostic:
    problem, context = error.problem or "", error.context or ""
    stopped = _mark(source, error.problem_mark or error.context_mark)
    began = _mark(source, error.context_mark or error.problem_mark)
    if "cannot start any token" in problem:
        return messages.yaml_cannot_begin(stopped)
    for in_context, in_problem, sentence, help in _SYNTAX:
        if in_context in context and in_problem in problem:
            is_opening = in_context.startswith(("quoted", "flow", "simple"))
            return messages.yaml_syntax(
                sentence, began if is_opening else stopped, None if is_opening else began, help
            )
    return messages.yaml_syntax(f"this is no YAML: {problem}", stopped)


def _mark(source: Source, mark: Any) -> Span:
    """The character at a mark; at the end of a line or of the file, the last one before."""
    start = min(mark.index if mark else 0, len(source.text))
    if not source.text[start : start + 1].strip(" \r\n"):
        start = max(len(source.text[:start].rstrip()) - 1, 0)
    return source.span(start, min(start + 1, len(source.text)))
