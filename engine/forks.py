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
_around: "weakref.WeakKeyDictionary[Any, tuple[Callable[[Any], None], Callable[[Any], None]]]"
_around = weakref.WeakKeyDictionary()
_inherited: list[object] = []


def after_fork(owner: T, begin_again: Callable[[T], None]) -> None:
    """Call `begin_again(owner)` in every child, as long as `owner` lives."""
    _begin_again[owner] = begin_again


def around_fork(owner: T, before: Callable[[T], None], in_parent: Callable[[T], None]) -> None:
    """Call `before(owner)` ahead of every fork and `in_parent(owner)` behind it; neither may raise."""
    _around[owner] = before, in_parent


def never_close(*connections: object) -> None:
    """Keep these until the process ends, so that nothing closes them."""
    _inherited.extend(connection for connection in connections if connection is not None)


def _in_child() -> None:
    for owner, begin_again in tuple(_begin_again.items()):
        begin_again(owner)


def _before() -> None:
    for owner, (before, _) in tuple(_around.items()):
        before(owner)


def _in_parent() -> None:
    for owner, (_, in_parent) in tuple(_around.items()):
        in_parent(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
