"""One mapping of a YAML document -> typed values with their places.

A value of the wrong type reads as if it were absent: the schema has said so already, and what is left of the
file is still worth checking.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.config.yaml_source import Document, Path
from engine.language.source import Span


@dataclass(frozen=True, slots=True)
class Section:
    """The mapping at a path; empty when there is none."""

    document: Document
    path: Path
    value: dict[str, Any]

    @classmethod
    def of(cls, document: Document) -> "Section":
        return cls(document, (), _mapping(document.value))

    def __contains__(self, key: str) -> bool:
        return self.value.get(key) is not None

    @property
    def span(self) -> Span:
        """Where it is named: its key, or in a list the member itself."""
        return self.document.key(*self.path)

    def at(self, key: str) -> Span:
        return self.document.at(*self.path, key)

    def key(self, key: str) -> Span:
        return self.document.key(*self.path, key)

    def section(self, key: str) -> "Section":
        return Section(self.document, (*self.path, key), _mapping(self.value.get(key)))

    def sections(self) -> Iterator[tuple[str, "Section"]]:
        """Every member by its name."""
        return ((key, self.section(key)) for key in self.value)

    def members(self, key: str) -> Iterator["Section"]:
        """Every mapping of a list of mappings."""
        for index, member in enumerate(_list(self.value.get(key))):
            if isinstance(member, dict):
                yield Section(self.document, (*self.path, key, index), member)

    def names(self, key: str) -> list[tuple[str, Span]]:
        """Every word of a list of words."""
        path = (*self.path, key)
        words = enumerate(_list(self.value.get(key)))
        return [(word, self.document.at(*path, index)) for index, word in words if isinstance(word, str)]

    def text(self, key: str) -> str | None:
        value = self.value.get(key)
        return value if isinstance(value, str) else None

    def whole(self, key: str) -> int | None:
        value = self.value.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def decimal(self, key: str) -> Decimal | None:
        value = self.value.get(key)
        is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
        return Decimal(value) if is_number and value is not None else None

    def flag(self, key: str) -> bool | None:
        """`true` and `false`, and the words `yes` and `no`."""
        value = self.value.get(key)
        return value if isinstance(value, bool) else {"yes": True, "no": False}.get(value or "")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
