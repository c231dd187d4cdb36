"""What the router says of itself to Python's logging, under the name `engine`: every sentence, in one place.

INVARIANT: names, numbers and classes only; never a prompt, an answer, a key or a provider's own words.
"""

import logging
from collections.abc import Sequence

from engine.config.catalogue import Model
from engine.environment import InvalidEnvironment
from engine.execution.attempt_record import AttemptRecord

LOGGER = logging.getLogger("engine")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def set_level(level: str) -> None:
    """Speak from this level on, on standard error unless the program has a handler of its own. Raises
    InvalidEnvironment."""
    if level.upper() not in LEVELS:
        raise InvalidEnvironment(f"LOG_LEVEL is one of {', '.join(LEVELS)}, not {level!r}")
    LOGGER.setLevel(level.upper())
    if not LOGGER.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        LOGGER.addHandler(handler)


def decided(decision_id: str, chain: Sequence[Model], mode: str) -> None:
    """A decision fell."""
    if LOGGER.isEnabledFor(logging.INFO):
        LOGGER.info(
            "%s: in mode %s: %s", decision_id, mode, " > ".join(model.key for model in chain) or "refused"
        )


def attempted(decision_id: str, record: AttemptRecord) -> None:
    """An attempt is over, or a member was passed over."""
    level = logging.DEBUG if record.outcome in ("answered", "skipped") else logging.WARNING
    if LOGGER.isEnabledFor(level):
        LOGGER.log(
            level,
            "%s: %s at %s %s%s after %.3f s, $%s",
            decision_id,
            record.model.key,
            record.model.provider,
            record.outcome,
            f" ({record.error_class or record.error})" if record.error else "",
            record.duration_s,
            f"{record.cost_usd:f}",
        )


def unsettled(record: AttemptRecord, why: str) -> None:
    """An attempt's charge could not be written down; its reservation stays."""
    LOGGER.error("attempt %s: its charge is not written down (%s); it stays reserved", record.attempt_id, why)


def breached(record: AttemptRecord, what: str) -> None:
    """An attempt cost more than was held for it, or reported more than it can have used."""
    LOGGER.critical("attempt %s at %s: %s", record.attempt_id, record.model.provider, what)


def quarantined(record: AttemptRecord) -> None:
    """A local model answered through a remote host."""
    LOGGER.critical(
        "%s at %s was held to be local and answered through a remote host: it is quarantined",
        record.model.key,
        record.model.provider,
    )


def not_logged(reason: str) -> None:
    """The decision log cannot be written."""
    LOGGER.error("the decision log cannot be written: %s", reason)


def reloaded(digest: str) -> None:
    """Another policy is in force."""
    LOGGER.info("the policy %s is in force", digest)


def not_reloaded(running: str, reason: str) -> None:
    """A changed folder was not taken."""
    LOGGER.error("the changed policy is not taken, %s stays in force: %s", running, reason)
