"""Where Lark stopped in one statement -> which slip it is, and what the author most likely meant.

Each function below knows one common slip: it looks at the words around the place and answers with a
diagnostic, or with None when it sees something else. Where the right form is plain, it comes with an edit, so
that the parser can go on behind it and find the next slip of the same statement. Nothing here parses;
`recovery` does.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from engine.language.diagnostics import Diagnostic
from engine.language.error_context import CLAUSES, ENDINGS, VALUES, WORDS, Edit, Lexeme, Place
from engine.language.messages import syntax as messages
from engine.language.statement_forms import STATEMENTS
from engine.language.wording import nearest


@dataclass(frozen=True, slots=True)
class SyntaxHint:
    """What went wrong, and the edit behind which parsing can go on; None when what was meant is not
    certain."""

    diagnostic: Diagnostic
    edit: Edit | None = None


# --- Characters and quotes ----------------------------------------------------------------------------


def _unclosed_string(place: Place) -> SyntaxHint | None:
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


def _wrong_quotes(place: Place) -> SyntaxHint | None:
    here = place.here
    if here.kind != "quoted":
        return None
    inside = here.text[1:-1] if len(here.text) > 1 and not here.text[-1].isalnum() else here.text[1:]
    right = '"' + inside.strip().replace("\\", "\\\\") + '"'
    return SyntaxHint(messages.wrong_quotes(place.span(here), right), place.replace(here, right))


_GOOD_STRING = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\["\\])*"')
_BAD_ESCAPE = re.compile(r'(?:[^\\]|\\["\\])*?(\\[^"\\])', re.DOTALL)


def _bad_string(place: Place) -> SyntaxHint | None:
    here = place.here
    if here.kind != "string" or _GOOD_STRING.fullmatch(here.text):
        return None
    if escape := _BAD_ESCAPE.match(here.text):
        start, end = here.start + escape.start(1), here.start + escape.end(1)
        return SyntaxHint(messages.bad_escape(place.draft.span(start, end)), Edit(start, start, "\\"))
    if "\t" in here.text:
        start = here.start + here.text.index("\t")
        return SyntaxHint(
            messages.tab_in_string(place.draft.span(start, start + 1)), Edit(start, start + 1, " ")
        )
    return None  # another control character, reported when the file was read


def _foreign_signs(place: Place) -> SyntaxHint | None:
    here = place.here
    if here.kind == "comment":
        line_end = place.draft.text.find("\n", here.start)
        edit = Edit(here.start, len(place.draft.text) if line_end < 0 else line_end, "")
        mark = place.draft.span(here.start, here.start + 2)
        return SyntaxHint(messages.foreign_comment(mark), None if here.text == "/*" else edit)
    if here.text.isspace():
        return SyntaxHint(messages.odd_space(place.span(here)), place.replace(here, " "))
    if here.text == ";":
        return SyntaxHint(messages.unexpected_semicolon(place.span(here)), place.replace(here, " "))
    return None


# --- Names and numbers --------------------------------------------------------------------------------

_NUMBER_LIKE = re.compile(r"\$?[\d_]*\.?[\d_]+(?:e[+-]?\d+|[kKmMgG][bB]?|%|[tT]okens?)*")


def _right_number(text: str) -> str | None:
    """The number an author meant by `32K`, `1_000`, `1e3`, `08`, `.5`, `32kb`; None when that is not
    plain."""
    match = re.fullmatch(
        r"(\$?)(\d*)(?:\.(\d+))?(?:e\+?(\d))?([km]?)b?(?:tokens?)?(%?)", text.replace("_", "").lower()
    )
    if match is None or not (match[2] or match[3]):
        return None
    dollar, whole, fraction, exponent, thousands, percent = match.groups(default="")
    if exponent:
        shift = int(exponent)
        whole, fraction = whole + fraction[:shift].ljust(shift, "0"), fraction[shift:]
    whole = whole.lstrip("0") or "0"
    unit = {"k": "k", "m": "M"}.get(thousands, "") + percent
    return dollar + whole + (f".{fraction}" if fraction else "") + ("" if dollar or len(unit) > 1 else unit)


_GOOD_NUMBER = re.compile(r"\$(?:0|[1-9]\d*)(?:\.\d+)?|(?:0|[1-9]\d*)(?:\.\d+)?[kM%]?", re.ASCII)


def _bad_number(place: Place) -> SyntaxHint | None:
    here, following = place.here, place.at(1)
    if here.text in "-+" and here.text and following.kind == "number" and following.start == here.end:
        right = following.text if _GOOD_NUMBER.fullmatch(following.text) else _right_number(following.text)
        return SyntaxHint(
            messages.bad_number(place.span(here, following), right),
            place.replace(here, right, following) if right else None,
        )
    if here.text in ("%", "k", "M", "K") and place.previous.kind == "number":
        right = _right_number(place.previous.text + here.text)
        return SyntaxHint(
            messages.bad_number(place.span(place.previous, here), right),
            place.replace(place.previous, right, here) if right else None,
        )
    if here.kind != "number" or _GOOD_NUMBER.fullmatch(here.text) or not _NUMBER_LIKE.fullmatch(here.text):
        return None
    right = _right_number(here.text)
    return SyntaxHint(
        messages.bad_number(place.span(here), right), place.replace(here, right) if right else None
    )


_BARE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[-.:][A-Za-z0-9_]+)*")


def _unquoted_name(place: Place) -> SyntaxHint | None:
    """`meta/llama-3`, `command-r+`, `01-ai/yi`, `größe`: a value that must stand in quotes."""
    here = place.here
    if here.kind not in ("word", "number") or "RULE_NAME" in place.accepts or place.index == 0:
        return None
    if _BARE_NAME.fullmatch(here.text) or _GOOD_NUMBER.fullmatch(here.text):
        return None
    if here.text.startswith("$") or place.previous.text in ("<", "<=", ">", ">=", "by"):
        return SyntaxHint(messages.bad_number(place.span(here), None))
    return SyntaxHint(messages.unquoted_name(place.span(here)), place.replace(here, f'"{here.text}"'))


def _kebab_case(text: str) -> str | None:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", text)
    name = "-".join(words).lower()
    return name if re.fullmatch(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", name) else None


def _rule_name(place: Place) -> SyntaxHint | None:
    if "RULE_NAME" not in place.accepts:
        return None
    here = place.here
    keyword = place.previous.text if place.previous.text in STATEMENTS else "rule"
    if here.kind in ("quoted", "string"):
        right = _kebab_case(here.text)
        return SyntaxHint(
            messages.bad_rule_name(place.span(here), keyword, right),
            place.replace(here, right) if right else None,
        )
    if here.kind in ("word", "number"):
        written = here.text.split(":")[0]
        span = place.draft.span(here.start, here.start + len(written))
        right = _kebab_case(written)
        edit = Edit(here.start, here.start + len(written), right) if right else None
        return SyntaxHint(messages.bad_rule_name(span, keyword, right), edit)
    if place.keyword == "test":
        return None  # a name that `because` or `route` lacks is a missing value
    return SyntaxHint(
        _no_name(place, place.previous), place.insert("some-name") if here.text in (":", "=", "(") else None
    )


def _no_name(place: Place, keyword: Lexeme) -> Diagnostic:
    example = "let some-name = ..." if keyword.text == "let" else f"{keyword.text} some-name: ..."
    return messages.missing_name(place.span(keyword), keyword.text, example)


# --- Statements -----------------------------------------------------------------------------------------

_FOREIGN_STATEMENTS = {
    "deny": "forbid",
    "block": "forbid",
    "ban": "forbid",
    "set": "let",
    "define": "let",
    "assert": "prove",
}


def _unknown_statement(place: Place) -> SyntaxHint | None:
    here = place.here
    looks_like_one = place.at(1).kind == "word" and place.at(2).text == ":" and here.text not in WORDS
    if place.index == 0 and here.text in STATEMENTS and place.at(1).text in (":", "="):
        after = place.at(1)
        return SyntaxHint(_no_name(place, here), Edit(after.start, after.start, " some-name "))
    if place.index == 0 and here.kind != "word":
        return SyntaxHint(messages.unknown_statement(place.span(here), STATEMENTS, None))
    if here.kind != "word" or here.text in STATEMENTS or not (place.index == 0 or looks_like_one):
        return None
    if here.text.lower() in STATEMENTS:
        return SyntaxHint(
            messages.upper_case_keyword(place.span(here)), place.replace(here, here.text.lower())
        )
    near = _FOREIGN_STATEMENTS.get(here.text.lower()) or nearest(here.text.lower(), STATEMENTS)
    return SyntaxHint(
        messages.unknown_statement(place.span(here), STATEMENTS, near),
        place.replace(here, near) if near else None,
    )


def _upper_case_keyword(place: Place) -> SyntaxHint | None:
    for lexeme in (place.here, place.previous):
        small = lexeme.text.lower()
        # The one before may have been read as a name: `Not cloud`, `Never local`.
        if lexeme.kind == "word" and small in WORDS and small != lexeme.text:
            if lexeme is place.here and small.upper() not in place.accepts:
                continue
            return SyntaxHint(messages.upper_case_keyword(place.span(lexeme)), place.replace(lexeme, small))
    return None


def _missing_colon(place: Place) -> SyntaxHint | None:
    here, previous = place.here, place.previous
    if "COLON" in place.accepts and here.text != ":":
        right = f"{place.words(place.lexemes[0], previous)}: {place.value_after(0)}"
        is_sign = here.text in ("=", ":=", "->", "-", "=>")
        edit = place.replace(here, ":") if is_sign else Edit(previous.end, previous.end, ":")
        return SyntaxHint(messages.missing_colon(place.span(previous), right), edit)
    if "EQUALS" in place.accepts:
        foreign = here.text in (":", ":=", "==", "is", "be", "as")
        value = place.value_after(1 if foreign else 0)
        right = f"{place.words(place.lexemes[0], previous)} = {value}"
        edit = place.replace(here, "=") if foreign else place.insert("=")
        return SyntaxHint(messages.missing_equals(place.span(previous), right), edit)
    return None


def _mark(place: Place) -> SyntaxHint | None:
    if place.accepts == {"WATCH"} and place.here.kind == "word":
        return SyntaxHint(messages.unknown_mark(place.span(place.here)), place.replace(place.here, "watch"))
    return None


def _colon_after_keyword(place: Place) -> SyntaxHint | None:
    """`when: private`, `use: cloud`; also `when..`, where something else is glued to the word."""
    here, previous = place.here, place.previous
    glued = here.text in WORDS and here.text.upper() in place.accepts
    colon, word = (place.at(1), here) if glued else (here, previous)
    if colon.text == ":" and word.text in WORDS:
        right = f"{word.text} {place.value_after(2 if glued else 1)}"
        return SyntaxHint(
            messages.unexpected_colon(place.span(colon), word.text, right), place.replace(colon, " ")
        )
    if glued:
        return SyntaxHint(messages.missing_space(place.span(here)), Edit(here.end, here.end, " "))
    return None


def _double_equals_in_let(place: Place) -> SyntaxHint | None:
    here = place.here
    if place.keyword == "let" and place.index == 2 and here.text in ("==", "==="):
        right = f"{place.words(place.lexemes[0], place.previous)} = {place.value_after(1)}"
        return SyntaxHint(
            messages.unexpected_operator(place.span(here), here.text, right), place.replace(here, "=")
        )
    return None


def _unquoted_title(place: Place) -> SyntaxHint | None:
    if place.keyword == "test" and place.index == 1 and place.here.kind == "word":
        span = place.span(place.here)
        return SyntaxHint(messages.unquoted_title(span), place.replace(place.here, f'"{place.here.text}"'))
    return None


# --- Operators ------------------------------------------------------------------------------------------

_OPERATORS = {
    "=": "is",
    "==": "is",
    "===": "is",
    "!=": "is not",
    "!==": "is not",
    "<>": "is not",
    "≠": "is not",
    "=<": "<=",
    "≤": "<=",
    "=>": ">=",
    "≥": ">=",
}
_CONNECTIVES = {"&&": "and", "&": "and", "||": "or", "|": "or"}


def _unexpected_operator(place: Place) -> SyntaxHint | None:
    here = place.here
    span = place.span(here)
    if here.text in _OPERATORS and "IS" in place.accepts:
        right = _OPERATORS[here.text]
        if place.at(1).text == "[" and right.startswith("is"):
            right = right.replace("is not", "not in").replace("is", "in")
        left, value = place.value_around()
        message = messages.unexpected_operator(span, here.text, f"{left} {right} {value}")
        return SyntaxHint(message, place.replace(here, f" {right} "))
    if here.text in _CONNECTIVES:
        is_given = "EXPECT" in place.accepts and "COMMA" in place.accepts
        right = "," if is_given else _CONNECTIVES[here.text]
        return SyntaxHint(
            messages.unexpected_operator(span, here.text, right), place.replace(here, f" {right} ")
        )
    if here.text == "!" and "NOT" in place.accepts:
        following = place.at(1)
        right = f"not {place.words(following) if following.kind == 'word' else '(...)'}"
        return SyntaxHint(messages.unexpected_operator(span, "!", right), place.replace(here, " not "))
    return None


def _is_in(place: Place) -> SyntaxHint | None:
    """`is in [..]`, `is not in ..`: there `in` was read as the value."""
    word, left = place.previous, place.at(-2)
    if (
        word.text != "in"
        or left.text not in ("is", "not")
        or (left.text == "not" and place.at(-3).text != "is")
    ):
        return None
    first = left if left.text == "is" else place.at(-3)
    subject = place.at(-3) if left.text == "is" else place.at(-4)
    right = "in" if left.text == "is" else "not in"
    value = place.value_after(0)
    return SyntaxHint(
        messages.is_in(place.span(first, word), f"{subject.text} {right} {value}"),
        place.replace(first, right, word),
    )


def _list_after(place: Place) -> SyntaxHint | None:
    """`is [..]`, `is not [..]`, `has [..]`."""
    if place.here.text != "[":
        return None
    previous = place.previous
    items = place.value_after(0)
    if previous.text == "has":
        return SyntaxHint(
            messages.has_list(place.span(place.here, place.closing_bracket(0)), items), place.insert("any")
        )
    if previous.text == "is":
        right = f"{place.at(-2).text} in {items}"
        return SyntaxHint(messages.is_list(place.span(previous), right), place.replace(previous, "in"))
    if previous.text == "not" and place.at(-2).text == "is":
        right = f"{place.at(-3).text} not in {items}"
        edit = place.replace(place.at(-2), "not in", previous)
        return SyntaxHint(messages.is_list(place.span(place.at(-2), previous), right), edit)
    return None


def _list_without_brackets(place: Place) -> SyntaxHint | None:
    """`has any a, b`, `in a, b`, `is a, b`."""
    if place.here.text != "," or place.previous.kind not in VALUES:
        return None
    if (
        place.at(-2).text not in ("any", "all", "in")
        or place.at(1).kind not in VALUES
        or place.at(1).text == "then"
    ):
        return None
    distance = 1
    while place.at(distance + 1).text == "," and place.at(distance + 2).kind in VALUES:
        distance += 2
    last = place.at(distance)
    right = f"[{place.words(place.previous, last)}]"
    edit = place.replace(place.previous, f"[{place.draft.text[place.previous.start : last.end]}]", last)
    return SyntaxHint(
        messages.list_without_brackets(place.span(place.previous, last), f"{place.at(-2).text} {right}"), edit
    )


def _range(place: Place) -> SyntaxHint | None:
    """`in 22-6`, `in 22...6`."""
    here = place.here
    if place.previous.text == "in" and (match := re.fullmatch(r"([0-9]+)-([0-9]+)", here.text)):
        right = f"{int(match[1])}..{int(match[2])}"
        return SyntaxHint(messages.bad_range(place.span(here), right), place.replace(here, right))
    if here.text == "..." and "DOTS" in place.accepts:
        right = f"{place.previous.text}..{place.value_after(1)}"
        return SyntaxHint(messages.bad_range(place.span(here), right), place.replace(here, ".."))
    return None


def _misplaced_not(place: Place) -> SyntaxHint | None:
    """`labels not has x`, `has not x`, `has no x`."""
    here, previous = place.here, place.previous
    if here.text == "has" and previous.text == "not" and place.at(-2).kind in VALUES:
        subject, first, value = place.at(-2), previous, place.value_after(1)
        edit = place.replace(subject, f"not {subject.text} has", here)
        return SyntaxHint(
            messages.misplaced_not(place.span(first, here), f"not {subject.text} has {value}"), edit
        )
    if previous.text in ("not", "no") and place.at(-2).text == "has" and here.kind in VALUES:
        subject = place.at(-3)
        edit = place.replace(subject, f"not {subject.text} has", previous)
        right = f"not {subject.text} has {here.text}"
        return SyntaxHint(messages.misplaced_not(place.span(place.at(-2), previous), right), edit)
    return None


_FOREIGN_WORDS = {"contains": "has", "includes": "has", "equals": "is", "matches": "is", "are": "is"}


def _foreign_word(place: Place) -> SyntaxHint | None:
    here = place.here
    right = _FOREIGN_WORDS.get(here.text)
    if right is None or right.upper() not in place.accepts:
        return None
    left, value = place.value_around()
    return SyntaxHint(
        messages.unexpected_word(place.span(here), f"{left} {right} {value}"), place.replace(here, right)
    )


# --- Commas, brackets and missing parts -------------------------------------------------------------------


def _trailing_comma(place: Place) -> SyntaxHint | None:
    here, previous = place.here, place.previous
    if previous.text == ",":
        if place.ends_here() and here.text != "then":
            return SyntaxHint(
                messages.trailing_comma(place.span(previous), _what(here)), place.replace(previous, " ")
            )
        return None
    if (
        here.text == ","
        and "COMMA" not in place.accepts
        and (place.at(1).text in CLAUSES or not place.at(1).text)
    ):
        return SyntaxHint(
            messages.trailing_comma(place.span(here), _what(place.at(1))), place.replace(here, " ")
        )
    # `given a, expect local`: there `expect` was read as the name of a fact.
    if place.at(-2).text == "," and previous.text in (*CLAUSES, "expect") and here.text not in (",", "]"):
        comma = place.at(-2)
        return SyntaxHint(
            messages.trailing_comma(place.span(comma), _what(previous)), place.replace(comma, " ")
        )
    return None


def _what(lexeme: Lexeme) -> str:
    return f"`{lexeme.text}`" if lexeme.text else "the end"


# What an author must write after a word or sign that cannot stand last: what it is, an example, a
# placeholder.
_CONDITION = ("a condition", "task.type is planning", "x")
_MODELS = ("a choice of models", "cloud", "x")
_VALUE = ("a value", "", "x")
_NEEDED_AFTER: dict[str, tuple[str, str, str]] = {
    **dict.fromkeys(("when", "unless", "and", "or", "not", "("), _CONDITION),
    **dict.fromkeys((":", "use", "then", "never", "only", "some", "expect"), _MODELS),
    **dict.fromkeys(("is", "has", "in", "<", "<=", ">", ">=", "any", "all", "="), _VALUE),
    "because": ("a reason", 'because "customer data stays here"', '""'),
    "by": ("a number of points", "by 5", "1"),
    "chain": ("a model", "chain llama3.1:8b", "x"),
    "given": ("a fact", "given task.type is planning", "x"),
}
_MISREAD = frozenset((*CLAUSES, "and", "or", "by", "then", "expect"))


def _missing_value(place: Place) -> SyntaxHint | None:
    """Nothing after `is`, `when`, `:` ...; also where the next clause's word was read as the value."""
    before = place.previous
    if before.text in _MISREAD and place.at(-2).text in _NEEDED_AFTER:
        return _missing_after(place, place.at(-2), place.at(-3), before)
    if before.text in _NEEDED_AFTER and place.ends_here():
        return _missing_after(place, before, place.at(-2), place.here)
    return None


