"""What an author wrote -> every small change that a slip might make of it, one at a time.

Operators turned round, thresholds moved by one, conditions, members, tiers and rules left out, tiers and
routes swapped. Only text and tree are made here; whether a change means anything, and whether anybody would
notice, is for `mutation` to say.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from engine.language import syntax_tree as tree
from engine.language.formatter import print_expression, print_value
from engine.language.source import Span
from engine.language.vocabulary import TERMS, WEEKDAYS, Day

Changed = tuple["Edit", tree.Expression]


@dataclass(frozen=True, slots=True)
class Edit:
    """The text at a place, and what stands there instead; nothing when it is left out."""

    span: Span
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one statement: what replaces it, None when it is left out.

    `ahead_of` is the route that the statement is moved ahead of; it then stays as it is.
    """

    edit: Edit
    statement: tree.Rule | tree.Let
    replacement: tree.Rule | tree.Let | None
    ahead_of: tree.Route | None = None


def changes(statements: Sequence[tree.Statement]) -> Iterator[Change]:
    """Every change of the rules and lets of a policy, in the order of the text. Guards on watch decide
    nothing and are left alone."""
    previous: tree.Route | None = None
    for statement in statements:
        match statement:
            case tree.Guard(watch=True) | tree.Language() | tree.Test() | tree.Prove():
                continue
            case tree.Let():
                yield from _let_changes(statement)
            case tree.Guard() | tree.Preference() | tree.Weigh() | tree.Route():
                name = statement.name.text
                left_out = Edit(statement.span, f"{_keyword(statement)} {name}", "")
                yield Change(left_out, statement, None)
                for edit, changed in _rule_edits(statement):
                    yield Change(edit, statement, changed)
                if isinstance(statement, tree.Route):
                    if previous is not None:
                        moved = Edit(
                            statement.span,
                            f"route {name} after {previous.name.text}",
                            f"route {name} before {previous.name.text}",
                        )
                        yield Change(moved, statement, statement, ahead_of=previous)
                    previous = statement
            case _:
                assert_never(statement)


def _keyword(rule: tree.Rule) -> str:
    match rule:
        case tree.Guard(kind=kind) | tree.Preference(kind=kind):
            return kind
        case tree.Weigh():
            return "weigh"
        case tree.Route():
            return "route"


# --- Statements -----------------------------------------------------------------------------------------


def _let_changes(let: tree.Let) -> Iterator[Change]:
    if isinstance(let.value, tree.List):
        for edit, items in _list_edits(let.value):
            yield Change(edit, let, replace(let, value=items))
    else:
        for edit, value in _edits(let.value):
            yield Change(edit, let, replace(let, value=value))


def _rule_edits(rule: tree.Rule) -> Iterator[tuple[Edit, tree.Rule]]:
    match rule:
        case tree.Guard():
            other = "require" if rule.kind == "forbid" else "forbid"
            yield _word(rule.span, rule.kind, other), replace(rule, kind=other)  # type: ignore[arg-type]
            for edit, selector in _edits(rule.selector):
                yield edit, replace(rule, selector=selector)
        case tree.Preference():
            other = "avoid" if rule.kind == "prefer" else "prefer"
            yield _word(rule.span, rule.kind, other), replace(rule, kind=other)  # type: ignore[arg-type]
            for edit, selector in _edits(rule.selector):
                yield edit, replace(rule, selector=selector)
        case tree.Weigh():
            yield from _weight_edits(rule)
        case tree.Route():
            yield from _tier_edits(rule)
        case _:
            assert_never(rule)
    for edit, clauses in _clause_edits(rule.clauses):
        yield edit, replace(rule, clauses=clauses)


def _word(span: Span, before: str, after: str) -> Edit:
    """The keyword at the beginning of a statement."""
    return Edit(span.source.span(span.start, span.start + len(before)), before, after)


