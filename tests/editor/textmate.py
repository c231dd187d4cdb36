"""A TextMate grammar of plain matches -> the scope of every character of a line, as editors work it out.

Enough of the format for `route.tmLanguage.json`: no rules with a beginning and an end. A match is the first
in the line; of two at one place the first in the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any


class Grammar:
    def __init__(self, written: Mapping[str, Any]) -> None:
        self._repository = written["repository"]
        self._rules = [(re.compile(rule["match"]), rule) for rule in self._flat(written)]

    def _flat(self, rule: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        if "include" in rule:
            yield from self._flat(self._repository[rule["include"].removeprefix("#")])
        elif "match" in rule:
            assert rule.keys() <= {"match", "name", "captures"}
            yield rule
        else:
            for part in rule["patterns"]:
                yield from self._flat(part)

    def scopes(self, line: str) -> list[str]:
        """The innermost scope of each character; empty where it has none."""
        found = [""] * len(line)
        position = 0
        while position < len(line):
            matches = [
                (match.start(), n)
                for n, (rule, _) in enumerate(self._rules)
                if (match := rule.search(line, position))
            ]
            if not matches:
                break
            pattern, rule = self._rules[min(matches)[1]]
            match = pattern.search(line, position)
            assert match is not None
            assert match.end() > match.start(), f"{pattern.pattern} matches nothing"
            _paint(found, match.span(), rule.get("name", ""))
            for group, capture in rule.get("captures", {}).items():
                if match[int(group)] is not None:
                    _paint(found, match.span(int(group)), capture["name"])
            position = match.end()
        return found


def _paint(found: list[str], span: tuple[int, int], scope: str) -> None:
    if scope:
        found[span[0] : span[1]] = [scope] * (span[1] - span[0])
