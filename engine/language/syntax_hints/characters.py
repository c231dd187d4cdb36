"""Hints about quotes, escapes and characters that the language has no use for."""

import re
import unicodedata

from engine.language.error_context import Edit, Place
from engine.language.messages import syntax as messages
from engine.language.syntax_hints.hint import SyntaxHint


def unclosed_string(place: Place) -> SyntaxHint | None:
    here = place.here
    if here.kind != "open":
        return None
    text = here.text.rstrip()
    if curly := re.search("[“”„‟]", text):
        closed = f'"{text[1 : curly.start()]}"'
        edit = Edit(here.start, here.start + curly.end(), closed)
        span = place.draft.span(here.start + curly.start(), here.start + curly.end())
        return SyntaxHint(messages.wrong_quotes(span, closed), edit)
    span = place.draft.span(here.start, here.start + len(text))
    end = here.start + len(text)
    ends_the_line = place.previous.text == "because"
    return SyntaxHint(messages.unclosed_string(span), Edit(end, end, '"') if ends_the_line else None)


def wrong_quotes(place: Place) -> SyntaxHint | None:
    here = place.here
    if here.kind != "quoted":
        return None
    inside = here.text[1:-1] if len(here.text) > 1 and not here.text[-1].isalnum() else here.text[1:]
    right = '"' + inside.strip().replace("\\", "\\\\") + '"'
    return SyntaxHint(messages.wrong_quotes(place.span(here), right), place.replace(here, right))


_GOOD_STRING = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\["\\])*"')
_BAD_ESCAPE = re.compile(r'(?:[^\\]|\\["\\])*?(\\[^"\\])', re.DOTALL)


def bad_string(place: Place) -> SyntaxHint | None:
    here = place.here
    if here.kind != "string" or _GOOD_STRING.fullmatch(here.text):
        return None
    if escape := _BAD_ESCAPE.match(here.text):
        start, end = here.start + escape.start(1), here.start + escape.end(1)
        return SyntaxHint(messages.bad_escape(place.draft.span(start, end)), Edit(start, start, "\\"))
    if "\t" in here.text:
        start = here.start + here.text.index("\t")
        span = place.draft.span(start, start + 1)
        return SyntaxHint(messages.tab_in_string(span), Edit(start, start + 1, " "))
    return None  # another control character, reported when the file was read


def foreign_signs(place: Place) -> SyntaxHint | None:
    here = place.here
    if (hint := _mark_at(place)) is not None:
        return hint
    if len(here.text) == 1 and unicodedata.category(here.text) in ("Cf", "Cc", "Co"):
        message = messages.invisible_character(place.span(here), f"U+{ord(here.text):04X}")
        return SyntaxHint(message, place.replace(here, ""))
    if here.kind == "comment":
        line_end = place.draft.text.find("\n", here.start)
        edit = Edit(here.start, len(place.draft.text) if line_end < 0 else line_end, "")
        mark = place.draft.span(here.start, here.start + 2)
        return SyntaxHint(messages.foreign_comment(mark), None if here.text == "/*" else edit, is_fix=False)
    if here.text.isspace():
        return SyntaxHint(messages.odd_space(place.span(here)), place.replace(here, " "))
    if here.text == ";":
        return SyntaxHint(messages.unexpected_semicolon(place.span(here)), place.replace(here, " "))
    return None


def _mark_at(place: Place) -> SyntaxHint | None:
    """The line of a merge that was not finished, or of a Markdown fence."""
    text, start = place.draft.text, place.here.start
    line = text.rfind("\n", 0, start) + 1
    found = re.compile(r"(?:<{7}|={7}|>{7}|(```))[^\n]*\n?").match(text, line)
    if found is None:
        return None
    span = place.draft.span(line, line + (3 if found[1] else 7))
    message = messages.fence if found[1] else messages.conflict_marker
    return SyntaxHint(message(span), Edit(line, found.end(), ""), is_fix=bool(found[1]))
