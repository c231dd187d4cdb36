"""The names that rules look for in an open set -> which of a task's own only look like one of them.

Where labels are open any label may stand, so `PII` would slip past a guard that looks for `pii`.
"""

from collections.abc import Iterable

from engine.language.checked_policy import Has, Rule, walk
from engine.language.lookalikes import looks


class MentionedNames:
    """The elements of `subject`, a set fact, that the conditions of these rules speak of."""

    def __init__(self, rules: Iterable[Rule], subject: str) -> None:
        self.names = frozenset(
            node.element
            for node in walk(rule.condition for rule in rules)
            if isinstance(node, Has) and node.subject == subject
        )
        self._by_look = {look: name for name in sorted(self.names) for look in looks(name)}

    def __bool__(self) -> bool:
        return bool(self.names)

    def misspelt(self, names: frozenset[str]) -> tuple[str, str] | None:
        """The first name that is none of these and looks like one of them, with that one."""
        for name in sorted(names - self.names):
            like = next((self._by_look[look] for look in sorted(looks(name)) if look in self._by_look), None)
            if like is not None:
                return name, like
        return None
