"""A caller's description of a task -> a checked `TaskProfile`.

Each field states the fact of the same name: its checks are made from the fact's row, and an import fails when
a field and a row do not match.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields

from engine.errors import EngineError
from engine.language.vocabulary import HIGHEST, LOWEST, MOST, NOBODY, Fact, FactOrigin, Kind, given_by


class InvalidTask(EngineError, ValueError):  # noqa: N818
    """A TaskProfile with a value that it cannot have; the message lists the values that exist."""


@dataclass(frozen=True, slots=True)
class TaskProfile:
    """One task, as the policy sees it.

    `context_size` counts the tokens that the exchange needs in the window, prompt and reply; the router
    raises it to its own estimate of the messages. `labels` and `needs` may be any iterables of names; the
    router adds the needs that a request shows (an image needs `vision`). `key` (a tenant, a
    session) makes `task.bucket` stable, so that a gradual move treats one key always alike; it is never
    stored.

    `attempt` counts the caller's earlier tries, `avoid_models` names models that must not answer, `group` is
    one of `groups` in policies.yaml, `asked_model` the model that a caller named. `session` names the session
    that the call belongs to, `agent` the agent in it and `parent_agent` the agent that started that one: keys
    of budgets and labels, which no policy can compare and no log holds as they are.

    Raises InvalidTask for a value that the fact of the same name cannot have; whether the policy knows the
    task type and the labels is checked when the task is planned.
    """

    task_type: str
    criticality: str = "medium"
    latency_sensitivity: str = "medium"
    context_size: int = 0
    tool_use_required: bool = False
    budget_sensitivity: str = "medium"
    labels: Iterable[str] = frozenset()
    needs: Iterable[str] = frozenset()
    key: str | None = None
    attempt: int = 0
    avoid_models: Iterable[str] = frozenset()
    group: str = NOBODY
    asked_model: str = NOBODY
    session: str | None = field(default=None, repr=False)
    agent: str | None = field(default=None, repr=False)
    parent_agent: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in _SETS:
            if type(value := getattr(self, name)) is not frozenset or value:
                object.__setattr__(self, name, _set_of_names(name, value))
        for name, is_possible, fact in _CHECKS:
            if not is_possible(value := getattr(self, name)):
                raise InvalidTask(f"{name} is {_wanted(fact)}, not {_short(value)}")
        if self.key is not None and not isinstance(self.key, str):
            raise InvalidTask(f"key is text, such as a tenant or a session, not {_short(self.key)}")
        for name in ("session", "agent", "parent_agent"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise InvalidTask(f"{name} is text that names it, not {_short(value)}")
        if self.parent_agent is not None and self.agent is None:
            raise InvalidTask("parent_agent is the agent that started `agent`, and no agent is named")

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
"""Facts that a caller states, with the parameter that states each; `task.bucket` follows from `key`
instead."""


def _set_of_names(field: str, value: object) -> frozenset[str]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidTask(f"{field} is a list of names, not {_short(value)}")
    names = list(value)
    for name in names:
        if not isinstance(name, str) or not name:
            raise InvalidTask(f"{field} is a list of names, and {_short(name)} is none")
    return frozenset(names)


def _wanted(fact: Fact) -> str:
    """What a value of this fact is, in the caller's terms."""
    if fact.scale:
        return f"one of {', '.join(fact.scale)}"
    match fact.kind:
        case Kind.NAME:
            return f"the name of a {fact.name.replace('.', ' ').replace('_', ' ')}"
        case Kind.FLAG:
            return "True or False"
        case _:
            unit = " of tokens" if fact.kind is Kind.TOKENS else ""
            lowest, highest = LOWEST.get(fact.kind, 0), HIGHEST.get(fact.kind, MOST)
            return f"a whole number{unit} from {lowest} to {highest:,}"


def _check_against_rows() -> None:
    """Raises TypeError when the fields of TaskProfile and the rows of the fact table differ, naming the fact
    or the field."""
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
    stray = defaults.keys() - PROFILE_FIELDS.values() - {"key", "session", "agent", "parent_agent"}
    if stray:
        raise TypeError(f"TaskProfile.{min(stray)} is no fact: the fact table has no row for it")


_check_against_rows()
_STATED = [fact for fact in given_by(FactOrigin.PROFILE) if fact.name in PROFILE_FIELDS]
_SETS = [fact.field for fact in _STATED if fact.kind is Kind.SET]
_CHECKS: list[tuple[str, Callable[[object], bool], Fact]] = [
    (fact.field, fact.test(), fact) for fact in _STATED if fact.kind is not Kind.SET
]


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) > MOST:
        return "a number beyond that"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:70]}..."
