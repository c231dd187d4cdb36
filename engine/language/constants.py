"""What stands to the right of a fact or an attribute -> the value it means, or a diagnostic.

Here a name is held against the list it must come from, and a number against its unit and its bounds. Numbers
are read exactly: `32k` is the int 32000, `80%` the Decimal 80.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.known_names import KnownModel, Names
from engine.language.messages import names as name_messages
from engine.language.messages import types as type_messages
from engine.language.source import Span
from engine.language.staying import StayingLabels
from engine.language.versions import Versions
from engine.language.vocabulary import (
    HIGHEST,
    LOWEST,
    NOBODY,
    SESSION_COST,
    TERMS,
    WHOLE,
    Day,
    Kind,
    Term,
    Universe,
    may_be_nobody,
)

BOUNDS: Mapping[Kind, tuple[int, int | None]] = {
    Kind.TOKENS: (0, None),
    Kind.PERCENT: (0, None),
    Kind.COUNT: (0, None),
    Kind.HOUR: (0, 23),
    Kind.MINUTE: (0, 59),
    Kind.TIME: (0, 24 * 60 - 1),
    Kind.DAY: (1, 31),
    Kind.DATE: (LOWEST[Kind.DATE], HIGHEST[Kind.DATE]),
    Kind.BUCKET: (0, 99),
    Kind.PRICE: (0, None),
    Kind.DOLLARS: (0, None),
}
"""The least and the greatest value of each kind of number."""

_UNITS: Mapping[Kind, frozenset[str]] = {
    Kind.TOKENS: frozenset({"", "k", "M"}),
    Kind.PERCENT: frozenset({"%"}),
    Kind.COUNT: frozenset({""}),
    Kind.HOUR: frozenset({""}),
    Kind.MINUTE: frozenset({""}),
    Kind.DAY: frozenset({""}),
    Kind.BUCKET: frozenset({""}),
    Kind.PRICE: frozenset({"", "$"}),
    Kind.DOLLARS: frozenset({"", "$"}),
}
_THOUSANDS = {"k": 1_000, "M": 1_000_000}
_IS_MOMENT = re.compile("[-:]")
_NUMBER = re.compile(r"(\$?)([0-9]+(?:\.[0-9]+)?)([kM%]?)")
# Enough for any price, share or count of tokens, and so few that sums and products of these stay exact
# everywhere.
_MOST_DIGITS = 18

# Names compared, over a whole run, to find similar ones: 20 microseconds each. After that the names are only
# listed.
_MOST_SIMILARITY = 50_000

# A name of these that no model has is only a warning.
_OPEN_BUT_LISTED: frozenset[Universe] = frozenset({"capabilities", "zones", "tags"})


class Constants:
    """Reads names and numbers as values of a term.

    `forgiving` is set while lowered YAML is read: what it names is checked where the YAML is read, with that
    file's rules, so here an unknown name is accepted.
    """

    def __init__(self, names: Names, problems: Problems, versions: Versions) -> None:
        self.names = names
        self.problems = problems
        self.versions = versions
        self.staying = StayingLabels(names)
        self.forgiving = False
        self.providers = frozenset(names.providers)
        self.limited_providers = frozenset(names.limited_providers)
        self._models = _models_by_spelling(names.models)
        # Models are found by their spelling.
        self._listed = {
            term.universe: names.known_values(term)
            for term in TERMS.values()
            if term.universe not in (None, "scale", "models")
        }
        self._known = {
            universe: None if listed is None else frozenset(listed)
            for universe, listed in self._listed.items()
        }
        self._similarity_left = _MOST_SIMILARITY
        self._label_spellings: dict[str, tuple[str, Span]] = {}
        self._read: dict[str, tuple[str, Decimal] | None] = {}
        self._good: dict[tuple[Kind, str], int | Decimal] = {}

    def subject(self, term: Term, span: Span) -> str:
        """What a comparison written here is about."""
        is_session = term.name == "model.call_cost" and self.versions.says(span, "1.1")
        return SESSION_COST if is_session else term.name

    # --- Names ---

    def listed(self, term: Term) -> tuple[str, ...]:
        """Every name that `term` can be compared with, where these are listed."""
        if term.universe is None:
            return ()
        return term.scale or self._listed.get(term.universe) or ()

    def name(self, term: Term, value: tree.Value) -> str | None:
        """The name that `value` means as a value or an element of `term`; None after reporting why not."""
        if isinstance(value, tree.Number):
            self.problems.add(type_messages.number_for_name(value.span, term))
            return None
        if isinstance(value, tree.Word) and value.text in TERMS:
            self.problems.add(type_messages.term_as_value(value.span, term.name))
            return None
        universe = term.universe
        text = value.text
        match universe:
            case "models":
                return NOBODY if text == NOBODY and may_be_nobody(term) else self.model(value)
            case "scale":
                if text in term.scale:
                    return text
                self.problems.add(name_messages.unknown_value(value.span, text, term.name, term.scale))
                return None
            case "labels":
                return self._label(value)
            case None:
                raise AssertionError(f"{term.name} has names and no universe")
            case _:
                pass
        known = self._known[universe]
        if known is None or text in known or self.forgiving:
            return text
        if universe in self.names.open:
            return None  # it may be what could not be read
        listed = self._listed[universe] or ()
        if universe in _OPEN_BUT_LISTED:
            self.problems.add(
                name_messages.nobody_has(value.span, text, universe, listed, self.may_search(len(listed)))
            )
            return text
        self._unknown(value, universe, listed)
        return None

    def element(self, term: Term, value: tree.Value) -> str | None:
        """A member that a set fact or attribute may have."""
        element = self.name(term, value)
        if (
            element is not None
            and term.name == "budget.exhausted_providers"
            and element not in self.limited_providers
        ):
            self.problems.add(type_messages.never_exhausted(value.span, element))
        return element

    def _unknown(self, value: tree.Word | tree.Text, universe: Universe, listed: Sequence[str]) -> None:
        places = self.names.places
        self.problems.add(
            name_messages.unknown_member(
                value.span, value.text, universe, listed, places, self.may_search(len(listed))
            )
        )

    def may_search(self, among: int) -> bool:
        """Whether a name similar to an unknown one is still to be looked for among so many."""
        self._similarity_left -= among
        return self._similarity_left >= 0

    def _label(self, value: tree.Word | tree.Text) -> str | None:
        text = value.text
        known = self._known["labels"]
        if known is not None:
            if text in known or self.forgiving:
                return text
            self._unknown(value, "labels", self._listed["labels"] or ())
            return None
        first, place = self._label_spellings.setdefault(text.casefold(), (text, value.span))
        if first != text:
            self.problems.add(name_messages.label_case(value.span, text, first, place))
        return text

    def models_called(self, text: str) -> tuple[KnownModel, ...]:
        """The models that this spelling can mean: none, one, or one for each provider that has the id."""
        return self._models.get(text, ())

    def model(self, value: tree.Word | tree.Text) -> str | None:
        """The key of the model that is meant."""
        found = self.models_called(value.text)
        if len(found) == 1:
            return found[0].key
        if found:
            self.problems.add(
                name_messages.ambiguous_model(value.span, value.text, [model.key for model in found])
            )
        elif self.forgiving:
            return value.text
        elif "models" not in self.names.open:
            self._unknown(value, "models", [model.key for model in self.names.models])
        return None

    # --- Numbers ---

    def number(self, term: Term, value: tree.Value) -> int | Decimal | None:
        """The number that `value` means for `term`: an int where it counts whole things, else a Decimal."""
        kind = term.kind
        if not isinstance(value, tree.Number):
            self.problems.add(type_messages.name_for_number(value.span, term.name, kind))
            return None
        known = self._good.get((kind, value.text))
        if known is not None:
            return known
        if kind in (Kind.DATE, Kind.TIME):
            return self._moment(term, value)
        if _IS_MOMENT.search(value.text):
            self.problems.add(type_messages.moment_for_number(value.span, value.text, term.name, kind))
            return None
        read = self._unit_and_amount(value)
        if read is None:
            return None
        unit, amount = read
        if unit not in _UNITS[kind]:
            self.problems.add(type_messages.wrong_unit(value.span, value.text, term.name, kind))
            return None
        if kind not in WHOLE:
            self._good[kind, value.text] = amount
            return amount
        whole = Fraction(amount) * _THOUSANDS.get(unit, 1)
        if whole.denominator != 1:
            self.problems.add(type_messages.not_whole(value.span, value.text, term.name, kind))
            return None
        least, greatest = BOUNDS[kind]
        if whole.numerator < least or (greatest is not None and whole.numerator > greatest):
            self.problems.add(type_messages.out_of_range(value.span, value.text, term.name, kind))
            return None
        self._good[kind, value.text] = whole.numerator
        return whole.numerator

    def _moment(self, term: Term, value: tree.Number) -> int | None:
        """A date as its day, a time as its minute of the day."""
        try:
            if term.kind is Kind.DATE:
                return Day.read(value.text)
            hour, minute = map(int, value.text.split(":"))
            if hour < 24 and minute < 60:
                return 60 * hour + minute
        except ValueError:
            pass
        self.problems.add(type_messages.no_such_moment(value.span, value.text, term.name, term.kind))
        return None

    def plain(self, value: tree.Number, what: str) -> Decimal | None:
        """A decimal without a unit: points, weights."""
        read = self._unit_and_amount(value)
        if read is None:
            return None
        unit, amount = read
        if unit:
            self.problems.add(type_messages.unit_on_plain_number(value.span, value.text, what))
            return None
        return amount

    def _unit_and_amount(self, value: tree.Number) -> tuple[str, Decimal] | None:
        text = value.text
        if text not in self._read:
            self._read[text] = _unit_and_amount(text)
        read = self._read[text]
        if read is None:
            self.problems.add(type_messages.number_too_long(value.span, _MOST_DIGITS))
        return read


def _models_by_spelling(models: tuple[KnownModel, ...]) -> dict[str, tuple[KnownModel, ...]]:
    """Key, id and PROVIDER/ID of each model; what is the key of one model means no other."""
    spelt: dict[str, tuple[KnownModel, ...]] = {}
    for model in models:
        for text in {model.id, f"{model.provider}/{model.id}"}:
            spelt[text] = (*spelt.get(text, ()), model)
    spelt.update({model.key: (model,) for model in models})
    return spelt


def _unit_and_amount(text: str) -> tuple[str, Decimal] | None:
    match = _NUMBER.fullmatch(text)
    if match is None or len(match[2]) > _MOST_DIGITS + 1:
        return None
    return match[1] or match[3], Decimal(match[2])
