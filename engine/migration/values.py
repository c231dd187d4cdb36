"""What an expression of the scanned code may stand for, as far as finding calls needs to know.

A set of these stands for each expression; the empty set means: nothing we know of.
"""

import ast
from dataclasses import dataclass
from typing import TypeAlias

NOTHING: "Values" = frozenset()
MOST_VALUES = 12


@dataclass(frozen=True, slots=True)
class Argument:
    """One keyword argument: where it is written, and what it may stand for. `module` is the file it is written in."""

    node: ast.expr
    file: str
    values: "Values"


Keywords: TypeAlias = tuple[tuple[str, Argument], ...]


@dataclass(frozen=True, slots=True)
class Outside:
    """A module that is not scanned, or anything inside one: `anthropic.AsyncAnthropic`."""

    path: str


@dataclass(frozen=True, slots=True)
class Made:
    """What a call of something outside gave, and the attributes taken of it since: `client.messages.create`."""

    path: str
    trail: tuple[str, ...]
    keywords: Keywords
    born: tuple[str, int, int] | None
    """File, line and column of the call that made it; None where only an annotation says so."""


@dataclass(frozen=True, slots=True)
class Home:
    """A scanned module, or a package that holds some."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a scanned file, by file and qualified name; `owner` is the class it is taken from an instance of."""

    key: str
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Class:
    """A class of a scanned file."""

    key: str


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of a class of a scanned file."""

    key: str


@dataclass(frozen=True, slots=True)
class Partial:
    """`functools.partial(callee, **keywords)`."""

    callee: "Value"
    keywords: Keywords


@dataclass(frozen=True, slots=True)
class Table:
    """A dict with constant keys, or a list or tuple by place."""

    items: tuple[tuple[str, Argument], ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    value: str | int | float | bool | None


Value: TypeAlias = Outside | Made | Home | Function | Class | Instance | Partial | Table | Constant
Values: TypeAlias = frozenset[Value]


def one(value: Value) -> Values:
    """The set of one."""
    return frozenset((value,))


def merged(first: Values, second: Values) -> Values:
    """Either, unless that is so much that it says nothing."""
    both = first | second
    return both if len(both) <= MOST_VALUES else first


def with_keywords(keywords: Keywords, more: Keywords) -> Keywords:
    """The later win."""
    return tuple(({**dict(keywords), **dict(more)}).items())