def _missing_after(place: Place, word: Lexeme, left: Lexeme, following: Lexeme) -> SyntaxHint | None:
    what, example, placeholder = _NEEDED_AFTER[word.text]
    if "RULE_NAME" in place.accepts:
        what, example, placeholder = ("the name of a rule", "because private-stays-home", "x")
    if word.text == ":" and place.keyword in ("weigh", "test", "route"):
        return None
    if word.text == "not" and left.text == "is":
        what, example, placeholder = ("a value", "task.type is not planning", "x")
    elif word.text in ("has", "any", "all", "in", "="):
        example = _VALUE_EXAMPLES[word.text]
    elif what == "a value":
        example = f"{left.text if left.kind == 'word' else 'task.type'} {word.text} VALUE"
    elif word.text not in (":", "(", "because", "by", "chain", "given"):
        example = f"{word.text} {example}"
    edit = Edit(following.start, following.start, f" {placeholder} ")
    return SyntaxHint(messages.missing_value(place.span(word), what, example), edit)


_VALUE_EXAMPLES = {
    "has": "task.labels has pii",
    "any": "task.labels has any [pii, secret]",
    "all": "task.labels has all [pii, secret]",
    "in": "task.type in [planning, qa]",
    "=": "let sensitive = task.labels has pii",
}


