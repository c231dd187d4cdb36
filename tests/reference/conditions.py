"""A condition as the engine prints it -> what it means to the reference, which reads it as it would in a
policy."""

from __future__ import annotations

from tests.reference.reader import Meaning, Reader


def meaning(condition: str) -> Meaning:
    """Whether the condition holds, asked with `all_facts`; an empty one holds for every task."""
    reader = Reader(set(), set())
    reader.read(f"forbid region: any{f' when {condition}' if condition else ''}\n")
    (rule,) = reader.rules
    return rule.when
