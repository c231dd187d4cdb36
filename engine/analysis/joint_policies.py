"""Two policies -> both compiled over one space, in which a cube that both have is one cube.

So most of two similar policies cancels out before anything is searched.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.analysis.axes import Domain
from engine.analysis.questions import Asked, Questioned
from engine.decision.compiler import CompiledPolicy, Points, Tier
from engine.decision.cubes import OTHER, Cube, NameSet
from engine.decision.partitions import bits_of, mask_of
from engine.language.checked_policy import Any, Condition, Has
from engine.language.source import Source
from engine.language.vocabulary import GIVEN, Kind
from engine.policy import Policy


class JointCubes:
    """Gives cubes of two policies one numbering, in which equal cubes of rules in the same place of the order
    are one.

    INVARIANT: routes and weighs keep their order within each side, because the lowest bit decides; so only
    cubes that nothing orders (of guards, tiers and preferences) are shared, and those of routes and weighs
    where that keeps both orders.
    """

    def __init__(self) -> None:
        self.cubes: list[Cube] = []
        self._known: dict[frozenset[object], list[int]] = {}
        self._names: list[str] = []

    def renumbered(self, side: CompiledPolicy, policy: Policy, mode: str | None = None) -> CompiledPolicy:
        """One side in this numbering; with `mode`, as it is in that mode alone."""
        ordered = side.routes | side.weighs
        limited = policy.names.limited_providers
        place: dict[int, int | None] = {}
        last = -1
        used: set[int] = set()
        for bit, cube in enumerate(side.cubes):
            cube_here = _projected(cube, limited, mode)
            if cube_here is None:
                place[bit] = None
                continue
            key = frozenset(cube_here.items())
            known = [each for each in self._known.get(key, ()) if each not in used]
            if ordered >> bit & 1:
                known = [each for each in known if each > last]
            name = side.rules[side.owners[bit]].name
            if known:
                number = next((each for each in known if self._names[each] == name), known[0])
            else:
                number = len(self.cubes)
                self.cubes.append(cube_here)
                self._names.append(name)
                self._known.setdefault(key, []).append(number)
            if ordered >> bit & 1:
                last = number
            used.add(number)
            place[bit] = number

        def moved(mask: int) -> int:
            return mask_of(number for bit in bits_of(mask) if (number := place[bit]) is not None)

        owners = {number: side.owners[bit] for bit, number in place.items() if number is not None}
        return replace(
            side,
            cubes=(),
            owners=tuple(owners.get(number, -1) for number in range(len(self.cubes))),
            guards=tuple(map(moved, side.guards)),
            watched=(),
            routes=moved(side.routes),
            weighs=moved(side.weighs),
            tiers={
                route: tuple(_moved_tier(tier, moved) for tier in tiers)
                for route, tiers in side.tiers.items()
            },
            favours=tuple(
                Points(
                    moved(p.mask),
                    tuple((n, moved(m)) for n, m in p.each),
                    tuple((n, moved(m)) for n, m in p.once),
                )
                for p in side.favours
            ),
        )


def _moved_tier(tier: Tier, moved: Callable[[int], int]) -> Tier:
    return Tier(tier.always, tuple((model, moved(mask)) for model, mask in tier.depending))


def _projected(cube: Cube, limited: Sequence[str], mode: str | None) -> Cube | None:
    """The cube where only providers with a limit of this side can be exhausted, in the mode when one is
    given; None when it never holds."""
    result = {}
    for variable, constraint in cube.items():
        if variable == "mode" and mode is not None:
            assert isinstance(constraint, NameSet)
            if (mode in constraint.members) is not constraint.inside:
                return None
        elif (
            isinstance(variable, tuple)
            and variable[0] == "budget.exhausted_providers"
            and variable[1] not in limited
        ):
            if constraint:
                return None
        else:
            result[variable] = constraint
    return result


def elements_beside(policy: Policy, other: Policy, domain: Domain) -> dict[str, list[str]]:
    """The elements of sets that a policy has to know beside another: those that the other asks for, and where
    only the other has a closed list all that are compared. A policy whose own list is open would take a label
    of that list which it never mentions for none of those that there can be."""
    found: dict[str, set[str]] = {}
    for cube in other.compiled.cubes:
        for variable in cube:
            if isinstance(variable, tuple) and variable[1] != OTHER:
                found.setdefault(variable[0], set()).add(variable[1])
    for fact in GIVEN:
        names = domain.closed[fact.name]
        if fact.kind is Kind.SET and names is not None and policy.names.known_values(fact) is None:
            found.setdefault(fact.name, set()).update(names)
    return {fact: sorted(names) for fact, names in found.items()}


_NOWHERE = Source("", "").span(0, 0)


def compiled_knowing(policy: Policy, mentioned: dict[str, list[str]]) -> CompiledPolicy:
    parts: list[Condition] = [
        Has(fact, name, _NOWHERE) for fact, names in mentioned.items() for name in names
    ]
    asked = [Asked(Any(tuple(parts), _NOWHERE))] if parts else []
    return Questioned(policy.checked, policy.catalogue.models, policy.names, asked).compiled


def common_domain(old: Policy, new: Policy) -> Domain:
    mine, other = Domain.of(old.names), Domain.of(new.names)
    closed: dict[str, tuple[str, ...] | None] = {}
    for fact, names in mine.closed.items():
        others = other.closed[fact]
        if fact in ("mode", "task.type", "task.labels"):
            closed[fact] = (
                others
                if names is None
                else names
                if others is None
                else tuple(n for n in names if n in others)
            )
        else:
            closed[fact] = (
                names if others is None or names is None else tuple(dict.fromkeys((*names, *others)))
            )
    modes = closed["mode"] or ()
    mode = next(
        (each for each in (new.names.default_mode, old.names.default_mode, *modes) if each in modes), ""
    )
    return Domain(closed, other.defaults._replace(mode=mode))