def _brackets(place: Place) -> SyntaxHint | None:
    here = place.here
    in_list = here.kind == "word" and place.at(1).text in (",", "]")
    for bracket, closing, terminal in (("[", "]", "RSQB"), ("(", ")", "RPAR")):
        if terminal in place.accepts and (here.kind == "end" or (here.text in ENDINGS and not in_list)):
            opening = place.opening(bracket, closing)
            if opening is not None:
                before = here.text or None
                return SyntaxHint(
                    messages.unclosed_bracket(place.span(opening), closing, before), place.insert(closing)
                )
    if (here.text == ")" and place.opening("(", ")") is None) or (
        here.text == "]" and place.opening("[", "]") is None
    ):
        return SyntaxHint(messages.unopened_bracket(place.span(here)), place.replace(here, " "))
    return None


def _missing_comma(place: Place) -> SyntaxHint | None:
    here = place.here
    if "COMMA" not in place.accepts or here.kind == "end":
        return None
    in_list = "RSQB" in place.accepts and here.kind in VALUES
    in_weigh = place.keyword == "weigh" and here.kind == "word" and place.at(1).kind == "number"
    in_given = "EXPECT" in place.accepts and here.kind == "word"
    in_chain = (
        place.last_of("chain", "given") is not None and "BECAUSE" in place.accepts and here.kind in VALUES
    )
    if in_given and here.text == "and":
        right = f"{place.previous.text}, {place.at(1).text}"
        return SyntaxHint(messages.missing_comma(place.span(here), right), place.replace(here, ","))
    if in_list or in_weigh or in_given or (in_chain and place.keyword == "test"):
        right = f"{place.previous.text}, {place.words(here, place.at(1) if in_weigh else here)}"
        return SyntaxHint(
            messages.missing_comma(place.span(here), right), Edit(place.previous.end, place.previous.end, ",")
        )
    return None


