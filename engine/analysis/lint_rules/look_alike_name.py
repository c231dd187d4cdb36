"""A word that mixes letters of two alphabets that look alike."""

import re
import unicodedata
from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import POLICIES, WARNING, Example, Finding, LintRule

_WORD = re.compile(r"\w+")
_CONFUSED = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH")


def check(context: LintContext) -> Iterator[Finding]:
    for source in context.sources:
        if source.text.isascii():
            continue
        for found in _WORD.finditer(source.text):
            if found[0].isascii():
                continue
            alphabets = sorted({alphabet for letter in set(found[0]) if (alphabet := _alphabet(letter))})
            if len(alphabets) > 1:
                named = " and ".join(name.capitalize() for name in alphabets)
                yield Finding(
                    source.span(*found.span()),
                    f"this word mixes {named} letters, which look alike",
                    "write it in one alphabet",
                )


def _alphabet(letter: str) -> str | None:
    name = unicodedata.name(letter, "").split(" ")[0]
    return name if name in _CONFUSED else None


RULE = LintRule(
    slug="look-alike-name",
    level=WARNING,
    summary="a word of letters from two alphabets",
    why="Names are compared letter by letter: one with a Cyrillic letter in it is another name, whatever a "
    "reviewer sees.",
    bad=Example(
        'forbid f: cloud when task.labels has "p\u0456i"\n',
        ("p\u0456i",),
        policies=POLICIES.replace("labels: [pii, secret]\n", ""),
    ),
    good=Example("forbid f: cloud when task.labels has pii\n"),
    near_miss=Example(
        "# \u043b\u0438\u0447\u043d\u043e\u0435: caf\u00e9\nforbid f: cloud when task.labels has pii\n"
    ),
    check=check,
)