def _weight_edits(weigh: tree.Weigh) -> Iterator[tuple[Edit, tree.Weigh]]:
    shares = weigh.shares
    for first in range(len(shares)):
        for second in range(first + 1, len(shares)):
            one, other = shares[first], shares[second]
            if one.weight.text == other.weight.text:
                continue
            swapped = list(shares)
            swapped[first] = replace(one, weight=other.weight)
            swapped[second] = replace(other, weight=one.weight)
            edit = Edit(
                one.span,
                f"{one.part.text} {one.weight.text}, {other.part.text} {other.weight.text}",
                f"{one.part.text} {other.weight.text}, {other.part.text} {one.weight.text}",
            )
            yield edit, replace(weigh, shares=tuple(swapped))


def _tier_edits(route: tree.Route) -> Iterator[tuple[Edit, tree.Route]]:
    tiers = route.tiers
    for place, tier in enumerate(tiers):
        text = _text(tier)
        if len(tiers) > 1:
            yield Edit(tier.span, text, ""), replace(route, tiers=tiers[:place] + tiers[place + 1 :])
        if place + 1 < len(tiers):
            swapped = (*tiers[:place], tiers[place + 1], tier, *tiers[place + 2 :])
            following = _text(tiers[place + 1])
            edit = Edit(tier.span, f"{text}, then {following}", f"{following}, then {text}")
            yield edit, replace(route, tiers=swapped)
        for edit, changed in _edits(tier):
            yield edit, replace(route, tiers=(*tiers[:place], changed, *tiers[place + 1 :]))


def _clause_edits(clauses: tree.Clauses) -> Iterator[tuple[Edit, tree.Clauses]]:
    if clauses.when is not None:
        yield _left_out("when", clauses.when), replace(clauses, when=None)
        for edit, when in _edits(clauses.when):
            yield edit, replace(clauses, when=when)
    if clauses.unless is not None:
        yield _left_out("unless", clauses.unless), replace(clauses, unless=None)
        for edit, unless in _edits(clauses.unless):
            yield edit, replace(clauses, unless=unless)


def _left_out(word: str, condition: tree.Expression) -> Edit:
    return Edit(condition.span, f"{word} {_text(condition)}", "")


# --- Expressions ----------------------------------------------------------------------------------------


def _edits(expression: tree.Expression) -> Iterator[Changed]:
    """The expression with one thing changed, in every way there is."""
    for node in tree.walk(expression):
        if isinstance(node, tree.Expression):
            for before, after in _own(node):
                yield Edit(node.span, before, _text(after)), _with(expression, node, after)


def _with(expression: tree.Expression, node: tree.Node, after: tree.Expression) -> tree.Expression:
    """The expression with another one in the place of a node inside it."""
    return tree.rewrite(expression, lambda each: after if each is node else each)


def _own(node: tree.Expression) -> Iterator[tuple[str, tree.Expression]]:
    """The changes of the expression's own form."""
    text = _text(node)
    match node:
        case tree.And(parts=parts):
            yield text, tree.Or(parts, node.span)
            yield from ((text, _without(node, place)) for place in range(len(parts)))
        case tree.Or(parts=parts):
            yield text, tree.And(parts, node.span)
            yield from ((text, _without(node, place)) for place in range(len(parts)))
        case tree.Not():
            yield text, node.part
        case tree.Group():
            pass
        case tree.Name():
            other = {"local": "cloud", "cloud": "local"}.get(node.value.text)
            if other is not None and isinstance(node.value, tree.Word):
                yield text, replace(node, value=replace(node.value, text=other))
            else:
                yield text, tree.Not(node, node.span)
        case tree.Comparison():
            yield from ((text, changed) for changed in _comparison(node))
        case tree.Membership():
            yield text, replace(node, negated=not node.negated)
            match node.right:
                case tree.List():
                    yield from ((text, replace(node, right=items)) for _, items in _list_edits(node.right))
                case tree.Range():
                    yield from ((text, replace(node, right=changed)) for changed in _ranges(node.right))
                case _:
                    pass
        case tree.HasSome():
            yield text, tree.Not(node, node.span)
            members = len(node.right.items) if isinstance(node.right, tree.List) else 2
            if members > 1:
                other_quantifier = "all" if node.quantifier == "any" else "any"
                yield text, replace(node, quantifier=other_quantifier)  # type: ignore[arg-type]
            if isinstance(node.right, tree.List):
                yield from ((text, replace(node, right=items)) for _, items in _list_edits(node.right))
        case tree.IsEmpty():
            yield text, replace(node, negated=not node.negated)
        case _:
            assert_never(node)