def _unexpected_comma(place: Place) -> SyntaxHint | None:
    """`forbid a: cloud, ollama`: more than one selector."""
    here, following = place.here, place.at(1)
    if here.text != "," or "OR" not in place.accepts or following.kind not in VALUES:
        return None
    if place.keyword in ("route", "weigh") or following.text in ENDINGS:
        return None
    right = f"{place.previous.text} or {following.text}"
    return SyntaxHint(messages.unexpected_comma(place.span(here), right), place.replace(here, " or "))


def _weights(place: Place) -> SyntaxHint | None:
    """`cost = 0.1`, `quality: 0.7`, `latency`."""
    if place.keyword != "weigh" or "NUMBER" not in place.accepts:
        return None
    here, part = place.here, place.previous
    if here.text in ("=", ":", "=="):
        right = f"{part.text} {place.value_after(1)}"
        return SyntaxHint(
            messages.unexpected_operator(place.span(here), here.text, right), place.replace(here, " ")
        )
    if here.kind == "end" or here.text in ENDINGS:
        return SyntaxHint(
            messages.missing_value(place.span(part), "a weight", f"{part.text} 0.3"), place.insert("0.1")
        )
    return None


def _missing_given(place: Place) -> SyntaxHint | None:
    if place.keyword != "test" or place.accepts != {"GIVEN"} or place.here.kind == "end":
        return None
    right = f"given task.type is planning {place.rest_of_clause()}"
    return SyntaxHint(messages.missing_given(place.span(place.here), right), place.insert("given x"))


