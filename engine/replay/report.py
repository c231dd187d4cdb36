"""A log and one policy or two -> the report: every result of a replay, as plain values to print, serialise
and draw.

Dollars are exact decimals; shares and scores are floats.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from engine.decision.facts import Facts
from engine.language.checked_policy import FactValue
from engine.policy import Policy
from engine.replay.charges import Tokens
from engine.replay.columns import Columns, columns_of
from engine.replay.encoding import Chunk, moment
from engine.replay.errors import UnreadableLog
from engine.replay.explanations import Reason
from engine.replay.logs import CHUNK_ROWS, Log, open_log
from engine.replay.outcomes import Outcomes, outcomes_of
from engine.replay.simulation import Exhaustion, Simulation
from engine.replay.tally import Course, Move, Moves, OfModel, Tally

VERSION = 1
"""The version of the JSON form; see schemas/replay.schema.json."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a replay.

    `mappings` are `FIELD=COLUMN`, `given` facts that are the same for every row; `start` is the instant that
    a `time` of 0 stands for. `pair` names the weak and the strong model of the routing metrics.
    """

    mappings: tuple[str, ...]
    given: Mapping[str, FactValue]
    start: datetime
    simulated: bool | None = None
    rounded: bool = True
    pair: tuple[str, str] | None = None
    seed: int = 1
    chunk_rows: int = CHUNK_ROWS


@dataclass(frozen=True, slots=True)
class Side:
    """One policy's run."""

    name: str
    policy: Policy
    rows: int
    refused: int
    models: tuple[OfModel, ...]
    exhaustions: tuple[Exhaustion, ...]
    refused_by: tuple[tuple[Reason, int], ...]
    watched: tuple[tuple[Reason, int], ...]
    outcomes: Outcomes | None
    course: Course
    recorded: Mapping[tuple[str, str], int]
    reference: str | None

    @property
    def answered(self) -> int:
        return self.rows - self.refused

    @property
    def usd(self) -> Decimal:
        return usd(sum(model.exact for model in self.models))

    @property
    def local_share(self) -> float | None:
        """The share of the answered tasks that stayed local."""
        local = sum(model.calls for model in self.models if model.model.locality == "local")
        return local / self.answered if self.answered else None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of comparison: everything at one model, a random mix, the oracle. `fits` are the rows within
    its window."""

    name: str
    locality: str | None
    usd: Decimal | None
    fits: int | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Every result of a replay."""

    log: str
    rows: int
    first_us: int | None
    last_us: int | None
    input_tokens: int
    output_tokens: int
    columns: Mapping[str, str]
    simulated: bool
    seed: int
    sides: tuple[Side, ...]
    lines: tuple[Line, ...]
    moves: tuple[Move, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values (schemas/replay.schema.json).

        Dollars are decimals in text, so that no digit is lost.
        """
        return {
            "version": VERSION,
            "log": {
                "file": self.log,
                "rows": self.rows,
                "first": None if self.first_us is None else moment(self.first_us),
                "last": None if self.last_us is None else moment(self.last_us),
                "input_tokens": self.input_tokens,
                "output_tokens": self.output_tokens,
                "columns": dict(self.columns),
            },
            "budgets": "simulated" if self.simulated else "recorded",
            "seed": self.seed,
            "policies": [_side_json(side) for side in self.sides],
            "lines": [
                {
                    "name": line.name,
                    "locality": line.locality,
                    "usd": None if line.usd is None else _amount(line.usd),
                    "fits": line.fits,
                    "score": _rounded(line.score),
                }
                for line in self.lines
            ],
            "moved": None if len(self.sides) < 2 else _moved_json(self.moves),
            "notes": list(self.notes),
        }


def replay(
    path: Path,
    policies: Sequence[tuple[str, Policy]],
    options: Options,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Decides every row of a log under one policy or two. Raises UnreadableLog."""
    log = open_log(path)
    models = list(dict.fromkeys(model.key for _, policy in policies for model in policy.catalogue.models))
    columns = _columns(log, options, models)
    simulated = not log.is_decision_log if options.simulated is None else options.simulated
    simulations = [Simulation(policy, simulated=simulated, rounded=options.rounded) for _, policy in policies]
    tallies = [Tally(simulation) for simulation in simulations]
    moves = Moves(simulations[0], simulations[1]) if len(simulations) == 2 else None
    first_us = last_us = None
    rows = 0
    for frame in log.chunks(sorted(set(columns.by_field.values())), options.chunk_rows):
        played = []
        for (_, policy), simulation, tally in zip(policies, simulations, tallies, strict=True):
            assumed: Facts = policy.assumed.facts
            chunk = Chunk(
                rows, frame.height, frame, columns, options.start, assumed, options.given, policy.names
            )
            tokens = Tokens(chunk, simulation.models)
            played.append(simulation.play(chunk, tokens))
            tally.add(chunk, tokens, played[-1])
        if moves is not None:
            moves.add(chunk, played[0], played[1])
        if chunk.times_us is not None:
            first_us = int(chunk.times_us[0]) if first_us is None else first_us
            last_us = int(chunk.times_us[-1])
        rows += frame.height
        if progress is not None:
            progress(rows)
    if not rows:
        raise UnreadableLog(f"{path} holds no rows")
    sides = tuple(
        _side(name, policy, tally, options) for (name, policy), tally in zip(policies, tallies, strict=True)
    )
    found = sorted(moves.groups.values(), key=lambda move: (-move.rows, move.first_row)) if moves else []
    return Report(
        log=path.name,
        rows=rows,
        first_us=first_us,
        last_us=last_us,
        input_tokens=tallies[0].all_tokens[0],
        output_tokens=tallies[0].all_tokens[1],
        columns=columns.by_field,
        simulated=simulated,
        seed=options.seed,
        sides=sides,
        lines=tuple(_lines(tallies[0], sides[0])),
        moves=tuple(found),
        notes=tuple(_notes(columns, simulated)),
    )


def usd(exact: int) -> Decimal:
    """Millionths of a micro-dollar as dollars, exactly."""
    return Decimal(exact).scaleb(-12)


def _columns(log: Log, options: Options, models: Sequence[str]) -> Columns:
    columns = columns_of(log.names, log.numeric, options.mappings, models)
    shadowed = set(options.given) & set(columns.by_field)
    return Columns({field: column for field, column in columns.by_field.items() if field not in shadowed})


def _side(name: str, policy: Policy, tally: Tally, options: Options) -> Side:
    keys = [model.key for model in policy.catalogue.models]
    # Numbers among the models that have scores; -2 for a model without, -1 for a refusal.
    places = {place: number for number, place in enumerate(tally.scored)} | {-1: -1}
    counted: dict[tuple[float, ...], int] = {}
    for outcome, count in tally.outcomes.items():
        key = (float(places.get(int(outcome[0]), -2)), *outcome[1:])
        counted[key] = counted.get(key, 0) + count
    scored = [keys[place] for place in tally.scored]
    if options.pair is not None and counted:
        for model in options.pair:
            if model not in scored:
                raise UnreadableLog(f"--weak and --strong: the log holds no score of {model!r}")
    localities = {model.key: model.locality for model in policy.catalogue.models}
    outcomes = outcomes_of(counted, scored, options.pair, localities, options.seed) if counted else None
    return Side(
        name,
        policy,
        tally.rows,
        tally.refused,
        tuple(tally.models),
        tuple(tally.simulation.exhaustions),
        tuple(tally.refusals.counted()),
        tuple(tally.watched.counted()),
        outcomes,
        tally.course,
        dict(sorted(tally.recorded.items(), key=lambda item: (-item[1], item[0]))),
        None if tally.reference is None else keys[tally.reference],
    )


def _lines(tally: Tally, side: Side) -> list[Line]:
    """The cost of the same rows elsewhere. None of these lines knows a budget or a guard."""
    means = {} if side.outcomes is None else side.outcomes.means
    lines = [
        Line(
            f"all at {model.model.key}",
            model.model.locality,
            usd(tally.everything_at[place]) if model.model.price is not None else None,
            tally.fits[place],
            means.get(model.model.key),
        )
        for place, model in enumerate(side.models)
    ]
    mixed = sum(
        (
            Fraction(model.calls, tally.rows) * tally.everything_at[place]
            for place, model in enumerate(side.models)
        ),
        Fraction(0),
    )
    score = None
    if side.outcomes is not None and all(model.model.key in means for model in side.models if model.calls):
        score = sum(model.calls / tally.rows * means[model.model.key] for model in side.models if model.calls)
    lines.append(Line("random mix of the same size, expected", None, usd(round(mixed)), None, score))
    if side.outcomes is not None:
        lines.append(
            Line(
                "oracle, the cheapest of the best", None, usd(tally.oracle_exact), None, side.outcomes.oracle
            )
        )
    return lines


def _notes(columns: Columns, simulated: bool) -> list[str]:
    known = columns.by_field
    notes = []
    if "tokens.output" not in known and not columns.after("tokens.output."):
        notes.append(
            "the log says nothing of replies: dollars are those of the prompts alone (--map "
            "tokens.output=COLUMN)"
        )
    if (
        "tokens.input" not in known
        and "task.context_size" not in known
        and not columns.after("tokens.input.")
    ):
        notes.append("the log says nothing of prompts: nothing costs anything (--map tokens.input=COLUMN)")
    if "time" not in known and simulated:
        notes.append("the log has no time: all rows fall in one day, Monday noon (--map time=COLUMN)")
    if simulated:
        notes.append(
            "the call that reaches a limit is counted whole; the router would have shortened it or moved it "
            "on"
        )
    return notes


# --- JSON -------------------------------------------------------------------------------------------------


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "folder": side.name,
        "policy_digest": side.policy.explainer.policy_digest,
        "catalogue_digest": side.policy.explainer.catalogue_digest,
        "calls": side.answered,
        "refused": side.refused,
        "local_share": _rounded(side.local_share),
        "usd": _amount(side.usd),
        "models": [
            {
                "model": model.model.key,
                "provider": model.model.provider,
                "locality": model.model.locality,
                "calls": model.calls,
                "input_tokens": model.input_tokens,
                "output_tokens": model.output_tokens,
                "usd": _amount(usd(model.exact)),
            }
            for model in side.models
        ],
        "exhausted": [
            {
                "account": gone.account,
                "window": None if gone.window_start_s is None else moment(gone.window_start_s * 1_000_000),
                "row": gone.row,
                "at": None if gone.at_us is None else moment(gone.at_us),
                "limit_usd": _amount(Decimal(gone.limit_micro_usd).scaleb(-6)),
                "spent_usd": _amount(Decimal(gone.spent_micro_usd).scaleb(-6)),
            }
            for gone in side.exhaustions
        ],
        "refused_by": [
            {"did": reason.did, "rule": reason.rule, "place": reason.place, "rows": rows}
            for reason, rows in side.refused_by
        ],
        "watched": [
            {"rule": reason.rule, "place": reason.place, "rows": rows} for reason, rows in side.watched
        ],
        "outcomes": None if side.outcomes is None else _outcomes_json(side.outcomes),
        "recorded": [
            {"from": was or None, "to": now or None, "rows": rows}
            for (was, now), rows in side.recorded.items()
        ],
    }