def _without(node: tree.And | tree.Or, place: int) -> tree.Expression:
    parts = node.parts[:place] + node.parts[place + 1 :]
    return parts[0] if len(parts) == 1 else replace(node, parts=parts)


_TURNED: dict[str, tuple[tree.Operator, ...]] = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "is": ("is not",),
    "is not": ("is",),
}


def _comparison(node: tree.Comparison) -> Iterator[tree.Expression]:
    scale = _scale(node)
    if node.operator == "has":
        yield tree.Not(node, node.span)
    # On a scale `> medium` is `>= high`: there the step to the next name is the flip to the other bound.
    yield from (
        replace(node, operator=turned) for turned in _TURNED.get(node.operator, ())[-1 if scale else 0 :]
    )
    if isinstance(node.right, tree.Number):
        yield from (replace(node, right=replace(node.right, text=text)) for text in _shifted(node.right.text))
    elif scale and isinstance(node.right, tree.Word) and node.right.text in scale:
        place = scale.index(node.right.text)
        for name in scale[max(place - 1, 0) : place] + scale[place + 1 : place + 2]:
            yield replace(node, right=replace(node.right, text=name))


def _scale(node: tree.Comparison) -> tuple[str, ...]:
    """The names in order, where the comparison is with an ordered fact or attribute and not just `is`."""
    term = TERMS.get(node.left.text)
    ordered = term is not None and node.operator in ("<", "<=", ">", ">=")
    return term.scale if term is not None and ordered else ()


_MOMENT = re.compile("[-:]")
_NUMBER = re.compile(r"(\$?)([0-9]+)(?:\.([0-9]+))?([kM%]?)")


def _shifted(text: str) -> Iterator[str]:
    """A number one less and one more in its last written place: `31k` and `33k`, `$0.04` and `$0.06`."""
    if _MOMENT.search(text):
        yield from _shifted_moment(text)
        return
    match = _NUMBER.fullmatch(text)
    assert match is not None, "the parser read it"
    dollar, whole, decimals, unit = match[1], match[2], match[3] or "", match[4]
    for step in (-1, 1):
        value = int(whole + decimals) + step
        if value >= 0:
            digits = str(value).rjust(len(decimals) + 1, "0")
            point = len(digits) - len(decimals)
            written = digits[:point] + ("." + digits[point:] if decimals else "")
            yield f"{dollar}{written}{unit}"


def _shifted_moment(text: str) -> Iterator[str]:
    """A date a day earlier and later, a time a minute; none where there is no such date or time."""
    for step in (-1, 1):
        try:
            if ":" in text:
                hour, minute = map(int, text.split(":"))
                moved = (60 * hour + minute + step) % (24 * 60)
                yield f"{moved // 60:02}:{moved % 60:02}"
            else:
                yield str(Day(Day.read(text) + step))
        except ValueError:
            return


def _ranges(written: tree.Range) -> Iterator[tree.Range]:
    """Each end one earlier and one later, an hour or a day on."""
    for end in ("low", "high"):
        bound = written.low if end == "low" else written.high
        if isinstance(bound, tree.Number):
            names = (
                [str((int(bound.text) + step) % 24) for step in (-1, 1)]
                if bound.text.isdecimal()
                else [*_shifted_moment(bound.text)]
                if _MOMENT.search(bound.text)
                else []
            )
        else:
            place = WEEKDAYS.index(bound.text) if bound.text in WEEKDAYS else None
            names = [] if place is None else [WEEKDAYS[(place + step) % 7] for step in (-1, 1)]
        for name in names:
            moved = replace(bound, text=name)
            yield replace(written, low=moved) if end == "low" else replace(written, high=moved)


def _list_edits(items: tree.List) -> Iterator[tuple[Edit, tree.List]]:
    """The list without one member; a list keeps at least one."""
    if len(items.items) > 1:
        for place, item in enumerate(items.items):
            rest = items.items[:place] + items.items[place + 1 :]
            yield Edit(item.span, print_value(item), ""), replace(items, items=rest)


def _text(node: tree.Expression) -> str:
    return print_expression(node)