def _route_words(place: Place) -> SyntaxHint | None:
    here, previous = place.here, place.previous
    if "USE" in place.accepts and here.text in ("when", "unless", *_FOREIGN_WHEN):
        return SyntaxHint(messages.condition_first(place.span(here), here.text, "use cloud when ..."))
    if "USE" in place.accepts and here.kind != "end":
        first = place.at(1) if here.text == "then" else here
        edit = place.replace(here, "use") if here.text == "then" else place.insert("use")
        return SyntaxHint(messages.missing_use(place.span(here), f"use {first.text}"), edit)
    if here.text == "then":
        if "COMMA" in place.accepts and place.keyword == "route":
            right = f"{previous.text}, then {place.at(1).text}".rstrip()
            return SyntaxHint(
                messages.missing_comma(place.span(here), right), Edit(previous.end, previous.end, ",")
            )
        if place.keyword != "route":
            return SyntaxHint(messages.unexpected_then(place.span(here), place.keyword))
    if "THEN" in place.accepts and here.kind != "end":
        instead = here.text in ("use", "else", "or")
        tier = place.at(1) if instead else here
        edit = place.replace(here, "then") if instead else place.insert("then")
        return SyntaxHint(messages.missing_then(place.span(here), f", then {tier.text}"), edit)
    if "COMMA" in place.accepts and place.keyword == "route" and here.text in ("else", "otherwise"):
        right = f"{previous.text}, then {place.at(1).text}".rstrip()
        return SyntaxHint(messages.missing_then(place.span(here), right), place.replace(here, ", then"))
    if previous.text == "use" and place.at(-2).text == ":" and place.keyword != "route":
        return SyntaxHint(
            messages.unexpected_use(place.span(previous), place.keyword), place.replace(previous, " ")
        )
    return None