def _outcomes_json(outcomes: Outcomes) -> dict[str, Any]:
    def interval(of: Any) -> dict[str, Any] | None:
        if of is None:
            return None
        return {"value": _rounded(of.value), "low": _rounded(of.low), "high": _rounded(of.high)}

    return {
        "rows": outcomes.rows,
        "unknown": outcomes.unknown,
        "score": interval(outcomes.score),
        "means": {model: _rounded(mean) for model, mean in outcomes.means.items()},
        "oracle": _rounded(outcomes.oracle),
        "weak": outcomes.weak,
        "strong": outcomes.strong,
        "strong_share": _rounded(outcomes.strong_share),
        "pgr": interval(outcomes.pgr),
        "percent_of_strong": _rounded(outcomes.percent_of_strong),
        "apgr": interval(outcomes.apgr),
        "cpt": {f"{level:.0%}": _rounded(share) for level, share in outcomes.cpt},
        "random_score": _rounded(outcomes.random_score),
    }


def _moved_json(moves: Sequence[Move]) -> dict[str, Any]:
    return {
        "rows": sum(move.rows for move in moves),
        "usd_before": _amount(usd(sum(move.exact_before for move in moves))),
        "usd_after": _amount(usd(sum(move.exact_after for move in moves))),
        "groups": [
            {
                "from": move.before,
                "to": move.after,
                "rows": move.rows,
                "usd_before": _amount(usd(move.exact_before)),
                "usd_after": _amount(usd(move.exact_after)),
                "first_row": move.first_row,
                "because": [
                    {"did": reason.did, "rule": reason.rule, "place": reason.place} for reason in move.reasons
                ],
            }
            for move in moves
        ],
    }


def _amount(amount: Decimal) -> str:
    """Every digit that is not a trailing zero, and at least the cents."""
    text = f"{amount:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
