"""A key that cannot be shown by accident."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Final, NoReturn, final

_SHOWN: Final = "Secret(...)"


@final
class Secret:
    """A string that repr, str, format, JSON, copies and pickles never show.

    `reveal` is for the transport alone, at the moment the header is written. A pickled or copied secret is
    empty.
    """

    __slots__ = ("_read",)

    def __init__(self, value: str) -> None:
        # INVARIANT: the value lives in a closure, so that no walk over attributes or slots meets it.
        self._read: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        """The value itself. Never bind it to a local variable of a frame that can raise."""
        return self._read()

    def holds(self, fragment: str) -> bool:
        """True when the fragment is part of the value: for taking echoes of a key out of a provider's
        message."""
        return fragment in self._read()

    def fits_a_header(self) -> bool:
        """True when the value is plain printable ASCII without blanks, as every vendor's key is."""
        return self._read().isascii() and self._read().isprintable() and " " not in self._read()

    def __bool__(self) -> bool:
        return bool(self._read())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._read().encode(), other._read().encode())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return _SHOWN

    def __str__(self) -> str:
        return _SHOWN

    def __format__(self, spec: str) -> str:
        return _SHOWN

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret, ("",)

    def __iter__(self) -> NoReturn:
        raise TypeError("a secret cannot be iterated over")