def _points(place: Place) -> SyntaxHint | None:
    here = place.here
    if place.keyword not in ("prefer", "avoid"):
        return None
    if here.text == "by" and place.last_of(*CLAUSES) is not None:
        return SyntaxHint(messages.points_after_condition(place.span(here)))
    if "BY" not in place.accepts:
        return None
    if match := re.fullmatch(r"by([0-9].*)", here.text):
        return SyntaxHint(
            messages.missing_by(place.span(here), f"by {match[1]}"), place.replace(here, f"by {match[1]}")
        )
    if here.kind == "number":
        return SyntaxHint(messages.missing_by(place.span(here), f"by {here.text}"), place.insert("by"))
    if place.ends_here() and here.text not in (")", "]"):
        late = any(lexeme.text == "by" for lexeme in place.lexemes[place.index :])
        if late and here.text in CLAUSES:
            by = next(lexeme for lexeme in place.lexemes[place.index :] if lexeme.text == "by")
            return SyntaxHint(messages.points_after_condition(place.span(by)))
        shown = here if here.kind != "end" else place.previous
        span = place.span(shown)
        return SyntaxHint(
            messages.missing_points(span, place.keyword, here.kind == "end"), place.insert("by 1")
        )
    return None


# --- Clauses ----------------------------------------------------------------------------------------------


