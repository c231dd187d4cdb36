"""The process environment -> the variables this project documents, read once, as typed values.

Only names that docs/folders.md lists, or that the catalogue's `*_env` keys name, are ever looked up; what a
key holds is handed to its provider and shown nowhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from engine.errors import EngineError


class InvalidEnvironment(EngineError, ValueError):  # noqa: N818
    """A documented variable with a value it cannot have; the message names the variable, never a secret."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The documented variables. `None` means not set, or set to nothing.

    Limits are US dollars; `dry_run` means no network and no charge.
    """

    mode: str | None = None
    daily_limit_usd: Decimal | None = None
    monthly_limit_usd: Decimal | None = None
    dry_run: bool = False
    log_level: str | None = None
    config_dir: str | None = None
    state_dir: Path | None = None
    ledger_url: str | None = field(default=None, repr=False)
    _variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Environment":
        """Raises InvalidEnvironment."""
        state_dir = variables.get("ENGINE_STATE_DIR")
        return cls(
            mode=variables.get("MODEL_ROUTING_MODE") or None,
            daily_limit_usd=_dollars(variables, "DAILY_BUDGET_LIMIT"),
            monthly_limit_usd=_dollars(variables, "MONTHLY_BUDGET_LIMIT"),
            dry_run=_yes_or_no(variables, "DRY_RUN_MODE"),
            log_level=variables.get("LOG_LEVEL") or None,
            config_dir=variables.get("ENGINE_CONFIG_DIR") or None,
            state_dir=Path(state_dir) if state_dir else default_state_dir(variables),
            ledger_url=variables.get("ENGINE_LEDGER_URL") or None,
            _variables=variables,
        )

    def value(self, name: str | None) -> str | None:
        """What a variable named by the catalogue holds; None when it is not set or empty."""
        return (self._variables.get(name) or None) if name else None


def default_state_dir(variables: Mapping[str, str]) -> Path | None:
    """The platform's user state folder (XDG base directories); None when even the home folder is unknown."""
    if root := variables.get("XDG_STATE_HOME") or variables.get("LOCALAPPDATA"):
        return Path(root) / "engine"
    home = variables.get("HOME")
    return Path(home) / ".local" / "state" / "engine" if home else None


def _dollars(variables: Mapping[str, str], name: str) -> Decimal | None:
    text = variables.get(name)
    if not text:
        return None
    if not _AMOUNT.fullmatch(text):
        raise InvalidEnvironment(f"{name} is an amount of US dollars such as 10.0, not {text[:40]!r}")
    return Decimal(text.removeprefix("$"))


_AMOUNT = re.compile(r"\$?[0-9]{1,12}(\.[0-9]{1,12})?")


def _yes_or_no(variables: Mapping[str, str], name: str) -> bool:
    text = (variables.get(name) or "false").lower()
    if text not in ("true", "false", "yes", "no", "1", "0"):
        raise InvalidEnvironment(f"{name} is true or false, not {text[:40]!r}")
    return text in ("true", "yes", "1")
