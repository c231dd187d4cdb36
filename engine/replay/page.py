"""A replay's report -> one HTML page that needs nothing else: no script, no font, no address outside itself.

INVARIANT: every text of a log, a policy or a catalogue goes through `text`; colours and lengths are made
here. The page forbids itself everything but its own style sheet (Content-Security-Policy), so that even a
mistake could not load or run anything.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

from engine.budget.windows import Period, Window, window_at
from engine.replay.charts import (
    LOCAL_COLOURS,
    PAID_COLOURS,
    REFUSED_COLOUR,
    Curve,
    bars,
    curves,
    quality,
    shares,
    spending,
    text,
)
from engine.replay.encoding import moment
from engine.replay.explanations import Reason
from engine.replay.outcomes import Interval, format_interval
from engine.replay.report import Report, Side, usd
from engine.replay.tally import Move

MOST_MOVES = 30

STYLE = """
:root{color-scheme:light dark;--ink:#1d2129;--soft:#5c6470;--line:#d9dde3;--paper:#fff;--card:#f6f7f9;
--accent:#0f766e;--warn:#b42318}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaee;--soft:#a0a8b4;--line:#353b45;--paper:#14171c;
--card:#1c2027;--accent:#2dd4bf;--warn:#f97066}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 28px 64px}
h1{font-size:27px;line-height:1.25;margin:0 0 6px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:18px;margin:44px 0 4px}
h3{font-size:15px;margin:20px 0 4px;overflow-wrap:anywhere}
p{margin:4px 0 12px;max-width:72ch}
.soft,figcaption{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin:24px 0 8px}
.card{background:var(--card);border-radius:10px;padding:14px 16px;min-width:0}
.card b{display:block;font-size:25px;line-height:1.2;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.card span{color:var(--soft);font-size:13px;overflow-wrap:anywhere}
.card .name{display:block;font-weight:600;color:var(--ink)}
figure{margin:12px 0 8px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
svg .strong{fill:var(--ink);font-weight:600}
svg .grid{stroke:var(--line);stroke-width:1}
svg .budget{stroke:var(--warn);stroke-width:1.5;stroke-dasharray:6 4}
svg .gone{fill:var(--warn)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:6px 0 0;padding:0;list-style:none;font-size:13px}
.legend li{display:flex;align-items:center;gap:7px;overflow-wrap:anywhere}
.legend svg{width:14px;height:14px;flex:none}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:8px 0 4px;font-size:14px;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;color:var(--soft);font-size:13px}
th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
td.n,th.n{text-align:right;white-space:nowrap}
code{font:13px ui-monospace,SFMono-Regular,Menlo,monospace}
.gone{color:var(--warn);font-weight:600}
ul.why{margin:0;padding-left:18px}
footer{margin-top:48px;padding-top:14px;border-top:1px solid var(--line);color:var(--soft);font-size:13px;
overflow-wrap:anywhere}
@media print{main{padding:0}}
"""


def page(report: Report) -> str:
    """The whole page."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    parts = [
        _head(report),
        _cards(report),
        _money(report),
        _budgets(report),
        _models(report),
        _compare(report),
    ]
    parts += [_outcomes(report), _moved(report), _refused(report), _foot(report)]
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src '
        f"'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" '
        'content="no-referrer">\n'
        f"<title>{text(_title(report))}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )


def _title(report: Report) -> str:
    if len(report.sides) == 2:
        return f"{report.log}: {report.sides[0].name} against {report.sides[1].name}"
    return f"{report.log} under {report.sides[0].name}"


def _head(report: Report) -> str:
    when = ""
    if report.first_us is not None and report.last_us is not None:
        when = f", {moment(report.first_us)} to {moment(report.last_us)}"
    return (
        f"<h1>{text(_title(report))}</h1>\n"
        f'<p class="soft">{report.rows:,} recorded tasks, {report.input_tokens:,} tokens in and '
        f"{report.output_tokens:,} out{text(when)}.</p>"
    )


def _cards(report: Report) -> str:
    cards = []
    for side in report.sides:
        name = f'<span class="name">{text(side.name)}</span>' if len(report.sides) == 2 else ""
        local = "none" if side.local_share is None else f"{side.local_share:.1%}"
        gone = len({(one.account, one.window_start_s) for one in side.exhaustions})
        cards.append(_card(name, dollars(side.usd), f"paid for {side.answered:,} answers"))
        cards.append(_card(name, local, "of the answers stayed local"))
        cards.append(_card(name, f"{side.refused:,}", "tasks refused"))
        cards.append(_card(name, f"{gone:,}", "budget used up" if gone == 1 else "budgets used up"))
        if side.outcomes is not None:
            cards.append(_card(name, f"{side.outcomes.score.value:.4f}", "mean score"))
    rows = [cards] if len(report.sides) == 1 else [cards[: len(cards) // 2], cards[len(cards) // 2 :]]
    return "\n".join(f'<div class="cards">{"".join(row)}</div>' for row in rows)


def _card(name: str, number: str, caption: str) -> str:
    return f'<div class="card">{name}<b>{text(number)}</b><span>{text(caption)}</span></div>'


# --- Money ------------------------------------------------------------------------------------------------


def _money(report: Report) -> str:
    course = report.sides[0].course
    times = _times(report)
    drawn = []
    for side, colour in zip(report.sides, ("#0f766e", "#7c3aed"), strict=False):
        drawn.append(Curve(side.name, colour, _summed([sum(run) for run in side.course.micro_usd])))
    reference = report.sides[0].reference
    elsewhere = _summed([run[0] for run in course.elsewhere])
    if reference is not None:
        drawn.append(Curve(f"everything at {reference}", "#9aa3af", elsewhere, dashed=True))
    return (
        '<h2>Cost over time</h2>\n<p class="soft">What was paid so far, task after task. The dashed line '
        "sends every task to the best cloud model, "
        f"whatever the budget.</p>\n{curves(drawn, times, 'Dollars paid so far')}"
    )


def _summed(amounts: Sequence[float]) -> list[float]:
    """Running sums in dollars."""
    sums, so_far = [], 0.0
    for amount in amounts:
        so_far += amount / 1e6
        sums.append(so_far)
    return sums


def _times(report: Report) -> list[str]:
    """A label for the beginning of each run: its time, else its first row."""
    course = report.sides[0].course
    if report.first_us is None or report.last_us is None:
        return [f"row {place * course.stride:,}" for place in range(len(course.calls))]
    long = report.last_us - report.first_us > 3 * 86_400_000_000
    starts = [moment(us or 0) for us in course.first_us]
    return [one[:10] if long else f"{one[11:16]}" for one in starts]


def _budgets(report: Report) -> str:
    parts = []
    for side in report.sides:
        drawn = _spending(side, report)
        if drawn is None and not side.exhaustions:
            continue
        title = f"<h3>{text(side.name)}</h3>" if len(report.sides) == 2 else ""
        rows = "".join(
            f"<tr><td>{text(gone.account)}</td>"
            f"<td>{text('' if gone.window_start_s is None else moment(gone.window_start_s * 1_000_000)[:10])}"
            "</td>"
            f'<td class="n">{dollars(Decimal(gone.limit_micro_usd).scaleb(-6))}</td>'
            f'<td class="n">{gone.row:,}</td><td>{text("" if gone.at_us is None else moment(gone.at_us))}'
            "</td></tr>"
            for gone in side.exhaustions[:31]
        )
        more = (
            f'<p class="soft">and {len(side.exhaustions) - 31:,} more</p>'
            if len(side.exhaustions) > 31
            else ""
        )
        listed = (
            '<div class="scroll"><table><tr><th>used up</th><th>window</th><th class="n">limit</th><th '
            'class="n">at row</th><th>when</th></tr>'
            f"{rows}</table></div>{more}"
            if rows
            else '<p class="soft">No limit was reached.</p>'
        )
        parts.append(f"{title}\n{drawn or ''}\n{listed}")
    if not parts:
        return ""
    return (
        '<h2>Budgets</h2>\n<p class="soft">Money spent in each window, against its limit. When a limit is '
        "used up, what costs money is "
        "no longer chosen until the next window.</p>\n" + "\n".join(parts)
    )


def _spending(side: Side, report: Report) -> str | None:
    """A chart of the money spent against the first total limit, daily or monthly.

    None where there is no such limit, or where nothing was spent.
    """
    budgets = side.policy.settings.budgets
    for period, limits in ((Period.DAILY, budgets.daily), (Period.MONTHLY, budgets.monthly)):
        if limits.total_usd is None or limits.total_usd == 0 or not side.usd or not report.simulated:
            continue
        values: list[float] = []
        window: Window | None = None
        spent = 0.0
        for first_us, money in zip(side.course.first_us, side.course.micro_usd, strict=True):
            at_s = None if first_us is None else first_us // 1_000_000
            if at_s is not None and (window is None or at_s >= window.end_s):
                window, spent = window_at(period, budgets.time_zone, at_s), 0.0
            spent += sum(money) / 1e6
            values.append(spent)
        gone = [one.row // side.course.stride for one in side.exhaustions if one.account == period.value]
        title = f"Spent in each {'day' if period is Period.DAILY else 'month'}, against its limit"
        return spending(values, float(limits.total_usd), gone, _times(report), title)
    return None


# --- Models -----------------------------------------------------------------------------------------------


def _models(report: Report) -> str:
    colours = colours_of(report)
    parts = ["<h2>Who answered</h2>"]
    for side in report.sides:
        title = f"<h3>{text(side.name)}</h3>" if len(report.sides) == 2 else ""
        names = [*(model.model.key for model in side.models), "refused"]
        used = [place for place in range(len(names)) if any(run[place] for run in side.course.calls)]
        layers = [
            (names[place], colours[names[place]], [run[place] for run in side.course.calls]) for place in used
        ]
        rows = "".join(
            f"<tr><td>{text(model.model.key)}</td><td>{text(model.model.locality)}</td><td "
            f'class="n">{model.calls:,}</td>'
            f'<td class="n">{model.calls / side.rows:.1%}</td><td class="n">{model.input_tokens:,}</td>'
            f'<td class="n">{model.output_tokens:,}</td><td class="n">{dollars(usd(model.exact))}</td></tr>'
            for model in sorted(side.models, key=lambda model: -model.calls)
            if model.calls
        )
        parts.append(
            f"{title}\n{shares(layers, _times(report), 'Share of tasks by model over time')}\n"
            '<div class="scroll"><table><tr><th>model</th><th>where</th><th class="n">calls</th><th '
            'class="n">share</th>'
            f'<th class="n">tokens in</th><th class="n">tokens out</th><th class="n">dollars</th></tr>{rows}'
            "</table></div>"
        )
    return "\n".join(parts)


def colours_of(report: Report) -> Mapping[str, str]:
    """A colour for each model, the same on the whole page: cool for local models, warm for those that cost
    money."""
    colours: dict[str, str] = {"refused": REFUSED_COLOUR}
    for locality, palette in (("local", LOCAL_COLOURS), ("cloud", PAID_COLOURS)):
        keys = dict.fromkeys(
            model.model.key
            for side in report.sides
            for model in side.models
            if model.model.locality == locality
        )
        calls = {
            key: sum(m.calls for side in report.sides for m in side.models if m.model.key == key)
            for key in keys
        }
        for place, key in enumerate(sorted(keys, key=lambda key: -calls[key])):
            colours[key] = palette[place % len(palette)]
    return colours


# --- To compare -------------------------------------------------------------------------------------------


def _compare(report: Report) -> str:
    amounts = [(side.name, float(side.usd), dollars(side.usd), "#0f766e") for side in report.sides]
    amounts += [
        (line.name, float(line.usd), dollars(line.usd), "#9aa3af")
        for line in report.lines
        if line.usd is not None and (line.usd or line.locality != "local")
    ]
    free = [
        line.name.removeprefix("all at ")
        for line in report.lines
        if line.usd == 0 and line.locality == "local"
    ]
    free_note = (
        f"Everything at {', '.join(free)} costs nothing here; power, hardware and waiting are not in it."
        if free
        else ""
    )
    return (
        "<h2>The same tasks elsewhere</h2>\n"
        f'<p class="soft">Dollars for all rows, whatever fits and whatever the budget. {text(free_note)}'
        f"</p>\n{bars(amounts, 'Dollars')}"
    )


def _outcomes(report: Report) -> str:
    known = [(side, side.outcomes) for side in report.sides if side.outcomes is not None]
    if not known:
        return ""
    parts = ["<h2>How good the answers were</h2>"]
    points = [
        (side.name, outcomes.strong_share, outcomes.score)
        for side, outcomes in known
        if outcomes.pgr is not None
    ]
    first = known[0][1]
    if points and first.weak is not None and first.strong is not None:
        weak, strong = first.means[first.weak], first.means[first.strong]
        parts.append(
            f'<p class="soft">Score against the share of tasks given to {text(first.strong)}; the line is '
            "what a coin would reach "
            f"between {text(first.weak)} and {text(first.strong)}, the bar a 95 % bootstrap interval.</p>"
        )
        parts.append(quality(points, weak, strong, first.oracle, (first.weak, first.strong)))
    rows = "".join(
        f'<tr><td>{text(side.name)}</td><td class="n">{_interval(outcomes.score)}</td><td '
        f'class="n">{outcomes.strong_share:.1%}</td>'
        f'<td class="n">{_interval(outcomes.pgr)}</td><td class="n">{_interval(outcomes.apgr)}</td>'
        f'<td class="n">{"" if outcomes.random_score is None else f"{outcomes.random_score:.4f}"}</td><td '
        f'class="n">{outcomes.oracle:.4f}</td></tr>'
        for side, outcomes in known
    )
    parts.append(
        '<div class="scroll"><table><tr><th>policy</th><th class="n">score</th><th class="n">strong calls'
        '</th><th class="n">PGR</th>'
        f'<th class="n">APGR</th><th class="n">coin, same share</th><th class="n">oracle</th></tr>{rows}'
        "</table></div>"
    )
    return "\n".join(parts)


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else format_interval(interval)


# --- What moved -------------------------------------------------------------------------------------------


def _moved(report: Report) -> str:
    if len(report.sides) < 2:
        return ""
    rows = sum(move.rows for move in report.moves)
    if not rows:
        return '<h2>What moves</h2>\n<p class="soft">Nothing: both policies decide every row alike.</p>'
    listed = "".join(_move(move, report.rows) for move in report.moves[:MOST_MOVES])
    rest = len(report.moves) - MOST_MOVES
    more = f'<p class="soft">and {rest:,} groups more</p>' if rest > 0 else ""
    return (
        f'<h2>What moves</h2>\n<p class="soft">{rows:,} of {report.rows:,} tasks ({rows / report.rows:.1%}) '
        "go to another model under "
        f"{text(report.sides[1].name)}.</p>\n"
        '<div class="scroll"><table><tr><th class="n">tasks</th><th>from</th><th>to</th><th class="n">dollars'
        "</th><th>because</th></tr>"
        f"{listed}</table></div>{more}"
    )


def _move(move: Move, rows: int) -> str:
    difference = usd(move.exact_after - move.exact_before)
    sign = "+" if difference > 0 else "−" if difference < 0 else ""
    why = "".join(f"<li>{_rule(reason)}{text(reason.did)}</li>" for reason in move.reasons)
    return (
        f'<tr><td class="n">{move.rows:,}<br><span class="soft">{move.rows / rows:.1%}</span></td>'
        f"<td>{text(move.before or 'refused')}</td>"
        f'<td>{text(move.after or "refused")}</td><td class="n">{sign}{dollars(abs(difference))}</td>'
        f'<td><ul class="why">{why}</ul></td></tr>'
    )


def _rule(reason: Reason) -> str:
    return f"<code>{text(reason.rule)}</code> ({text(reason.place)}) " if reason.rule else ""


def _refused(report: Report) -> str:
    parts = []
    for side in report.sides:
        if side.refused:
            title = f"<h3>{text(side.name)}</h3>" if len(report.sides) == 2 else ""
            rows = "".join(
                f'<tr><td class="n">{count:,}</td><td><code>{text(reason.rule)}</code></td>'
                f"<td>{text(reason.place)}</td><td>{text(reason.did)}</td></tr>"
                for reason, count in side.refused_by[:MOST_MOVES]
            )
            parts.append(
                f'{title}<div class="scroll"><table><tr><th class="n">tasks</th><th>rule</th><th>written in'
                f"</th><th></th></tr>{rows}</table></div>"
            )
    watched = "".join(
        f'<tr><td class="n">{count:,}</td><td><code>{text(reason.rule)}</code></td><td>{text(reason.place)}'
        "</td>"
        f"<td>{text(side.name)}</td></tr>"
        for side in report.sides
        for reason, count in side.watched
    )
    if watched:
        watched = (
            '<h2>What is being watched</h2>\n<p class="soft">Guards that do not bite yet, and the tasks '
            "whose chosen model each would have "
            'blocked.</p>\n<div class="scroll"><table><tr><th class="n">tasks</th><th>rule</th><th>written in'
            "</th><th>policy</th></tr>"
            f"{watched}</table></div>"
        )
    if not parts:
        return watched
    return f"{watched}\n" + (
        '<h2>What was refused</h2>\n<p class="soft">Every rule that blocks a model which the route would '
        "have used; a task may stand under several.</p>\n" + "\n".join(parts)
    )


def _foot(report: Report) -> str:
    lines = [f"Note: {note}." for note in report.notes]
    lines += [
        f"{side.name}: policy {side.policy.explainer.policy_digest}, catalogue "
        f"{side.policy.explainer.catalogue_digest}."
        for side in report.sides
    ]
    lines.append(f"Seed {report.seed}; the same log, policies and seed give the same page.")
    return "<footer>" + "".join(f"<div>{text(line)}</div>" for line in lines) + "</footer>"


def dollars(amount: Decimal) -> str:
    """Cents from a dollar up, six places below."""
    places = Decimal("0.01") if amount >= 1 or not amount else Decimal("0.000001")
    return f"${amount.quantize(places, rounding=ROUND_HALF_UP):,f}"
