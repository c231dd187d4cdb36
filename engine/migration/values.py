"""What an expression of the scanned code may evaluate to, as far as finding model calls needs to know.

Each expression has a set of these values; the empty set means that nothing is known of it.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

UNKNOWN: "Values" = frozenset()
MOST_VALUES = 12


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a call or an item of a container: its expression, the file it is in, and its values."""

    node: ast.expr
    file: str
    values: "Values"


Keywords: TypeAlias = tuple[tuple[str, Argument], ...]


@dataclass(frozen=True, slots=True)
class ExternalName:
    """A module that is not scanned, or a name inside one: `anthropic.AsyncAnthropic`."""

    path: str


@dataclass(frozen=True, slots=True)
class ExternalObject:
    """What calling the external name `path` returned, and the attributes read from it since.

    `client.messages.create` has the attributes (messages, create). `created_at` is file, line and column of
    the call; None where only an annotation names the type.
    """

    path: str
    attributes: tuple[str, ...]
    keywords: Keywords
    created_at: tuple[str, int, int] | None


@dataclass(frozen=True, slots=True)
class ScannedModule:
    """A scanned module, or a package that contains some."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a scanned file, by file and qualified name. `owner` is the class whose instance it
    is bound to."""

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
class Container:
    """A dict with constant keys, or a list or tuple with its positions as keys."""

    items: tuple[tuple[str, Argument], ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    value: str | int | float | bool | None


Value: TypeAlias = (
    ExternalName
    | ExternalObject
    | ScannedModule
    | Function
    | Class
    | Instance
    | Partial
    | Container
    | Constant
)
Values: TypeAlias = frozenset[Value]


def single(value: Value) -> Values:
    """The set of one value."""
    return frozenset((value,))


def union(first: Values, second: Values) -> Values:
    """The values of both, or the first alone where both have so many that they say nothing any more."""
    both = first | second
    return both if len(both) <= MOST_VALUES else first


def union_of(sets: Iterable[Values]) -> Values:
    """The values of all sets, one after the other."""
    return reduce(union, sets, UNKNOWN)


def override(keywords: Keywords, more: Keywords) -> Keywords:
    """Both; of two with the same name, the later."""
    return tuple(({**dict(keywords), **dict(more)}).items())


def items_at(containers: Values, key: str) -> Values:
    """The values under this key."""
    return union_of(argument.values for name, argument in _items(containers) if name == key)


def members(containers: Values) -> Values:
    """The values under any key."""
    return union_of(argument.values for _, argument in _items(containers))


def argument_values(keywords: Keywords, name: str) -> Values:
    """The values of one keyword argument."""
    return next((argument.values for keyword, argument in keywords if keyword == name), UNKNOWN)


def _items(containers: Values) -> Iterator[tuple[str, Argument]]:
    for container in containers:
        if isinstance(container, Container):
            yield from container.items