def _clauses(place: Place) -> SyntaxHint | None:
    here = place.here
    if here.text not in CLAUSES or here.text.upper() in place.accepts or "NAME" in place.accepts:
        return None
    span = place.span(here)
    match place.keyword:
        case "let":
            return SyntaxHint(messages.misplaced_clause(span, "let", "no clause"))
        case "test":
            return SyntaxHint(
                messages.misplaced_clause(span, "test", "no condition: `given` states the facts")
            )
        case "prove" if here.text == "because":
            return SyntaxHint(messages.misplaced_clause(span, "prove", "`when` and `unless` only"))
        case "language":
            return SyntaxHint(messages.misplaced_clause(span, "language", "a number only"))
        case _:
            pass
    if first := place.last_of(here.text):
        return SyntaxHint(messages.duplicate_clause(span, place.span(first)))
    because = place.last_of("because")
    if because is not None and here.text != "because":
        edit = Edit(because.start, here.start, "")
        return SyntaxHint(messages.because_before_when(place.span(because), here.text), edit)
    if here.text == "when" and place.last_of("unless"):
        return SyntaxHint(messages.clause_order(span))
    return None


_FOREIGN_WHEN = ("if", "where", "while", "provided", "whenever")


def _missing_when(place: Place) -> SyntaxHint | None:
    here, previous = place.here, place.previous
    if previous.text in ("if", "where") and place.at(-2).text == ":":
        example = {"route": "use cloud when ...", "weigh": "cost 0.1, quality 0.7, latency 0.2 when ..."}
        return SyntaxHint(
            messages.condition_first(
                place.span(previous), previous.text, example.get(place.keyword, "cloud when ...")
            )
        )
    if previous.text == "not" and place.accepts == {"IN"} and place.at(-2).kind in VALUES:
        # `cloud not private`: read as the beginning of `not in`.
        right = f"when not {place.rest_of_clause()}"
        edit = Edit(previous.start, previous.start, "when ")
        return SyntaxHint(messages.missing_when(place.span(previous), right), edit)
    if "WHEN" in place.accepts:
        if here.text in _FOREIGN_WHEN:
            right = f"when {_after_first_word(place.rest_of_clause())}"
            return SyntaxHint(
                messages.unexpected_if(place.span(here), here.text, right), place.replace(here, "when")
            )
        if here.kind == "string" and "BECAUSE" in place.accepts:
            return SyntaxHint(messages.missing_because(place.span(here)), place.insert("because"))
        if (here.kind in VALUES and here.text not in WORDS) or here.text in ("(", "not"):
            right = f"when {place.rest_of_clause()}"
            return SyntaxHint(messages.missing_when(place.span(here), right), place.insert("when"))
        return None
    if here.kind == "string" and "BECAUSE" in place.accepts:
        return SyntaxHint(messages.missing_because(place.span(here)), place.insert("because"))
    if "AND" in place.accepts and (
        (here.kind == "word" and here.text not in WORDS) or here.text in ("(", "not")
    ):
        right = f"and {place.rest_of_clause()}"
        return SyntaxHint(messages.missing_connective(place.span(here), right), place.insert("and"))
    return None


