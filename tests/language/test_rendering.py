"""How a diagnostic looks to a person."""

from engine.language.diagnostics import Diagnostic, Level, Note
from engine.language.rendering import render
from engine.language.source import Source, Span


def struck(text: str, part: str, **more: object) -> Diagnostic:
    """A diagnostic under the first occurrence of a part of a text."""
    source = Source("main.route", text)
    start = text.index(part)
    return Diagnostic("some-slug", Level.ERROR, "it is wrong", Span(source, start, start + len(part)), **more)  # type: ignore[arg-type]


def test_the_place_the_line_the_carets_and_the_help() -> None:
    """All of it, aligned."""
    text = "language 1\n\nforbid a: cloud\n    when task.kind is agent\n"
    expected = """\
error[some-slug]: it is wrong
  --> main.route:4:10
   |
 4 |     when task.kind is agent
   |          ^^^^^^^^^
   = help: write `task.type`"""
    assert render(struck(text, "task.kind", help="write `task.type`")) == expected


def test_a_second_place_has_a_snippet_of_its_own() -> None:
    """And the margin is as wide as the widest line number."""
    text = "let a = b\n" * 9 + "let a = c\n"
    source = Source("main.route", text)
    notes = (Note(Span(source, 4, 5), "declared here"),)
    problem = Diagnostic("some-slug", Level.WARNING, "it is wrong", Span(source, 94, 95), None, notes)
    expected = """\
warning[some-slug]: it is wrong
   --> main.route:10:5
    |
 10 | let a = c
    |     ^
    = note: declared here --> main.route:1:5
    |
  1 | let a = b
    |     ^"""
    assert render(problem) == expected


def test_carets_stand_right_behind_tabs_and_wide_characters() -> None:
    """A tab is four columns, a wide character two, a combining one none."""
    lines = render(struck('\t"日本e\u0301" here', "here")).split("\n")
    assert lines[3].replace("日本", "....").replace("\u0301", "").index("here") == lines[4].index("^")
    assert lines[4].count("^") == 4


def test_what_a_terminal_would_act_on_is_shown_as_an_escape() -> None:
    """Also in the name of the file, and the carets cover the whole escape."""
    source = Source("a\x1b[2J.route", "x \x1b[31m\u202e y")
    shown = render(Diagnostic("some-slug", Level.ERROR, "it is wrong", Span(source, 2, 3)))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "a\\x1b[2J.route:1:3" in shown
    assert shown.endswith("  ^^^^")


def test_a_long_line_is_cut_around_the_place() -> None:
    """The part that was struck is always visible, within the width asked for."""
    text = "a or " * 5000 + "HERE" + " or b" * 5000
    lines = render(struck(text, "HERE"), width=60).split("\n")
    assert all(len(line) <= 60 for line in lines[1:])
    assert lines[3].index("HERE") == lines[4].index("^^^^")
    assert "... " not in lines[4]


def test_a_stretch_over_several_lines_is_underlined_on_its_first() -> None:
    """Carets end with the line."""
    lines = render(struck("let a = (b\n    and c)", "(b\n    and c)")).split("\n")
    assert lines[4].count("^") == 2


def test_the_end_of_a_file_can_be_pointed_at() -> None:
    """An empty stretch has one caret; an empty file has none."""
    source = Source("main.route", "let a =")
    assert render(Diagnostic("some-slug", Level.ERROR, "it is wrong", Span(source, 7, 7))).endswith(
        "|        ^"
    )
    empty = Diagnostic("some-slug", Level.ERROR, "it is wrong", Span(Source("main.route", ""), 0, 0))
    assert render(empty) == "error[some-slug]: it is wrong\n  --> main.route:1:1"


def test_colour_is_the_callers() -> None:
    """Each part is handed to the styler, and nothing else is added."""
    shown = render(struck("let a = b", "b"), style=lambda part, text: f"<{part}>{text}</>")
    assert shown.startswith("<error>error[some-slug]</>: it is wrong\n  <place>--></> main.route:1:9\n")
    assert shown.endswith("<error>^</>")
