"""Diagnostics as data: a `.route` file that carries each expected diagnostic on the line it strikes.

`forbid a: cloud when task.kind is agent  #! unknown-fact "task.kind"` expects there one diagnostic of this
slug that underlines exactly this text (of a longer stretch, its first line). Several on a line follow each
other, each with its own `#!`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.language.diagnostics import Diagnostic

_EXPECTED = re.compile(r'#! (?P<slug>[a-z0-9-]+) "(?P<underlined>.*?)"(?=\s*$|\s+#!)')


@dataclass(frozen=True, slots=True, order=True)
class Expectation:
    line: int
    slug: str
    underlined: str


def expected(text: str) -> list[Expectation]:
    """What the comments of a file expect, in line order."""
    return sorted(
        Expectation(number, match["slug"], match["underlined"])
        for number, line in enumerate(text.split("\n"), start=1)
        for match in _EXPECTED.finditer(line)
    )


def found(diagnostics: Iterable[Diagnostic]) -> list[Expectation]:
    """Diagnostics in the form in which they are expected."""
    return sorted(
        Expectation(one.span.line, one.slug, one.span.text.split("\n")[0].rstrip("\r")) for one in diagnostics
    )