def _after_first_word(text: str) -> str:
    return text.partition(" ")[2]


def _missing_quantifier(place: Place) -> SyntaxHint | None:
    if {"NEVER", "ONLY", "SOME"} <= place.accepts and place.keyword == "prove" and place.here.kind != "end":
        always = place.here.text in ("always", "all", "no", "none")
        models = place.at(1).text if always else place.here.text
        suggestions = [f"{word} {models}" for word in ("never", "only", "some")]
        return SyntaxHint(messages.missing_quantifier(place.span(place.here), suggestions))
    return None


def _given(place: Place) -> SyntaxHint | None:
    """`given` states facts: no comparison but `is` and `has`, and no list."""
    if place.keyword != "test":
        return None
    section = place.last_of("given", "expect")
    if section is None or section.text != "given":
        return None
    here, previous = place.here, place.previous
    if here.text in ("<", "<=", ">", ">=", "in") or (here.text == "not" and "IS" in place.accepts):
        return SyntaxHint(messages.given_not(place.span(here), here.text))
    if previous.text == "not" and place.at(-2).text == "is":
        return SyntaxHint(messages.given_not(place.span(place.at(-2), previous), "is not"))
    if here.text == "[" or (previous.text in ("any", "all") and place.at(-2).text == "has"):
        first = previous if previous.text in ("any", "all") else here
        return SyntaxHint(messages.given_list(place.span(first)))
    return None


# --- The order in which they are looked for -----------------------------------------------------------------

_SLIPS: tuple[Callable[[Place], SyntaxHint | None], ...] = (
    _unclosed_string,
    _wrong_quotes,
    _bad_string,
    _foreign_signs,
    _rule_name,
    _unquoted_title,
    _unknown_statement,
    _range,
    _bad_number,
    _unquoted_name,
    _mark,
    _colon_after_keyword,
    _double_equals_in_let,
    _missing_colon,
    _is_in,
    _given,
    _list_after,
    _list_without_brackets,
    _misplaced_not,
    _unexpected_operator,
    _foreign_word,
    _upper_case_keyword,
    _trailing_comma,
    _missing_value,
    _missing_quantifier,
    _points,
    _brackets,
    _missing_comma,
    _unexpected_comma,
    _weights,
    _missing_given,
    _route_words,
    _clauses,
    _missing_when,
)


def explain(place: Place) -> SyntaxHint:
    """The first slip that fits; where none does, what was found and what could stand there."""
    for look in _SLIPS:
        slip = look(place)
        if slip is not None:
            return slip
    return _unexpected(place)


# Terminals in an author's words; those that only begin the next statement are one thing to an author.
_IN_WORDS = {
    "NAME": "a name",
    "RULE_NAME": "a name in small letters and hyphens",
    "NUMBER": "a number",
    "STRING": "a text in double quotes",
    "COLON": "`:`",
    "COMMA": "`,`",
    "DOTS": "`..`",
    "ELLIPSIS": "`...`",
    "EQUALS": "`=`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LESS": "a comparison",
    "AT_MOST": "a comparison",
    "MORE": "a comparison",
    "AT_LEAST": "a comparison",
    "IS": "a comparison",
    "HAS": "a comparison",
    "IN": "a comparison",
    "$END": "the next statement",
}


def _unexpected(place: Place) -> SyntaxHint:
    ends = "$END" in place.accepts
    expected = {
        _IN_WORDS.get(terminal, f"`{terminal.lower()}`")
        for terminal in place.accepts
        if not (ends and terminal.lower() in STATEMENTS)
        and not ("IS" in place.accepts and terminal in ("NOT", "DOTS"))
    }
    # What ends the statement comes last, the plain words before the signs.
    ordered = sorted(expected, key=lambda text: (text == "the next statement", text[0] == "`", text))
    if place.here.kind == "end":
        last = place.previous if place.index else place.here
        return SyntaxHint(messages.unexpected_end(place.span(last), ordered))
    return SyntaxHint(messages.unexpected_token(place.span(place.here), ordered))
