"""What holds threads, locks or connections -> the same, usable in the child of a fork.

A child has none of its parent's threads, may find a lock taken for ever, and must neither use nor close a
connection that its parent goes on using.
"""

import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_begin_again: "weakref.WeakKeyDictionary[Any, Callable[[Any], None]]" = weakref.WeakKeyDictionary()
_inherited: list[object] = []


def after_fork(owner: T, begin_again: Callable[[T], None]) -> None:
    """Call `begin_again(owner)` in every child, as long as `owner` lives."""
    _begin_again[owner] = begin_again


def never_close(*connections: object) -> None:
    """Keep these until the process ends, so that nothing closes them."""
    _inherited.extend(connection for connection in connections if connection is not None)


def _in_child() -> None:
    for owner, begin_again in tuple(_begin_again.items()):
        begin_again(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
