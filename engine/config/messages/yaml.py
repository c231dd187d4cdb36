"""Sentences about the text of a YAML file: its characters and its syntax."""

from engine.language.diagnostics import Diagnostic, Note, visible
from engine.language.sentences import Sentence, error
from engine.language.source import Span


def no_utf8_file(span: Span, is_utf16: bool) -> Diagnostic:
    what = "this file is UTF-16" if is_utf16 else "this character is not UTF-8"
    return error("not-utf8", span, what, "save the file as UTF-8")


def yaml_forbidden_character(span: Span, character: str) -> Diagnostic:
    return error(
        "hidden-character",
        span,
        f"a control character or one that hides or turns text stands here: {visible(character)}",
        "delete it; lines end with LF or CRLF, and text needs no other control characters",
    )


def yaml_syntax(message: str, span: Span, began: Span | None = None, help: str | None = None) -> Diagnostic:
    notes = (Note(began, "begun here"),) if began and began.line != span.line else ()
    return error("yaml-syntax", span, message, help, notes)


def yaml_cannot_begin(span: Span) -> Diagnostic:
    if span.text == "\t":
        return yaml_syntax("a tab cannot indent a line of YAML", span, help="indent with spaces")
    return yaml_syntax(
        f"a value cannot begin with `{visible(span.text)}`", span, help="put the value in quotes"
    )


yaml_value_over_lines = Sentence(
    "hidden-character",
    "this value holds a line break, a tab or another control character",
    "write it on one line, without such escapes",
)


yaml_alias = Sentence(
    "yaml-alias",
    "anchors (&) and aliases (*) are not read here",
    "write the value out; a text that begins with & or * goes in quotes",
)


yaml_tag = Sentence(
    "yaml-tag", "tags (!) are not read here", "leave the tag out; a text that begins with ! goes in quotes"
)


yaml_second_document = Sentence(
    "yaml-second-document", "a second document begins here", "keep one document a file"
)


def yaml_too_deep(span: Span, most: int) -> Diagnostic:
    return error(
        "yaml-too-deep",
        span,
        f"this is nested more than {most} deep",
        "nothing in these files is nested deeper than eight",
    )


yaml_key_is_no_word = Sentence(
    "yaml-key", "a list or a mapping cannot be a key", "write a word before the colon"
)


def yaml_number_too_long(span: Span, most_digits: int) -> Diagnostic:
    return error(
        "number-too-long",
        span,
        f"this number has more than {most_digits} digits",
        "put it in quotes when it is a name",
    )


def yaml_repeated_key(key: str, span: Span, first: Span) -> Diagnostic:
    return error(
        "repeated-key",
        span,
        f"`{visible(key)}` stands here twice",
        "keep one of the two",
        (Note(first, "first written here"),),
    )


def too_many_findings(span: Span, most: int) -> Diagnostic:
    return error("too-many-findings", span, f"more than {most} findings in this file; the rest are left out")
