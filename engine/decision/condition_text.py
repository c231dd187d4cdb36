"""Some values of one fact -> the condition that holds for them and for no others, as an author writes it.

Behind the edges of the tree and the regions of the analysis. What is printed stands for the whole class: a
name that stands for all that nobody mentions is never printed in their place.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from engine.decision.cubes import OTHER, Edge
from engine.decision.facts import format_value
from engine.language.vocabulary import TERMS, WEEKDAYS, Day, Fact, Kind
from engine.language.wording import quoted, written_name

_NEVER_BARE = {"not", "any", "all", "empty", *TERMS}


def condition_name(name: str) -> str:
    """A name as a condition takes it: quoted where it would be read as something else."""
    return quoted(name) if name in _NEVER_BARE else written_name(name)


# --- Names ----------------------------------------------------------------------------------------------


class NameClass(NamedTuple):
    """One of these names (`inside`), or any other name than these."""

    names: tuple[str, ...]
    inside: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """As an edge of the tree has it, behind the name of the fact: `low` or `medium`, `not in [a, b]`."""
        written = tuple(map(condition_name, self.names))
        if self.inside:
            return written
        return (f"not {written[0]}",) if len(written) == 1 else (f"not in [{', '.join(written)}]",)


def class_of(chosen: Mapping[str, bool], others: bool, closed: Sequence[str] | None) -> NameClass:
    """The shorter of the two ways to say it. `chosen` says of each mentioned name whether it is in the class,
    `others` whether the names that nobody mentions are; `closed` lists all there are, where that is known."""
    if closed is None:
        return NameClass(tuple(name for name, inside in chosen.items() if inside is not others), not others)
    names = tuple(name for name in closed if chosen.get(name, others))
    left_out = tuple(name for name in closed if not chosen.get(name, others))
    if (len(left_out) == 1 and len(names) > 1) or (left_out and len(left_out) < len(names) // 2):
        return NameClass(left_out, inside=False)
    return NameClass(names, inside=True)


def names_condition(fact: Fact, some: NameClass, closed: Sequence[str] | None) -> str:
    """`task.type not in [qa, code]`, `task.criticality in medium..critical`, `not task.tool_use_required`."""
    names, inside = some
    if fact.kind is Kind.FLAG:
        return fact.name if ("yes" in names) is inside else f"not {fact.name}"
    if fact.kind is Kind.ORDERED and closed is not None:
        is_in = [(name in names) is inside for name in closed]
        if sum(is_in) > 2 and (ends := _ends_of_run(fact, is_in)) is not None:
            return f"{fact.name} in {closed[ends[0]]}..{closed[ends[1]]}"
    written = [condition_name(name) for name in names]
    if len(written) == 1:
        return f"{fact.name} is {'' if inside else 'not '}{written[0]}"
    return f"{fact.name} {'' if inside else 'not '}in [{', '.join(written)}]"


def _ends_of_run(fact: Fact, is_in: Sequence[bool]) -> tuple[int, int] | None:
    """The first and last place of one unbroken run; weekdays go round."""
    size = len(is_in)
    starts = [place for place in range(size) if is_in[place] and not is_in[place - 1]]
    ends = [place for place in range(size) if is_in[place] and not is_in[(place + 1) % size]]
    if len(starts) != 1 or (starts[0] > ends[0] and fact.scale != WEEKDAYS):
        return None
    return starts[0], ends[0]


# --- Numbers --------------------------------------------------------------------------------------------


class Stretch(NamedTuple):
    """Numbers from one edge up to another; None where there is no end."""

    low: Edge | None
    high: Edge | None


def numbers_condition(fact: Fact, stretches: Sequence[Stretch]) -> str:
    """`task.context_size > 8k and task.context_size <= 32k`, `clock.hour in 22..6`."""
    parts = [" and ".join(f"{fact.name} {each}" for each in both) for both in _comparisons(fact, stretches)]
    return parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"


def number_labels(fact: Fact, stretches: Sequence[Stretch]) -> tuple[str, ...]:
    """As an edge of the tree has it, behind the name of the fact: `> 8k and <= 32k`, `in 22..6`."""
    return tuple(" and ".join(both) for both in _comparisons(fact, stretches))


def _comparisons(fact: Fact, stretches: Sequence[Stretch]) -> list[list[str]]:
    """For each stretch the comparisons that hold in it together."""
    if fact.kind is Kind.HOUR:
        return [[hours] for hours in _hours(stretches)]
    return [_ends(fact, each) for each in stretches]


def _hours(stretches: Sequence[Stretch]) -> list[str]:
    """`in 22..6` begins with its first hour and ends before its last; it may go round midnight."""
    runs = [
        (0 if low is None else int(low[0]), 24 if high is None else int(high[0])) for low, high in stretches
    ]
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][1] == 24:
        runs = [(runs[-1][0], runs[0][1]), *runs[1:-1]]
    parts = []
    for begin, end in runs:
        if begin == 0:
            parts.append(f"< {end}")
        elif end == 24:
            parts.append(f">= {begin}")
        else:
            parts.append(f"in {begin}..{end}")
    return parts


def _ends(fact: Fact, stretch: Stretch) -> list[str]:
    parts = []
    is_whole = fact.kind is not Kind.PERCENT
    if stretch.low is not None:
        value, side = stretch.low
        # Whoever wrote `> 32k` meant 32,001 and up.
        if fact.kind is Kind.TOKENS and value % 1000 == 1 and value > 1:
            parts.append(f"> {_number(fact, value - 1)}")
        else:
            parts.append(f"{'>' if side else '>='} {_number(fact, value)}")
    if stretch.high is not None:
        value, side = stretch.high
        if is_whole and fact.kind is not Kind.DATE and value % 1000:
            parts.append(f"<= {_number(fact, value - 1)}")
        else:
            parts.append(f"{'<=' if side else '<'} {_number(fact, value)}")
    return parts


def _number(fact: Fact, value: int | Decimal) -> str:
    match fact.kind:
        case Kind.PERCENT:
            return format_value(Decimal(value))
        case Kind.DATE:
            return str(Day(value))
        case Kind.TOKENS if value and value % 1_000_000 == 0:
            return f"{value // 1_000_000}M"
        case Kind.TOKENS if value and value % 1000 == 0:
            return f"{value // 1000}k"
        case _:
            return str(value)


# --- Sets -----------------------------------------------------------------------------------------------


def set_condition(fact: str, present: Sequence[str], absent: Sequence[str]) -> str:
    """All of some elements are there and none of some others.

    The language speaks of the elements that nobody mentions (OTHER) only by `is empty`: where these are
    asked for, all that are mentioned must be known to be absent.
    """
    if OTHER in absent:
        return f"{fact} is empty"
    parts = [f"{fact} is not empty"] if OTHER in present else []
    named = [condition_name(element) for element in present if element != OTHER]
    if named:
        parts.append(f"{fact} has {_one_or_all(named, 'all')}")
    if absent:
        parts.append(f"not {fact} has {_one_or_all([condition_name(each) for each in absent], 'any')}")
    return " and ".join(parts)


def set_title(fact: str, elements: Sequence[str]) -> str:
    """Some of these elements are there: `task.labels has any [pii, secret]`.

    Elements that nobody mentions are asked for last, where all others are absent, or together with all that
    are not: there `is not empty` says it.
    """
    if OTHER in elements:
        return f"{fact} is not empty"
    return f"{fact} has {_one_or_all([condition_name(each) for each in elements], 'any')}"


def _one_or_all(names: Sequence[str], word: str) -> str:
    return names[0] if len(names) == 1 else f"{word} [{', '.join(names)}]"
