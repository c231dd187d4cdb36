"""Sentences about how a policy is written: characters, words, clauses and brackets."""

from collections.abc import Iterable
from dataclasses import replace

from engine.language.diagnostics import Diagnostic, Note, visible
from engine.language.sentences import Sentence, SentenceWith, error
from engine.language.source import Span
from engine.language.statement_forms import STATEMENTS
from engine.language.wording import listed, shortened, tick


def control_character(span: Span) -> Diagnostic:
    return error(
        "control-character",
        span,
        f"the control character `{visible(span.text)}` cannot stand in a policy",
        "leave it out; a line ends with LF or CRLF, and only spaces and tabs indent",
    )


lone_carriage_return = Sentence(
    "lone-carriage-return", "a carriage return without a line feed ends no line", "end lines with LF or CRLF"
)


bidirectional_character = Sentence(
    "bidirectional-character", "`{here}` makes text appear in another order than it is read", "leave it out"
)
tab_in_string = Sentence("control-character", "a tab cannot stand in a text", "write spaces")


def too_many_errors(span: Span, limit: int) -> Diagnostic:
    return error(
        "too-many-errors",
        span,
        f"{limit} statements with errors; from here on this file was not read",
        "mend the ones above first",
    )


def nesting_too_deep(span: Span, limit: int) -> Diagnostic:
    return error(
        "nesting-too-deep",
        span,
        f"brackets and `not` stand more than {limit} deep",
        "give a part a name of its own: `let NAME = ...`",
    )


def nesting_through_let(span: Span, name: str, most: int) -> Diagnostic:
    return error(
        "nesting-too-deep",
        span,
        f"with the let {tick(name)} in place, brackets and `not` stand more than {most} deep",
        "build the let from fewer lets, or take brackets away",
    )


unknown_language_version = SentenceWith(
    "unknown-language-version",
    "there is no version {text} of the language; the known versions are: 1, 1.1",
    "write `language 1` or `language 1.1`",
)
language_not_first = Sentence(
    "language-not-first",
    "`language` can only be the first statement of a file",
    "move it to the top, or leave it out: version 1 is meant without it",
)


unexpected_operator = SentenceWith("unexpected-operator", "`{here}` is no operator here")
half_an_operator = Sentence(
    "unexpected-operator",
    "`{here}` is no operator here",
    "a number is compared with `is`, `>=`, `<=`, `>` or `<`",
)
unexpected_if = SentenceWith("unexpected-if", "a condition does not begin with `{here}`")


def condition_first(span: Span, written: str, example: str) -> Diagnostic:
    return error(
        "unexpected-if",
        span,
        f"a statement does not begin with its condition, nor a condition with {tick(written)}",
        f"write what is to happen first: {tick(example)}",
    )


unexpected_then = SentenceWith(
    "unexpected-then",
    "`then` divides the tiers of a `route` and means nothing in `{text}`",
    "leave it out; the condition stands last, after `when`",
)
unexpected_use = SentenceWith(
    "unexpected-use", "`use` begins the tiers of a `route` and means nothing in `{text}`", "leave it out"
)
missing_use = SentenceWith("missing-use", "`use` is missing before the first tier")
missing_then = SentenceWith("missing-then", "`then` is missing before the next tier")
missing_colon = SentenceWith("missing-colon", "a colon is missing after `{here}`")


def unexpected_colon(span: Span, word: str, suggestion: str) -> Diagnostic:
    return error("unexpected-colon", span, f"no colon stands after `{word}`", f"write {tick(suggestion)}")


missing_space = Sentence("missing-space", "something is glued to `{here}`", "put a space between the two")
missing_equals = SentenceWith("missing-equals", "`=` is missing after `{here}`")
missing_comma = SentenceWith("missing-comma", "a comma is missing before `{here}`")


trailing_comma = SentenceWith(
    "trailing-comma",
    "nothing follows this comma but {text}",
    "leave the comma out, or write what was to follow it",
)
missing_when = Sentence(
    "missing-when",
    "no clause begins before `{here}`",
    "begin its condition with `when` where the statement holds, or with `unless` where it does not",
)
missing_not_when = SentenceWith("missing-when", "`when` is missing before the condition")
missing_connective = Sentence(
    "missing-connective",
    "nothing joins `{here}` to the condition before it",
    "join them with `and` where both must hold, or with `or` where one of them is enough",
)
missing_by = SentenceWith("missing-by", "`by` is missing before the points")


