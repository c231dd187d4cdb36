"""A replay's report -> text: the sums, then lines to compare them with, then the moved rows and their
reasons."""

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from engine.commands.tables import table
from engine.language.diagnostics import visible

if TYPE_CHECKING:
    from engine.replay.outcomes import Outcomes
    from engine.replay.report import Report, Side
    from engine.replay.tally import Move

MOST_MOVES = 20


def replay_text(report: "Report") -> str:
    """Everything but the course over time."""
    parts = [_head(report)]
    parts += [_side(report, side) for side in report.sides]
    parts.append(_lines(report))
    if len(report.sides) == 2:
        parts.append(moved_text(report))
    parts += [f"note: {note}" for note in report.notes]
    return "\n\n".join(parts)


def _head(report: "Report") -> str:
    from engine.replay.encoding import moment

    text = (
        f"{visible(report.log)}: {report.rows:,} tasks, {report.input_tokens:,} tokens in, "
        f"{report.output_tokens:,} out"
    )
    if report.first_us is not None and report.last_us is not None:
        text += f"\n{moment(report.first_us)} to {moment(report.last_us)}"
    columns = ", ".join(f"{field} from {visible(column)}" for field, column in sorted(report.columns.items()))
    return f"{text}\n{columns}" if columns else text


def _side(report: "Report", side: "Side") -> str:
    local = "none answered" if side.local_share is None else f"{side.local_share:.1%} of them local"
    lines = [
        (
            f"policy {visible(side.name)}: {side.answered:,} answered, {local}, {side.refused:,} refused, "
            f"{dollars(side.usd)}"
        )
    ]
    rows = [
        [
            model.model.key,
            model.model.locality,
            f"{model.calls:,}",
            f"{model.calls / side.rows:.1%}",
            f"{model.input_tokens:,}",
            f"{model.output_tokens:,}",
            dollars(Decimal(model.exact).scaleb(-12)),
        ]
        for model in sorted(side.models, key=lambda model: -model.calls)
        if model.calls
    ]
    titles = ["model", "where", "calls", "share", "tokens in", "tokens out", "dollars"]
    if rows:
        lines.append(table(titles, rows, right=titles[2:]))
    lines += _exhausted(side)
    if side.refused_by:
        lines.append("refused:")
        lines += [
            f"  {rows:,} rows: {_because(reason.did, reason.rule, reason.place)}"
            for reason, rows in side.refused_by[:10]
        ]
    lines += [
        f"watched: {visible(reason.rule)} ({visible(reason.place)}) would have blocked the chosen model of "
        f"{rows:,} rows"
        for reason, rows in side.watched
    ]
    if side.recorded:
        same = sum(rows for (was, now), rows in side.recorded.items() if was == now)
        lines.append(f"decided as the log says: {same:,} of {side.rows:,} rows")
        lines += [
            f"{rows:>9,}  {visible(was or 'refused')} -> {visible(now or 'refused')}"
            for (was, now), rows in list(side.recorded.items())[:MOST_MOVES]
            if was != now
        ]
    if side.outcomes is not None:
        lines.append(_outcomes(side.outcomes))
    return "\n".join(lines)


def _exhausted(side: "Side") -> list[str]:
    from engine.replay.encoding import moment

    text = []
    for gone in side.exhaustions[:10]:
        limit = dollars(Decimal(gone.limit_micro_usd).scaleb(-6))
        when = "" if gone.at_us is None else f", {moment(gone.at_us)}"
        text.append(f"budget {gone.account}: {limit} gone at row {gone.row:,}{when}")
    if len(side.exhaustions) > 10:
        text.append(f"... and {len(side.exhaustions) - 10:,} windows more")
    return text


def _outcomes(outcomes: "Outcomes") -> str:
    from engine.replay.outcomes import format_interval

    score = format_interval(outcomes.score)
    text = f"score {score} over {outcomes.rows:,} rows; oracle {outcomes.oracle:.4f}"
    if outcomes.unknown:
        text += f"; {outcomes.unknown:,} rows have no score"
    if outcomes.pgr is None or outcomes.apgr is None or outcomes.random_score is None:
        return text
    cpt = ", ".join(
        f"CPT({level:.0%}) {'none' if share is None else f'{share:.1%}'}" for level, share in outcomes.cpt
    )
    return (
        f"{text}\nagainst {visible(outcomes.weak or '')} (weak) and {visible(outcomes.strong or '')} "
        "(strong): "
        f"{outcomes.strong_share:.1%} strong calls, PGR {format_interval(outcomes.pgr)}\n"
        f"mixed with coin tosses: APGR {format_interval(outcomes.apgr)}, {cpt}\n"
        f"a coin at the same share: score {outcomes.random_score:.4f}, PGR {outcomes.strong_share:.4f}, APGR "
        "0.5"
    )


def _lines(report: "Report") -> str:
    rows = [
        [
            line.name,
            line.locality or "",
            "unknown"
            if line.usd is None and line.locality
            else ""
            if line.usd is None
            else dollars(line.usd),
            "" if line.fits is None else f"{line.fits:,}",
            "" if line.score is None else f"{line.score:.4f}",
        ]
        for line in report.lines
    ]
    titles = ["to compare", "where", "dollars", "rows that fit", "score"]
    used = [place for place in range(5) if place < 3 or any(row[place] for row in rows)]
    return table(
        [titles[place] for place in used], [[row[place] for place in used] for row in rows], right=titles[2:]
    )


def moved_text(report: "Report") -> str:
    """How many rows go to another model, and the most frequent moves with their reasons."""
    rows = sum(move.rows for move in report.moves)
    if not rows:
        return "nothing moves"
    lines = [f"{rows:,} of {report.rows:,} rows move ({rows / report.rows:.1%})"]
    for move in report.moves[:MOST_MOVES]:
        lines.append(
            f"{move.rows:>9,}  {visible(move.before or 'refused')} -> {visible(move.after or 'refused')}, "
            f"{difference_text(move)}, first in row {move.first_row:,}"
        )
        lines += [f"{'':>11}{_because(reason.did, reason.rule, reason.place)}" for reason in move.reasons]
    if len(report.moves) > MOST_MOVES:
        rest = sum(move.rows for move in report.moves[MOST_MOVES:])
        lines.append(
            f"... and {rest:,} rows in {len(report.moves) - MOST_MOVES:,} groups more (--format json has all)"
        )
    return "\n".join(lines)


def difference_text(move: "Move") -> str:
    """What a move costs more or less: `-$2.58`."""
    difference = move.exact_after - move.exact_before
    return f"{'+' if difference >= 0 else '-'}{dollars(Decimal(abs(difference)).scaleb(-12))}"


def _because(did: str, rule: str, place: str) -> str:
    named = f"{visible(rule)} ({visible(place)}): " if rule else ""
    return f"{named}{visible(did)}"


def dollars(amount: Decimal) -> str:
    """Two decimal places from a dollar up, six below: `$93.62`, `$0.001234`."""
    places = Decimal("0.01") if amount >= 1 or not amount else Decimal("0.000001")
    return f"${amount.quantize(places, rounding=ROUND_HALF_UP):,f}"
