"""What two policies decide differently, and what that means -> text, and plain values for JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.analysis.answer_text import conditions, facts_to_state, task_text
from engine.analysis.judgement import Change, Judgement
from engine.analysis.policy_diff import MOST_REGIONS, Difference, Region, Side
from engine.decision.fact_json import json_value
from engine.language.diagnostics import visible
from engine.language.vocabulary import GIVEN

if TYPE_CHECKING:
    from engine.replay.report import Report

_HEADLINES = {
    "equivalent": "exposure: equivalent, no cloud model joins or leaves a chain",
    "stricter": "exposure: stricter, cloud models leave chains and none joins one",
    "looser": "exposure: LOOSER, cloud models join chains they were kept out of",
    "mixed": "exposure: MIXED, cloud models join some chains and leave others",
    None: "exposure: unknown, the work allowed did not suffice (--max-work N allows more)",
}


def difference_text(difference: Difference, judgement: Judgement) -> str:
    """The verdict, what lets more out or spends more, then every region with its condition, both decisions
    and an example."""
    lines = [_HEADLINES[difference.exposure]]
    for word, texts in (
        ("lets more out", [change.text for change in judgement.leaks]),
        ("spends more", [change.text for change in judgement.spending]),
        ("unknown", judgement.undecided),
    ):
        lines += [f"{word}: {visible(text)}" for text in texts]
    for one in difference.one_sided:
        for side, names in (("old", one.old), ("new", one.new)):
            if names:
                lines.append(f"only the {side} policy knows the {one.kind} {', '.join(map(visible, names))}")
    if not difference.regions and difference.is_complete:
        lines.append("no task is decided differently")
    for number, region in enumerate(difference.regions, start=1):
        lines += ["", *_region_lines(number, region, difference)]
    if not difference.is_complete:
        capped = len(difference.regions) >= MOST_REGIONS
        why = (
            f"only the first {MOST_REGIONS} are shown"
            if capped
            else "the work allowed did not suffice (--max-work N)"
        )
        lines += ["", f"there may be more differences than these: {why}"]
    return "\n".join(lines)


def _region_lines(number: int, region: Region, difference: Difference) -> Iterator[str]:
    kind = "order only" if region.order_only else _word(region)
    yield f"{number}. {kind}: {visible(condition_text(region, difference)) or 'every task'}"
    before, after = ([model.key for model in side.decision.chain] for side in (region.old, region.new))
    joined, left = [key for key in after if key not in before], [key for key in before if key not in after]
    for word, keys in (("joins", joined), ("leaves", left)):
        if keys:
            yield f"   {word} the chain: {', '.join(map(visible, keys))}"
    if region.order_only and before[0] != after[0]:
        yield f"   comes first: {visible(after[0])} instead of {visible(before[0])}"
    # The rest of a chain may be another within the region.
    yield f"   for example: {_witness_text(region, difference)}"
    yield f"      old: {_side_text(region.old, whole=region.order_only)}"
    yield f"      new: {_side_text(region.new, whole=region.order_only)}"


def _word(region: Region) -> str:
    if region.looser:
        return "looser and stricter" if region.stricter else "looser"
    return "stricter" if region.stricter else "local models only"


def condition_text(region: Region, difference: Difference) -> str:
    """The tasks of a region and no others, to be pasted behind `when`; what is unusual about them first."""
    space = difference.space
    unusual = {
        GIVEN[axis.fact].name
        for number, cells in region.box.items()
        if (axis := space.axes[number]).usual is None or not cells >> axis.usual & 1
    }
    parts = sorted(conditions(space, region.box), key=lambda part: part[0] not in unusual)
    return " and ".join(text for _, text in parts)


def _side_text(side: Side, *, whole: bool) -> str:
    """The chosen model and how many fallbacks (or the whole chain), and the rule to look at."""
    chain = [visible(model.key) for model in side.decision.chain]
    shown = chain if whole else chain[:1]
    more = f" and {len(chain) - len(shown)} more" if len(chain) > len(shown) else ""
    rule = side.rule
    place = f" ({visible(rule.name)}, {visible(rule.span.source.name)}:{rule.span.line})" if rule else ""
    return (", ".join(shown) or "refused") + more + place


def given_of(region: Region, difference: Difference) -> dict[str, Any]:
    return facts_to_state(region.facts, difference.space.domain.defaults)


def _witness_text(region: Region, difference: Difference) -> str:
    return task_text(given_of(region, difference))


def difference_json(difference: Difference, judgement: Judgement) -> dict[str, Any]:
    """Everything as plain values (schemas/diff.schema.json)."""
    return {
        "version": 1,
        "different": bool(difference.regions) or (None if not difference.is_complete else False),
        "exposure": difference.exposure,
        "looser": difference.looser,
        "stricter": difference.stricter,
        "complete": difference.is_complete,
        "one_sided": [
            {"kind": one.kind, "old": list(one.old), "new": list(one.new)} for one in difference.one_sided
        ],
        "regions": [
            {
                "facts": dict(conditions(difference.space, region.box)),
                "witness": {name: json_value(value) for name, value in given_of(region, difference).items()},
                "old": _side_json(region.old),
                "new": _side_json(region.new),
                "order_only": region.order_only,
                "looser": region.looser,
                "stricter": region.stricter,
            }
            for region in difference.regions
        ],
        "judgement": {
            "lets_more_out": judgement.lets_more_out,
            "leaks": [_change_json(change) for change in judgement.leaks],
            "spending": [_change_json(change) for change in judgement.spending],
            "undecided": list(judgement.undecided),
            "work": judgement.work,
        },
        "log": None,
    }


def _change_json(change: Change) -> dict[str, Any]:
    given = change.given
    return {
        "text": change.text,
        "witness": None if given is None else {name: json_value(value) for name, value in given.items()},
        "old_chain": list(change.before),
        "new_chain": list(change.after),
    }


def _side_json(side: Side) -> dict[str, Any]:
    decision, rule = side.decision, side.rule
    return {
        "model": decision.chain[0].key if decision.chain else None,
        "chain": [model.key for model in decision.chain],
        "route": decision.route.name if decision.route else None,
        "rule": None
        if rule is None
        else {"rule": rule.name, "file": rule.span.source.name, "line": rule.span.line},
    }


# --- What moves of a log --------------------------------------------------------------------------------


def log_text(report: "Report") -> str:
    from engine.commands.replay_text import dollars, moved_text

    old, new = report.sides
    budgets = "played from zero" if report.simulated else "as recorded"
    costs = f"{dollars(old.usd)} under the old policy, {dollars(new.usd)} under the new"
    lines = [
        f"{visible(report.log)}: {report.rows:,} tasks, {costs} (budgets {budgets})",
        moved_text(report),
        *(f"note: {note}" for note in report.notes),
    ]
    return "\n".join(lines)


def log_json(report: "Report") -> dict[str, Any]:
    replayed = report.to_json()
    old, new = replayed["policies"]
    return {
        "file": replayed["log"]["file"],
        "rows": replayed["log"]["rows"],
        "budgets": replayed["budgets"],
        "usd_old": old["usd"],
        "usd_new": new["usd"],
        "refused_old": old["refused"],
        "refused_new": new["refused"],
        "moved": replayed["moved"],
        "notes": replayed["notes"],
    }
