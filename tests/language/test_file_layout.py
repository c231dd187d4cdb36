"""`fmt`: layout only, every comment kept in order and near, and nothing that a second run would change."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from lark import Token, Tree

from engine.bundled import bundled_path
from engine.language.diagnostics import Problems
from engine.language.file_layout import WouldChangeMeaning, _verify, format_source
from engine.language.grammar import load_grammar
from engine.language.parser import parse
from engine.language.source import Source
from tests.decision.worlds import compiled, facts_of
from tests.reference.generator import random_facts, random_world

SEED = 5
POLICIES = 500


def formatted(text: str) -> str:
    problems = Problems()
    result = format_source(Source("main.route", text), problems)
    assert result is not None, [(str(problem.span), problem.message) for problem in problems]
    return result


def comments_of(text: str) -> list[str]:
    return [comment.text.rstrip() for comment in parse(Source("main.route", text), Problems()).comments]


@pytest.fixture(scope="module")
def policies() -> list[str]:
    """Files of random worlds, with what is odd about their layout."""
    generator = random.Random(SEED)
    found: list[str] = []
    while len(found) < POLICIES:
        found += [text for text in random_world(generator).route_files.values() if text.strip()]
    return found[:POLICIES]


CASES = {
    "trailing comments stay where they are": (
        'forbid a: cloud # one\n  when b # two\n  because "c" # three\n',
        'forbid a: cloud  # one\n    when b  # two\n    because "c"  # three\n',
    ),
    "a comment between clauses stays above its clause": (
        "forbid a: cloud\n# why\nwhen b",
        "forbid a: cloud\n    # why\n    when b\n",
    ),
    "a comment in a list breaks it there": (
        "let a = [b, # first\n c, d # third\n]",
        "let a = [\n    b,  # first\n    c, d  # third\n]\n",
    ),
    "a comment before a comma stands behind it": (
        "let a = [b # first\n , c]",
        "let a = [\n    b,  # first\n    c\n]\n",
    ),
    "a comment between conditions stays between them": (
        "forbid a: b when c # not d\n and e",
        "forbid a: b\n    when c  # not d\n        and e\n",
    ),
    "a comment where no line may end moves to the end of its line": (
        "forbid # one\n a: b when c",
        "forbid a: b  # one\n    when c\n",
    ),
    "of several such comments the last stays behind, the others go above": (
        "forbid # one\n a # two\n : b # three\n when c",
        "# one\n# two\nforbid a: b  # three\n    when c\n",
    ),
    "a comment below a statement and further in stays with it": (
        'forbid a: b\n    when c\n    # because "old"\n\n# next\nforbid d: e',
        'forbid a: b\n    when c\n    # because "old"\n\n# next\nforbid d: e\n',
    ),
    "a comment right above an indented statement stays above it": (
        "    forbid a: b\n    # lint: allow x because y\n    forbid c: d\n",
        "forbid a: b\n\n# lint: allow x because y\nforbid c: d\n",
    ),
    "up to two blank lines are kept between statements, one is added": (
        "language 1\nforbid a: b\n\n\n\n\nforbid c: d\n\n\n# heading\n\nforbid e: f",
        "language 1\n\nforbid a: b\n\n\nforbid c: d\n\n\n# heading\n\nforbid e: f\n",
    ),
    "lets are aligned as far as they stand together": (
        "let a = b\nlet long = c\n\nlet longer-still = d\n# of e\nlet e = f",
        "let a    = b\nlet long = c\n\nlet longer-still = d\n# of e\nlet e            = f\n",
    ),
    "what is too long is broken before its operators": (
        f"let a = {' and '.join(f'x-{n} is {n}k' for n in range(9))} or b",
        "let a =\n    " + "\n        and ".join(f"x-{n} is {n}k" for n in range(9)) + "\n    or b\n",
    ),
    "brackets open and close on lines of their own when what is in them is broken": (
        f"forbid a: b when c and (d or {' and '.join(['task.criticality is high'] * 5)})",
        "forbid a: b\n    when c\n        and (\n            d\n            or "
        + "\n                and ".join(["task.criticality is high"] * 5)
        + "\n        )\n",
    ),
    "long lists are filled": (
        f"let a = [{', '.join(f'name-{n:02}' for n in range(20))}]",
        "let a = [\n    "
        + ", ".join(f"name-{n:02}" for n in range(11))
        + ",\n    "
        + ", ".join(f"name-{n:02}" for n in range(11, 20))
        + "\n]\n",
    ),
    "line ends and the last line are made whole": ("forbid a: b # c \r\n\r\n", "forbid a: b  # c\n"),
    "an empty file stays empty": ("\n\n", ""),
    "a file of comments keeps them": ("\n  # a\n\n#b", "# a\n\n#b\n"),
}


@pytest.mark.parametrize(("written", "expected"), CASES.values(), ids=CASES)
def test_layout(written: str, expected: str) -> None:
    """Input and result."""
    assert formatted(written) == expected
    assert formatted(expected) == expected


def test_a_comment_around_every_token_survives_in_order(policies: list[str]) -> None:
    """150 policies, before and behind every token at once: all there, in order, and formatted once is
    formatted for good. The first hundred hold every kind of token under every rule of the grammar that the
    others do."""
    generator = random.Random(SEED)
    grammar = load_grammar(None)
    count = 0
    for text in policies[:150]:
        read = grammar.parse(text)
        assert isinstance(read, Tree)
        tokens = list(read.scan_values(lambda value: isinstance(value, Token)))
        pieces, position = [], 0
        for token in tokens:
            assert token.start_pos is not None
            pieces += [
                text[position : token.start_pos],
                generator.choice(["#{}\n", " # {}\n", "\n\n  # {} \n"]),
            ]
            position = token.start_pos
        pieces += [text[position:], "\n# {}"]
        commented = _numbered(pieces)
        result = formatted(commented)
        assert comments_of(result) == comments_of(commented)
        assert formatted(result) == result
        count += len(tokens)
    assert count > 20_000


def _numbered(pieces: list[str]) -> str:
    return "".join(piece.format(place) if place % 2 else piece for place, piece in enumerate(pieces))


def test_a_single_comment_anywhere_survives(policies: list[str]) -> None:
    """One comment at one random token of each policy."""
    generator = random.Random(SEED + 1)
    grammar = load_grammar(None)
    for text in policies[:150]:
        read = grammar.parse(text)
        assert isinstance(read, Tree)
        token = generator.choice([*read.scan_values(lambda value: isinstance(value, Token))])
        assert token.start_pos is not None
        commented = f"{text[: token.start_pos]} # here\n{text[token.start_pos :]}"
        result = formatted(commented)
        assert comments_of(result) == comments_of(commented)
        assert formatted(result) == result


def test_formatted_once_is_formatted_for_good(policies: list[str]) -> None:
    """Without added comments too."""
    for text in policies:
        once = formatted(text)
        assert formatted(once) == once


def test_a_formatted_policy_decides_the_same() -> None:
    """Forty worlds, fifty tasks each: equal decisions, chains and scores."""
    generator = random.Random(SEED + 2)
    for _ in range(40):
        world = random_world(generator)
        before = compiled(world)
        world.route_files = {name: formatted(text) for name, text in world.route_files.items()}
        after = compiled(world)
        for _ in range(50):
            facts = facts_of(random_facts(generator, world))
            old, new = before.evaluator.decide(facts), after.evaluator.decide(facts)
            assert (old.chain, old.totals) == (new.chain, new.totals)


def test_another_meaning_is_refused() -> None:
    """What is about to be written is read again, trees and comments compared."""
    file = parse(Source("main.route", "forbid a: b # c"), Problems())
    _verify(file, "forbid a: b # c")
    for other in ("forbid a: not b # c", "forbid a: b", "forbid a b # c"):
        with pytest.raises(WouldChangeMeaning):
            _verify(file, other)


def test_a_file_with_errors_is_not_formatted() -> None:
    """The errors are in the problems."""
    problems = Problems()
    assert format_source(Source("main.route", "forbid a cloud"), problems) is None
    assert problems.has_errors


SHIPPED = sorted(bundled_path("policies").rglob("*.route"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_shipped_policies_are_formatted(path: Path) -> None:
    """What ships is laid out as `engine fmt` lays it out."""
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


def test_a_large_file_is_formatted_in_linear_time() -> None:
    """Thousands of comments, conditions and lets in a row: no step looks at all that came before."""
    comments = "    # note\n" * 20_000
    conditions = " or ".join(f"x is {n}" for n in range(2_000))
    lets = "\n".join(f"let a-{n} = b" for n in range(1_000))
    text = f"forbid a: b when {conditions}\n{comments}\n{lets}\n"
    assert comments_of(formatted(text)) == ["# note"] * 20_000
