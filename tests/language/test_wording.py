"""The wording that many sentences share: lists, similar names, and the author's text made safe to show."""

from engine.language.sentences import Sentence, SentenceWith
from engine.language.source import Source
from engine.language.wording import listed, shortened, similar_or_listed, written_name


def test_a_long_list_ends_with_a_count() -> None:
    """Names beyond the most that are shown are counted."""
    assert listed(["a", "b", "c", "d"], most=2) == "a, b and 2 more"


def test_a_list_shows_no_hidden_character() -> None:
    """A character that turns the text round is written as its code."""
    assert listed(["a\u202e", "b"]) == "a\\u{202e}, b"


def test_a_text_over_several_lines_is_shown_on_one() -> None:
    """Every run of blank space becomes one space, and what is too long is cut."""
    assert shortened("a\n\t b") == "a b"
    assert shortened("a" * 9, most=8) == "aaaaa..."


def test_a_name_is_quoted_only_where_it_must_be() -> None:
    """A bare name stays bare; quotes and backslashes inside others are escaped."""
    assert written_name("llama3.1:8b") == "llama3.1:8b"
    assert written_name('a "b" \\') == '"a \\"b\\" \\\\"'


def test_a_similar_name_is_offered_before_the_list() -> None:
    """The same name in another case, or a near one; all of them where none is near or none is looked for."""
    known = ["private", "public"]
    assert similar_or_listed("PRIVATE", known, "label", "labels") == "`private` is a similar label"
    assert similar_or_listed("pubic", known, "label", "labels") == "`public` is a similar label"
    assert similar_or_listed("zzz", known, "label", "labels") == "the labels are private, public"
    assert (
        similar_or_listed("private", known, "label", "labels", search=False)
        == "the labels are private, public"
    )
    assert similar_or_listed("private", [], "label", "labels") == "there are no labels"


def test_a_sentence_quotes_the_place_it_is_about() -> None:
    """Braces in the author's own text are text like any other."""
    span = Source("p.route", "{here}").span(0, 6)

    assert Sentence("odd", "`{here}` is odd")(span).message == "`{here}` is odd"
    assert SentenceWith("odd", "`{here}` is odd")(span, "{x}").help == "write `{x}`"
