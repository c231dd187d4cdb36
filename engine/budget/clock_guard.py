"""The wall clock against the machine's uptime: a clock that jumped ahead would put charges into the wrong
window."""

from engine.budget.errors import ClockSuspect
from engine.budget.store import Session, integer

_TOLERANCE_US = 5 * 60 * 1_000_000


class ClockGuard:
    """Remembers wall clock minus uptime as first seen in this boot: in the store, or here where boots have no
    name."""

    def __init__(self, boot_id: str) -> None:
        self._boot_id = boot_id
        self._anchor_us: int | None = None

    def refuse_jump(self, session: Session) -> None:
        """Raises ClockSuspect when the wall clock is further ahead of the uptime than it was."""
        # A pause between two readings never looks like a jump: it only makes the clock seem late here, the
        # anchor early.
        before_us, after_us = session.read_between_us
        offset_us = session.now_us - after_us
        anchor_us = self._anchor(session, session.now_us - before_us)
        if offset_us - anchor_us > _TOLERANCE_US:
            ahead_s = (offset_us - anchor_us) // 1_000_000
            raise ClockSuspect(f"the clock is {ahead_s} s ahead of the machine's uptime")

    def accept(self, session: Session) -> int:
        """Take the wall clock as it is now for right; the new anchor, for `accepted` once it is committed."""
        offset_us = session.now_us - session.read_between_us[0]
        if self._boot_id:
            session.run(
                "INSERT INTO ledger_clock_anchors (boot_id, offset_us) VALUES (?, ?) "
                "ON CONFLICT (boot_id) DO UPDATE SET offset_us = excluded.offset_us",
                (self._boot_id, offset_us),
            )
        return offset_us

    def accepted(self, anchor_us: int) -> None:
        """Remember the anchor that was committed."""
        self._anchor_us = anchor_us

    def _anchor(self, session: Session, offset_us: int) -> int:
        """Wall clock minus uptime, as first seen in this boot."""
        if not self._boot_id:
            if self._anchor_us is None:
                self._anchor_us = offset_us
            return self._anchor_us
        select = "SELECT offset_us FROM ledger_clock_anchors WHERE boot_id = ?"
        known = session.rows(select, (self._boot_id,))
        if known:
            return integer(known[0][0])
        session.run(
            "INSERT INTO ledger_clock_anchors (boot_id, offset_us) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (self._boot_id, offset_us),
        )
        return offset_us
