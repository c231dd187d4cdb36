"""`engine tune`: from outcomes of two models, a `.route` file that says which tasks need the better one."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument
from engine.commands.replay import add_log_arguments, load_policies, log_options, write_page
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.replay.outcomes import Interval
    from engine.replay.tuning import Proposal, Score, Wanted

SUMMARY = "propose routes from outcomes, fitted on one part of them and scored on the other"
DESCRIPTION = """Reads a log in which two models were scored on every task, and proposes which task types (and
labels) go to the better one: engine tune outcomes.csv --map type=subject score.small=small_ok
score.big=big_ok --weak small --strong big --quality 95%%. What it says of the proposal it says of rows that
it was not fitted on. Exit code 1 when these show no more than chance."""
NOT_SHOWN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", metavar="LOG", help="a .csv, .jsonl or .parquet file with scores")
    add_config_argument(parser)
    add_log_arguments(parser)
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--quality", metavar="PERCENT", help="of the strong model's score (default: 95%%)")
    wanted.add_argument("--budget", metavar="PERCENT", help="of the calls at most to the strong model")
    parser.add_argument(
        "--fit", default="50%", metavar="PERCENT", help="of the rows to fit on (default: 50%%)"
    )
    parser.add_argument(
        "--without",
        nargs="+",
        action="extend",
        default=[],
        metavar="TYPE",
        help="once more without these task types",
    )
    parser.add_argument("--types-only", action="store_true", help="do not look at labels")
    parser.add_argument("--out", metavar="FILE", help="write the proposed routes there")
    add_format_argument(parser, "text", "json")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    policies = load_policies([arguments.config], terminal)
    if policies is None:
        return COULD_NOT_RUN
    policy = policies[0][1]
    from engine.replay.errors import UnreadableLog
    from engine.replay.proposal import FEWEST_ROWS, read_table, route_file
    from engine.replay.tuning import Wanted, tune

    options = log_options(arguments, policy)
    if options.pair is None:
        raise UnreadableLog("say which two models: --weak MODEL --strong MODEL")
    wanted = (
        Wanted(budget=share(arguments.budget))
        if arguments.budget
        else Wanted(share(arguments.quality or "95%"))
    )
    table = read_table(Path(arguments.log), policy, options)
    left = table.without(arguments.without)
    if arguments.without and (left.rows < FEWEST_ROWS or left.rows == table.rows):
        raise UnreadableLog(
            f"--without {' '.join(arguments.without)} leaves {left.rows} of {table.rows} rows"
        )
    fit, labels = share(arguments.fit), not arguments.types_only
    proposal = tune(table, wanted, options.seed, fit_share=fit, use_labels=labels)
    again = tune(left, wanted, options.seed, fit_share=fit, use_labels=labels) if arguments.without else None
    weak, strong = options.pair
    routes = route_file(again or proposal, weak, strong, Path(arguments.log).name, options.seed)
    if arguments.out:
        write_page(Path(arguments.out), routes)
    if arguments.format == "json":
        terminal.say(
            json.dumps(
                _json(proposal, again, arguments.without, options.pair, options.seed, routes), indent=1
            )
        )
    else:
        parts = [_text(proposal, weak, strong)]
        if again is not None:
            parts.append(f"without {', '.join(arguments.without)}:\n\n{_text(again, weak, strong)}")
        parts += [] if arguments.out else [routes.rstrip()]
        terminal.say("\n\n".join(parts))
    return 0 if (again or proposal).beats_chance else NOT_SHOWN


def share(text: str) -> float:
    """`95%` or `0.95`. Raises UnreadableLog."""
    from engine.replay.errors import UnreadableLog

    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise UnreadableLog(f"{text!r} is no share between 0% and 100%")
    return value


def _text(proposal: "Proposal", weak: str, strong: str) -> str:
    from engine.commands.tables import table
    from engine.replay.outcomes import format_interval
    from engine.replay.proposal import claims

    held = proposal.held_out
    rows = [
        [
            "proposal",
            f"{held.share:.1%}",
            format_interval(held.score),
            format_interval(held.percent_of_strong, percent=True),
        ],
        [
            "a coin, same share",
            f"{held.share:.1%}",
            f"{held.coin:.4f}",
            f"{held.coin / held.strong:.1%}" if held.strong else "",
        ],
        ["types shuffled, same share", f"{held.share:.1%}", format_interval(proposal.shuffled_score), ""],
        [f"all {weak}", "0.0%", f"{held.weak:.4f}", f"{held.weak / held.strong:.1%}" if held.strong else ""],
        [f"all {strong}", "100.0%", f"{held.strong:.4f}", "100.0%"],
    ]
    titles = ["", f"calls to {strong}", "score", "of its score"]
    lines = [
        f"fitted on {proposal.fitted.rows:,} rows, scored on {held.rows:,} that were not fitted on",
        table(titles, rows, right=titles[1:]),
        f"APGR {proposal.apgr:.4f}; a coin 0.5; types shuffled {format_interval(proposal.shuffled_apgr)}",
    ]
    if (
        proposal.wanted.quality is not None
        and proposal.share_at_quality is not None
        and proposal.shuffled_share is not None
    ):
        lines.append(
            f"to reach {proposal.wanted.quality:.0%} of {strong}'s score: {proposal.share_at_quality:.1%} of "
            f"calls; a coin {proposal.coin_share:.1%}; types shuffled "
            f"{format_interval(proposal.shuffled_share, percent=True)}"
        )
    if proposal.splits is not None:
        lines.append(
            f"cut otherwise, 20 times: {proposal.splits.value:.1%} in the middle, {proposal.splits.low:.1%} "
            f"to {proposal.splits.high:.1%}"
        )
    return "\n".join([*lines, *claims(proposal, strong)])


def _json(
    proposal: "Proposal",
    again: "Proposal | None",
    without: list[str],
    pair: tuple[str, str],
    seed: int,
    routes: str,
) -> dict[str, Any]:
    return {
        "version": 1,
        "weak": pair[0],
        "strong": pair[1],
        "seed": seed,
        "proposal": _proposal_json(proposal),
        "without": None if again is None else {"types": without, "proposal": _proposal_json(again)},
        "routes": routes,
    }


def _proposal_json(proposal: "Proposal") -> dict[str, Any]:
    return {
        "wanted": _wanted_json(proposal.wanted),
        "labels": list(proposal.labels),
        "fitted": _score_json(proposal.fitted),
        "held_out": _score_json(proposal.held_out),
        "apgr": round(proposal.apgr, 6),
        "share_at_quality": _rounded(proposal.share_at_quality),
        "coin_share": _rounded(proposal.coin_share),
        "shuffled": {
            "score": _interval_json(proposal.shuffled_score),
            "apgr": _interval_json(proposal.shuffled_apgr),
            "share_at_quality": _interval_json(proposal.shuffled_share),
        },
        "other_cuts": _interval_json(proposal.splits),
        "reaches_quality": proposal.reaches_quality,
        "beats_chance": proposal.beats_chance,
        "cells": [
            {
                "type": cell.type,
                "labels": dict(zip(proposal.labels, cell.with_labels, strict=True)),
                "rows": cell.rows,
                "gain": round(cell.gain, 6),
                "predicted": round(cell.predicted, 6),
                "strong": cell.strong,
            }
            for cell in proposal.cells
        ],
    }


def _wanted_json(wanted: "Wanted") -> dict[str, Any]:
    return {"quality": wanted.quality, "budget": wanted.budget}


def _score_json(score: "Score") -> dict[str, Any]:
    return {
        "rows": score.rows,
        "weak": round(score.weak, 6),
        "strong": round(score.strong, 6),
        "share": round(score.share, 6),
        "score": _interval_json(score.score),
        "percent_of_strong": _interval_json(score.percent_of_strong),
        "pgr": round(score.pgr, 6),
        "coin": round(score.coin, 6),
        "over_coin": _interval_json(score.over_coin),
    }


def _interval_json(interval: "Interval | None") -> dict[str, Any] | None:
    if interval is None:
        return None
    return {"value": _rounded(interval.value), "low": _rounded(interval.low), "high": _rounded(interval.high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
