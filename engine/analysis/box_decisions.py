"""A box of tasks -> what a compiled policy decides everywhere in it, or None where that is not seen at once.

`may` are the cubes that hold somewhere in the box, `must` those that hold everywhere. Nothing is searched.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from engine.decision.compiler import CompiledPolicy, Points
from engine.decision.partitions import bits_of


def selected(policy: CompiledPolicy, may: int, must: int) -> tuple[set[int], set[int]]:
    """The models that the route taken selects whichever it is, and those that it may select."""
    possible, certain = policy.routes & may, policy.routes & may & must
    if certain:
        possible &= (certain & -certain) * 2 - 1
    routes = {policy.owners[bit] for bit in bits_of(possible)}
    candidates = [policy.tiers[route] for route in routes] + ([] if certain else [policy.default])
    always: set[int] | None = None
    sometimes: set[int] = set()
    for tiers in candidates:
        fixed = {
            model
            for tier in tiers
            for model in (*tier.always, *(m for m, mask in tier.depending if mask & must))
        }
        always = fixed if always is None else always & fixed
        sometimes |= fixed | {model for tier in tiers for model, mask in tier.depending if mask & may}
    return always or set(), sometimes


def order(policy: CompiledPolicy, may: int, must: int, *, only_first: bool) -> list[str] | None:
    """The chain (or its first model), when it is the same whatever of `may` holds."""
    route = _first_owner(policy, policy.routes, may, must)
    if isinstance(route, _Unclear):
        return None
    order: list[int] = []
    for tier in policy.default if route is None else policy.tiers[route]:
        members = list(tier.always)
        for model, mask in tier.depending:
            if must & mask:
                members.append(model)
            elif may & mask and not must & policy.guards[model]:
                return None
        eligible = [model for model in members if model not in order and not must & policy.guards[model]]
        if any(may & policy.guards[model] for model in eligible):
            return None
        if eligible:
            ranked = _ranked(policy, eligible, may, must, only_first=only_first)
            if ranked is None:
                return None
            order += ranked
            if only_first:
                break
    return [policy.models[model].key for model in order]


def firsts(policy: CompiledPolicy, may: int, must: int) -> set[int]:
    """The models of which each may be the first of a chain somewhere, as far as is seen at once; no other
    is."""
    found: set[int] = set()
    points: dict[int, tuple[int, int]] = {}
    for route in owners(policy, policy.routes, may, must):
        for tier in policy.default if route is None else policy.tiers[route]:
            members = [*tier.always, *(model for model, mask in tier.depending if mask & may)]
            eligible = [model for model in members if not must & policy.guards[model]]
            there = {*tier.always, *(model for model, mask in tier.depending if mask & must)}
            sure = {model for model in eligible if model in there and not may & policy.guards[model]}
            for model in eligible:
                if model not in points:
                    points[model] = _points(policy.favours[model], may, must)
            found.update(_leaders(policy, eligible, sure, points, owners(policy, policy.weighs, may, must)))
            if sure:
                break
    return found


def _leaders(
    policy: CompiledPolicy,
    models: list[int],
    sure: set[int],
    points: Mapping[int, tuple[int, int]],
    weighs: Iterable[int | None],
) -> Iterator[int]:
    """Of some models those that may score best with so many points and one of the weights; the sure ones are
    there."""
    for weigh in weighs:
        if weigh is None:
            continue  # the lowered settings weigh every mode
        scores = policy.scores[weigh]
        least = (
            max((scores[model] + points[model][0], -policy.ties[model]) for model in sure) if sure else None
        )
        for model in models:
            if least is None or (scores[model] + points[model][1], -policy.ties[model]) >= least:
                yield model


def owners(policy: CompiledPolicy, among: int, may: int, must: int) -> list[int | None]:
    """The rules of a kind of which each may be the first that holds; None where it may be that none does."""
    possible, certain = may & among, must & among
    if certain:
        possible &= (certain & -certain) * 2 - 1
    found: dict[int | None, None] = {policy.owners[bit]: None for bit in bits_of(possible)}
    return [*found] if certain else [*found, None]


class _Unclear:
    pass


_UNCLEAR = _Unclear()


def _first_owner(policy: CompiledPolicy, among: int, may: int, must: int) -> "int | _Unclear | None":
    """The first rule of a kind that holds, when that is the same everywhere."""
    possible = may & among
    certain = must & among
    if not possible:
        return None
    owner = policy.owners[(possible & -possible).bit_length() - 1]
    if not certain or policy.owners[(certain & -certain).bit_length() - 1] != owner:
        return _UNCLEAR
    return owner


def _ranked(
    policy: CompiledPolicy, models: list[int], may: int, must: int, *, only_first: bool
) -> list[int] | None:
    """Models of a tier in their order (or only the first of them), when scores cannot change it within
    what may hold."""
    weigh = _first_owner(policy, policy.weighs, may, must)
    if isinstance(weigh, _Unclear) or weigh is None:
        return None
    ranges = {}
    for model in models:
        low, high = _points(policy.favours[model], may, must)
        base = policy.scores[weigh][model]
        ranges[model] = base + low, base + high
    order = sorted(models, key=lambda model: (-ranges[model][0], policy.ties[model]))
    pairs = [(order[0], other) for other in order[1:]] if only_first else pairwise(order)
    for one, other in pairs:
        least, most = ranges[one][0], ranges[other][1]
        if least < most or (least == most and policy.ties[one] > policy.ties[other]):
            return None
    return order[:1] if only_first else order


def _points(points: Points, may: int, must: int) -> tuple[int, int]:
    low = high = 0
    for each, mask in points.each:
        counts = each * (mask & must).bit_count(), each * (mask & may).bit_count()
        low, high = low + min(counts), high + max(counts)
    for each, mask in points.once:
        certain, possible = each * bool(mask & must), each * bool(mask & may)
        low, high = low + min(certain, possible), high + max(certain, possible)
    return low, high
