"""A caller's description of a task -> a checked `TaskProfile`.

Each field states the fact of the same name: its checks are made from the fact's row, and an import fails when a field
and a row do not match.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from typing import Any, assert_never

from engine.errors import EngineError
from engine.language.vocabulary import HIGHEST, MOST, Fact, FactOrigin, Kind, given_by


class InvalidTask(EngineError, ValueError):  # noqa: N818
    """A TaskProfile with a value that it cannot have; the message lists the values that exist."""


@dataclass(frozen=True, slots=True)
class TaskProfile:
    """One task, as the policy sees it.

    `context_size` counts the tokens that the exchange needs in the window, prompt and reply; the router raises it to its
    own estimate of the messages. `labels` may be any iterable of names. `key` (a tenant, a session) makes `task.bucket`
    stable, so that a gradual move treats one key always alike; it is never stored.

    Raises InvalidTask for a value that the fact of the same name cannot have; whether the policy knows the task type and
    the labels is checked when the task is planned.
    """

    task_type: str
    criticality: str = "medium"
    latency_sensitivity: str = "medium"
    context_size: int = 0
    tool_use_required: bool = False
    budget_sensitivity: str = "medium"
    labels: Iterable[str] = frozenset()
    key: str | None = None

    def __post_init__(self) -> None:
        for field, check in _CHECKS:
            value = getattr(self, field)
            checked = check(value)
            if checked is not value:
                object.__setattr__(self, field, checked)
        if self.key is not None and not isinstance(self.key, str):
            raise InvalidTask(f"key is text, such as a tenant or a session, not {_short(self.key)}")

    @property
    def bucket(self) -> int | None:
        """0 to 99, the same for the same key on every machine and in every version; None without a key."""
        if self.key is None:
            return None
        return (
            int.from_bytes(hashlib.sha256(self.key.encode(errors="surrogatepass")).digest()[:8], "big") % 100
        )


PROFILE_FIELDS: dict[str, str] = {
    fact.name: fact.field
    for fact in given_by(FactOrigin.PROFILE)
    if fact.field in {field.name for field in fields(TaskProfile)}
}
"""Facts that a caller states, with the parameter that states each; `task.bucket` follows from `key` instead."""


def _check_of(fact: Fact) -> Callable[[Any], object]:
    """A function that gives back a value of this fact as the profile holds it, and raises InvalidTask for any other."""
    field, scale = fact.field, fact.scale

    def name(value: object) -> object:
        if not isinstance(value, str) or not value:
            raise InvalidTask(f"{field} is the name of a {fact.name.replace('.', ' ')}, not {_short(value)}")
        return value

    def one_of_scale(value: object) -> object:
        if value not in scale:
            raise InvalidTask(f"{field} is one of {', '.join(scale)}, not {_short(value)}")
        return value

    def whole_number(value: object) -> object:
        most = HIGHEST.get(fact.kind, MOST)
        if type(value) is not int or not 0 <= value <= most:
            unit = " of tokens" if fact.kind is Kind.TOKENS else ""
            raise InvalidTask(f"{field} is a whole number{unit} from 0 to {most:,}, not {_short(value)}")
        return value

    def flag(value: object) -> object:
        if type(value) is not bool:
            raise InvalidTask(f"{field} is True or False, not {_short(value)}")
        return value

    def names(value: object) -> object:
        if type(value) is frozenset and not value:
            return value
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise InvalidTask(f"{field} is a list of names, not {_short(value)}")
        listed = list(value)
        for each in listed:
            if not isinstance(each, str) or not each:
                raise InvalidTask(f"{field} is a list of names, and {_short(each)} is none")
        return frozenset(listed)

    match fact.kind:
        case Kind.NAME | Kind.ORDERED:
            return one_of_scale if scale else name
        case Kind.FLAG:
            return flag
        case Kind.SET:
            return names
        case Kind.TOKENS | Kind.HOUR | Kind.BUCKET:
            return whole_number
        case Kind.PERCENT | Kind.PRICE | Kind.DOLLARS:
            raise TypeError(f"{fact.name}: a profile cannot hold {fact.kind.value}")
        case _:
            assert_never(fact.kind)


def _check_against_rows() -> None:
    """Raises TypeError when the fields of TaskProfile and the rows of the fact table differ, naming the fact or the field."""
    defaults = {field.name: field.default for field in fields(TaskProfile)}
    for fact in given_by(FactOrigin.PROFILE):
        if fact.field in defaults:
            expected = MISSING if fact.must_be_given else fact.default
            if defaults[fact.field] != expected:
                raise TypeError(
                    f"{fact.name}: TaskProfile.{fact.field} has another default than the fact's row"
                )
        elif not isinstance(getattr(TaskProfile, fact.field, None), property):
            raise TypeError(f"{fact.name}: TaskProfile has no field {fact.field}")
    stray = defaults.keys() - PROFILE_FIELDS.values() - {"key"}
    if stray:
        raise TypeError(f"TaskProfile.{min(stray)} is no fact: the fact table has no row for it")


_check_against_rows()
_CHECKS = tuple(
    (fact.field, _check_of(fact)) for fact in given_by(FactOrigin.PROFILE) if fact.name in PROFILE_FIELDS
)


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) > MOST:
        return "a number beyond that"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:70]}..."