def missing_points(span: Span, keyword: str, at_end: bool) -> Diagnostic:
    where = "after" if at_end else "before"
    return error(
        "missing-points",
        span,
        f"`{keyword}` needs points {where} {tick(span.text)}",
        "write `by 5`, or another number above 0, after the models",
    )


points_after_condition = Sentence(
    "clause-order", "`by` stands after the condition", "write the points first: `by POINTS when CONDITION`"
)
missing_because = Sentence(
    "missing-because", "`because` is missing before the reason", "write `because {here}`"
)


def missing_name(span: Span, keyword: str, suggestion: str) -> Diagnostic:
    return error(
        "missing-name",
        span,
        f"this `{keyword}` has no name",
        f"give it one, as reports will call it: {tick(suggestion)}",
    )


def bad_rule_name(span: Span, keyword: str, suggestion: str | None) -> Diagnostic:
    return error(
        "bad-rule-name",
        span,
        (
            f"{tick(span.text)} cannot be the name of a `{keyword}`: lower-case letters, digits and "
            "single hyphens, a letter first"
        ),
        f"write {tick(suggestion)}" if suggestion else None,
    )


misspelt_mark = Sentence("unknown-mark", "a rule cannot be marked `{here}`", "write `watch`")
unknown_mark = Sentence(
    "unknown-mark",
    "a rule cannot be marked `{here}`",
    "take the mark away; a rule that is only tried out, unarmed, is marked `(watch)`",
)
unquoted_title = Sentence("unquoted-title", "the title of a test stands in quotes", 'write `"{here}"`')
unquoted_name = Sentence(
    "unquoted-name",
    (
        "`{here}` is no bare name: those have letters, digits, `_` and single `-`, `.`, `:` inside, a "
        "letter first"
    ),
    'write `"{here}"`',
)


def bad_number(span: Span, suggestion: str | None) -> Diagnostic:
    return error(
        "bad-number",
        span,
        f"{tick(span.text)} is no number: those are written `8192`, `32k`, `1.5M`, `80%`, `$0.05` or `0.25`",
        f"write {tick(suggestion)}" if suggestion else None,
    )


def other_currency(span: Span) -> Diagnostic:
    return error("bad-number", span, "amounts are in US dollars", "write the dollars, such as `$0.05`")


below_zero = Sentence("bad-number", "no number here is below 0", "write a number from 0 up")
points_below_zero = SentenceWith("bad-number", "points are above 0; `avoid` takes them away")
two_comparisons = SentenceWith("two-comparisons", "one comparison has one sign")
other_brackets = SentenceWith("other-brackets", "a list stands in square brackets")
no_patterns = Sentence(
    "no-patterns", "`{here}` asks for a pattern, and there are none", "list the names: `in [NAME, NAME]`"
)
mark_before_name = SentenceWith("mark-before-name", "the mark of a rule stands behind its name")
bad_range = SentenceWith("bad-range", "a range has two dots between its ends")
unexpected_comma = Sentence(
    "unexpected-comma",
    "a comma joins nothing here",
    "join the two with `or` where either is enough, or with `and` where both must hold",
)
missing_given = SentenceWith("missing-given", "a test states its facts before what it expects")
unclosed_string = Sentence("unclosed-string", "this text is not closed on its line", 'close it with `"`')
wrong_quotes = SentenceWith("wrong-quotes", 'only straight double quotes `"` enclose a text')
bad_escape = Sentence(
    "bad-escape",
    "`{here}` means nothing in a text",
    'a backslash is written `\\\\` and a quote `\\"`; a text has no others and stands on one line',
)


def unclosed_bracket(span: Span, closing: str, before: str | None) -> Diagnostic:
    where = f" before {tick(before)}" if before else ""
    return error(
        "unclosed-bracket", span, f"this {tick(span.text)} is not closed", f"write `{closing}`{where}"
    )


unopened_bracket = Sentence(
    "unopened-bracket", "this `{here}` closes nothing", "leave it out, or open it before"
)
is_in = SentenceWith("is-in", "`{here}` is not written here")
is_list = SentenceWith("is-list", "`is` compares with one value")


def has_list(span: Span, written: str) -> Diagnostic:
    return error(
        "has-list",
        span,
        "`has` asks for one value",
        (
            f"write `has any {shortened(written)}` for one of them "
            f"or `has all {shortened(written)}` for every one"
        ),
    )


list_without_brackets = SentenceWith("list-without-brackets", "several values stand in brackets")
misplaced_not = SentenceWith("misplaced-not", "`not` stands before the whole comparison")


unexpected_word = SentenceWith("unexpected-word", "`{here}` is no word of the language here")


