"""What makes a ledger this one: a random id, and how much was ever booked in it, known twice.

Both stand in the ledger and in a small file beside it. A ledger that is gone, is another one, or knows of
less than was booked, would give a spent budget again; it is refused until somebody adopts it. The file beside
the ledger is written after the ledger, so a crash between the two leaves it behind, which is always accepted.
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from engine.budget.errors import LedgerReplaced

_SIZE = 96


@dataclass(frozen=True, slots=True)
class Identity:
    """`count` only ever grows: it is at least the number of paid reservations ever made."""

    ledger_id: str
    count: int


class Sidecar:
    """The file beside a ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Identity | None:
        """What was noted; None when nothing ever was. Raises LedgerReplaced for a damaged file, OSError."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            noted = json.loads(text)
            return Identity(str(noted["ledger_id"]), int(noted["count"]))
        except (ValueError, KeyError, TypeError):
            raise LedgerReplaced(f"{self.path} is damaged, so the ledger cannot be recognised") from None

    def write(self, identity: Identity, *, durable: bool) -> None:
        """Note it in place; `durable`: on disk before this returns. Raises OSError."""
        # By hand, inside the gate that all writers wait at; an id is letters and digits.
        text = f'{{"ledger_id": "{identity.ledger_id}", "count": {identity.count}}}'.ljust(_SIZE) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            os.pwrite(file, text.encode(), 0)
            if durable:
                os.ftruncate(file, len(text))
                os.fsync(file)
        finally:
            os.close(file)

    @staticmethod
    def check(found: Identity | None, noted: Identity | None, where: str) -> None:
        """Raises LedgerReplaced when `found` in the ledger is not what was `noted` beside it."""
        if noted is None or (found is None and noted.count == 0):
            return
        if found is None:
            raise LedgerReplaced(f"{where} is new or empty, and there was one before it")
        if found.ledger_id != noted.ledger_id:
            raise LedgerReplaced(f"{where} is another one than was used here before")
        if found.count < noted.count:
            raise LedgerReplaced(f"{where} is an older copy: bookings are missing")


def new_ledger_id() -> str:
    """A random id."""
    return secrets.token_hex(16)


def set_aside(*paths: Path) -> None:
    """Rename what is there, so that nothing is lost. Raises OSError."""
    for path in paths:
        if path.exists():
            number = 1
            while (aside := path.with_name(f"{path.name}.set-aside-{number}")).exists():
                number += 1
            path.rename(aside)
