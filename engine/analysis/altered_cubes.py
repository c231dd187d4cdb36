"""Two policies over one space -> the cubes that they use otherwise for a model: where none of them holds,
both decide alike about it, so only tasks in one of them need be searched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from engine.decision.compiler import CompiledPolicy, Tier
from engine.decision.partitions import bits_of

Selection: TypeAlias = tuple[tuple[int, bool, int], ...]
"""Of one model: the tiers of a route that select it, whether always, and else in which cubes."""


@dataclass(frozen=True, slots=True)
class Altered:
    """By the key of each model that both have: in `membership` the cubes that bear otherwise on whether it is
    in a chain, in `order` those that bear otherwise on its place, None where ties are broken otherwise.

    Models with the same `likeness` are in a chain for the same tasks as one another, on both sides.
    """

    membership: Mapping[str, int]
    order: Mapping[str, int] | None
    likeness: Mapping[str, object]


def altered_cubes(old: CompiledPolicy, new: CompiledPolicy) -> Altered:
    """Compares two policies in the same numbering of cubes."""
    sides = old, new
    places = [{model.key: place for place, model in enumerate(side.models)} for side in sides]
    keys = [key for key in places[0] if key in places[1]]
    pairs = {key: (places[0][key], places[1][key]) for key in keys}
    selections = [_selections(side) for side in sides]
    owners = [{bit: side.owners[bit] for bit in bits_of(side.routes)} for side in sides]

    routes = old.routes ^ new.routes
    membership = {key: routes | old.guards[one] ^ new.guards[other] for key, (one, other) in pairs.items()}
    order = {key: routes | _points(old, one, new, other) for key, (one, other) in pairs.items()}
    for bit in bits_of(old.routes & new.routes):
        before, after = selections[0][owners[0][bit]], selections[1][owners[1][bit]]
        if before == after:
            continue
        for key in keys:
            mine, theirs = before.get(key, ()), after.get(key, ())
            if mine != theirs:
                order[key] |= 1 << bit
                if _selected(mine) != _selected(theirs):
                    membership[key] |= 1 << bit
    return Altered(
        membership,
        _weighed(old, new, order, pairs) if _ties(old, keys) == _ties(new, keys) else None,
        {key: _likeness(sides, selections, pairs[key], key) for key in keys},
    )


def _selections(policy: CompiledPolicy) -> dict[int, dict[str, Selection]]:
    """For each route the models that its tiers select."""
    return {route: _selected_by(policy, tiers) for route, tiers in policy.tiers.items()}


def _selected_by(policy: CompiledPolicy, tiers: tuple[Tier, ...]) -> dict[str, Selection]:
    found: dict[str, list[tuple[int, bool, int]]] = {}
    for number, tier in enumerate(tiers):
        for model in tier.always:
            found.setdefault(policy.models[model].key, []).append((number, True, 0))
        for model, mask in tier.depending:
            found.setdefault(policy.models[model].key, []).append((number, False, mask))
    return {key: tuple(parts) for key, parts in found.items()}


def _selected(selection: Selection) -> tuple[bool, int]:
    """Whether a route selects the model at all, always or in some cubes."""
    if any(always for _, always, _ in selection):
        return True, 0
    depending = 0
    for _, _, mask in selection:
        depending |= mask
    return False, depending


def _points(old: CompiledPolicy, one: int, new: CompiledPolicy, other: int) -> int:
    """The cubes of preferences, when they give the model something else."""
    mine, theirs = old.favours[one], new.favours[other]
    if old.scale == new.scale and mine == theirs:
        return 0
    return mine.mask | theirs.mask


def _weighed(
    old: CompiledPolicy, new: CompiledPolicy, order: dict[str, int], pairs: Mapping[str, tuple[int, int]]
) -> dict[str, int]:
    """The cubes of weights, where they give the model another score."""
    changed = old.weighs ^ new.weighs
    found = {key: mask | changed for key, mask in order.items()}
    unit = 10 ** max(new.scale - old.scale, 0), 10 ** max(old.scale - new.scale, 0)
    for bit in bits_of(old.weighs & new.weighs):
        before, after = old.scores[old.owners[bit]], new.scores[new.owners[bit]]
        for key, (one, other) in pairs.items():
            if before[one] * unit[0] != after[other] * unit[1]:
                found[key] |= 1 << bit
    return found


def _ties(policy: CompiledPolicy, keys: list[str]) -> list[str]:
    """The models in the order in which a tie is broken."""
    places = {model.key: tie for model, tie in zip(policy.models, policy.ties, strict=True)}
    return sorted(keys, key=lambda key: places[key])


def _likeness(
    sides: tuple[CompiledPolicy, CompiledPolicy],
    selections: list[dict[int, dict[str, Selection]]],
    places: tuple[int, int],
    key: str,
) -> object:
    return tuple(
        (side.guards[place], tuple(_selected(routes[route].get(key, ())) for route in sorted(routes)))
        for side, routes, place in zip(sides, selections, places, strict=True)
    )