def one_of_these_words(span: Span, words: Iterable[str]) -> Diagnostic:
    return error(
        "unexpected-word",
        span,
        f"{tick(span.text)} is no word of the language here",
        f"{' or '.join(tick(word) for word in words)} may be meant",
    )


glued_words = SentenceWith("missing-space", "two words are written as one: `{here}`")
torn_word = SentenceWith("torn-word", "one word is written as two: `{here}`")
word_twice = SentenceWith("word-twice", "`{text}` stands here twice", "take one `{text}` away")
swapped_words = SentenceWith("swapped-words", "`{here}` stands in the wrong order")


def upper_case_keyword(span: Span) -> Diagnostic:
    return error(
        "upper-case-keyword",
        span,
        f"{tick(span.text)} is written in small letters",
        f"write {tick(span.text.lower())}",
    )


def no_such_statement(span: Span, instead: str | None) -> Diagnostic:
    return replace(unknown_statement(span, STATEMENTS, None), help=instead)


def misspelt_statement(span: Span, near: str) -> Diagnostic:
    return unknown_statement(span, STATEMENTS, near)


def unknown_statement(span: Span, known: Iterable[str], near: str | None) -> Diagnostic:
    return error(
        "unknown-statement",
        span,
        f"no statement begins with {tick(span.text)}; they begin with: {listed(known)}",
        f"write `{near}`" if near else None,
    )


def missing_value(span: Span, what: str, example: str) -> Diagnostic:
    return error(
        "missing-value",
        span,
        f"{what} is missing after {tick(span.text)}",
        f"for example {tick(example)}",
    )


def missing_quantifier(span: Span, suggestions: Iterable[str]) -> Diagnostic:
    return error(
        "missing-quantifier",
        span,
        "a proof says `never`, `only` or `some` before its models",
        "write " + " or ".join(tick(suggestion) for suggestion in suggestions),
    )


because_before_when = SentenceWith(
    "because-before-when",
    "`because` stands before `{text}`",
    'write the condition first: `{text} CONDITION because "..."`',
)
clause_order = Sentence(
    "clause-order", "`when` stands after `unless`", "write `when CONDITION unless CONDITION`"
)


def duplicate_clause(span: Span, first: Span) -> Diagnostic:
    word = shortened(span.text)
    return error(
        "duplicate-clause",
        span,
        f"a second `{word}` in one statement",
        "one text is enough" if word == "because" else "join the two conditions with `and` or `or`",
        [Note(first, "the first one is here")],
    )


def misplaced_clause(span: Span, keyword: str, taken: str) -> Diagnostic:
    return error("misplaced-clause", span, f"`{keyword}` takes {taken}", f"leave {tick(span.text)} out")


given_not = SentenceWith(
    "given-comparison",
    "`{text}` does not say which value it has: `given` states facts",
    "write `FACT is VALUE`, `SET has NAME`, `SET is empty`, or a yes/no fact with or without `not`",
)
given_list = Sentence(
    "given-list",
    "`given` states one value at a time",
    "repeat the fact: `given task.labels has pii, task.labels has secret`",
)
invisible_character = SentenceWith("odd-space", "an invisible character stands here: {text}", "delete it")
conflict_marker = Sentence(
    "conflict-marker", "a merge left this mark", "choose one of the two sides, and delete the marks"
)
fence = Sentence("foreign-comment", "`{here}` is a mark of Markdown", "delete this line")
unexpected_semicolon = Sentence("unexpected-semicolon", "nothing separates statements", "leave `;` out")


def odd_space(span: Span) -> Diagnostic:
    return error(
        "odd-space",
        span,
        f"this space is the character U+{ord(span.text[0]):04X}, not an ordinary one",
        "write a plain space",
    )


foreign_comment = Sentence(
    "foreign-comment", "`{here}` begins no comment", "write `#`: it comments to the line's end"
)


def unexpected_token(span: Span, expected: Iterable[str]) -> Diagnostic:
    text = shortened(span.text)
    return error("unexpected-token", span, f"`{text}` cannot stand here; possible is: {listed(expected)}")


def unexpected_end(span: Span, expected: Iterable[str]) -> Diagnostic:
    return error(
        "unexpected-end",
        span,
        f"the statement ends too early, after {tick(span.text)}; possible is: {listed(expected)}",
    )


def file_too_big(span: Span, most_bytes: int) -> Diagnostic:
    return error(
        "file-too-big",
        span,
        f"this file is larger than {most_bytes // 1024} KiB",
        "split it, or leave out what is generated",
    )
