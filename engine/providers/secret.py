"""A key that cannot be shown by accident."""

from __future__ import annotations

import hmac
from base64 import b64encode, urlsafe_b64encode
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

    def echoes(self, text: str, size: int) -> frozenset[int]:
        """Where in a text a run of `size` characters is part of the value: as it is, reversed, in hexadecimal
        or base64, whatever the case of its letters. For taking a key out of a provider's message."""
        return _echoes(_forms(self._read().encode("utf-8", "replace")), text.lower(), size)

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


def _echoes(forms: str, text: str, size: int) -> frozenset[int]:
    return frozenset(at for at in range(len(text) - size + 1) if text[at : at + size] in forms)


def _forms(value: bytes) -> str:
    """Everything that gives the value away, in lower case, a line each. Base64 has three: what stands before
    the value in the encoded text shifts it."""
    forms = []
    for written in (value, value[::-1]):
        forms += [written.decode("utf-8", "replace"), written.hex(), written.hex(" "), written.hex(":")]
        for shift in range(3):
            forms += [b64encode(written[shift:]).decode(), urlsafe_b64encode(written[shift:]).decode()]
    forms += [form[::-1] for form in forms]
    return "\n".join(form.lower().rstrip("=") for form in forms)
