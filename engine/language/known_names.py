"""The names that a policy folder makes known: its modes, models, providers, and every list that is closed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.language.source import Span
from engine.language.vocabulary import NEEDS, NOBODY, SESSION_SHARES, Term, may_be_nobody


@dataclass(frozen=True, slots=True)
class ModeMeaning:
    """What `mode.allow_cloud` and `mode.cloud_usage` stand for under one mode."""

    allow_cloud: bool
    cloud_usage: str


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model as the language sees it: `key` is how it is written everywhere: the id where it is unique, else
    provider/id."""

    key: str
    id: str
    provider: str


@dataclass(frozen=True, slots=True)
class Names:
    """Every name that the catalogue and the settings make known to a policy.

    `task_types` and `labels` are None when open. `limited_providers` have a per-provider budget, and so are
    the only ones that can be in `budget.exhausted_providers`. `unlimited` are the facts of a session's,
    agent's or group's budget that is not limited: their share is always 0%. `staying` are the labels of a
    session that stay, None when all do. `places` says where a name is declared, by (universe, name), for
    "declared here". `open` are the universes of which something could not be read: a name that is not known
    is taken for that.
    """

    modes: Mapping[str, ModeMeaning]
    default_mode: str
    providers: tuple[str, ...]
    models: tuple[KnownModel, ...]
    task_types: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    limited_providers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    unlimited: frozenset[str] = SESSION_SHARES
    staying: frozenset[str] | None = frozenset()
    places: Mapping[tuple[str, str], Span] = field(default_factory=dict, compare=False, repr=False)
    open: frozenset[str] = frozenset()

    @property
    def needs(self) -> tuple[str, ...]:
        """What a task can need: what a request can show, and every capability of the catalogue."""
        return tuple(dict.fromkeys((*NEEDS, *self.capabilities)))

    def known_values(self, term: Term) -> tuple[str, ...] | None:
        """The closed list that a value of the term comes from, or None where any value will do."""
        match term.universe:
            case "scale":
                return term.scale
            case "modes":
                return tuple(self.modes)
            case "models":
                keys = tuple(model.key for model in self.models)
                return (*keys, NOBODY) if may_be_nobody(term) else keys
            case "groups":
                return (*self.groups, NOBODY)
            case None:
                return None
            case universe:
                listed: tuple[str, ...] | None = getattr(self, universe)  # named as its field is
                return listed
