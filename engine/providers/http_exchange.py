"""The record of one HTTP request: its permit, how far it got, how its answer began and ended.

The transport writes it, `error_mapping` reads it: whether a failure came before or after the request was
written decides whether it can have been billed, and no SDK tells that. A call serves one request only, so a
second one under the same permit (a hidden retry, a redirect) is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType

from engine.providers.base import Permit

TAIL_BYTES = 4096
"""Enough for an error that a server ends a good answer with."""

_IN_FORCE: ContextVar[Call | None] = ContextVar("engine_provider_call", default=None)


@dataclass(slots=True, repr=False, eq=False)
class Call:
    """One HTTP request under one permit. `on_life` is called with every part of the answer's body.

    `tail` is the end of the answer's body, as far as read; `ended` is True when the body was read to an end
    that its framing proves, which a connection that is merely closed does not.
    """

    permit: Permit
    connect_s: float
    carries_prompt: bool = True
    on_dispatch: Callable[[], None] | None = None
    on_life: Callable[[], None] | None = None
    used: bool = False
    dispatched: bool = False
    written: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tail: bytes = b""
    ended: bool = False
    objection: tuple[Exception, TracebackType | None] | None = None

    def dispatch(self) -> None:
        """Note that the first byte of the body is about to leave. What `on_dispatch` raises keeps it from
        leaving."""
        if self.on_dispatch is not None:
            try:
                self.on_dispatch()
            except Exception as objection:
                # With the frames it has now: on its way out it would gather those of an SDK, which hold the
                # prompt.
                self.objection = objection, objection.__traceback__
                raise
        self.dispatched = True

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Make this the call that the transport finds, for the time of one await. Never yield inside it."""
        token = _IN_FORCE.set(self)
        try:
            yield
        finally:
            _IN_FORCE.reset(token)


def call_in_force() -> Call | None:
    """The call this task is making now."""
    return _IN_FORCE.get()
