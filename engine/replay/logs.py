"""A file of recorded tasks -> frames of rows, chunk by chunk: CSV, JSON lines and Parquet, and the engine's
own decision log.

The rows are the file's, in the file's order; a file larger than memory is read a chunk at a time.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from engine.decision.facts import INDEX
from engine.language.vocabulary import GIVEN, Kind
from engine.replay.errors import UnreadableLog

CHUNK_ROWS = 1_000_000
"""Rows in memory at a time; the answer does not depend on it."""

INFER_ROWS = 10_000
FORMATS = (".csv", ".csv.gz", ".jsonl", ".ndjson", ".jsonl.gz", ".parquet")


@dataclass(frozen=True, slots=True)
class Log:
    """A log file: its columns, which of them hold numbers, and how to read it."""

    path: Path
    names: tuple[str, ...]
    numeric: frozenset[str]
    is_decision_log: bool
    _frame: "pl.LazyFrame | None"
    _files: tuple[Path, ...] = ()

    def chunks(self, columns: list[str], rows: int = CHUNK_ROWS) -> Iterator[pl.DataFrame]:
        """The named columns, in order. Raises UnreadableLog."""
        try:
            if self._frame is None:
                yield from _decisions(self._files, rows)
            else:
                yield from _rows(self._frame.select(columns or list(self.names[:1])), rows)
        except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
            raise UnreadableLog(f"cannot read {self.path}: {_first_line(error)}") from None


def open_log(path: Path) -> Log:
    """Opens a log and reads its columns. Raises UnreadableLog for a file that is missing or is no log."""
    if path.is_dir():
        return _decision_log_in(path)
    kind = next((kind for kind in FORMATS if path.name.lower().endswith(kind)), None)
    if kind is None:
        raise UnreadableLog(f"{path} is none of {', '.join(FORMATS)}")
    if not path.is_file():
        raise UnreadableLog(f"there is no file {path}")
    try:
        if kind.startswith((".jsonl", ".ndjson")):
            if _is_decision_log(path):
                return Log(path, DECISION_COLUMNS, frozenset(), True, None, (path,))
            frame = pl.scan_ndjson(path, infer_schema_length=INFER_ROWS)
        elif kind == ".parquet":
            frame = pl.scan_parquet(path)
        else:
            frame = pl.scan_csv(path, infer_schema_length=INFER_ROWS)
        schema = frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise UnreadableLog(f"cannot read {path}: {_first_line(error)}") from None
    numeric = frozenset(name for name, kind_ in schema.items() if kind_.is_numeric())
    return Log(path, tuple(schema.names()), numeric, False, frame)


def _rows(frame: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    waiting: list[pl.DataFrame] = []
    height = 0
    for batch in frame.collect_batches(chunk_size=rows, maintain_order=True):
        waiting.append(batch)
        height += batch.height
        while height >= rows:
            whole = pl.concat(waiting)
            yield whole.head(rows)
            waiting, height = [whole.slice(rows)], height - rows
    if height:
        yield pl.concat(waiting)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["it is no such file"])[0]


# --- The decision log -----------------------------------------------------------------------------------

DECISION_COLUMNS = (*INDEX, "time", "tokens.input", "tokens.output", "recorded.model")


def _is_decision_log(path: Path) -> bool:
    if path.name.endswith(".gz"):
        return False
    with path.open("rb") as lines:
        try:
            first = json.loads(lines.readline(1 << 20))
        except (ValueError, RecursionError):
            return False
    return isinstance(first, dict) and isinstance(first.get("facts"), dict) and "policy_digest" in first


def _decision_log_in(folder: Path) -> Log:
    """All files of the log in a state folder, oldest first."""
    current = folder / "decisions.jsonl"
    files = (*sorted(folder.glob("decisions-*.jsonl")), *([current] if current.is_file() else []))
    if not files:
        raise UnreadableLog(f"there is no decision log in {folder}")
    return Log(folder, DECISION_COLUMNS, frozenset(), True, None, files)


def _decisions(files: Sequence[Path], rows: int) -> Iterator[pl.DataFrame]:
    waiting: list[dict[str, Any]] = []
    for path in files:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    waiting.append(_decision(json.loads(line)))
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    raise UnreadableLog(f"{path}:{number}: this is no record of a decision") from None
                if len(waiting) >= rows:
                    yield _frame(waiting)
                    waiting = []
    if waiting:
        yield _frame(waiting)


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {name: pl.Int64 if name in _WHOLE else pl.String for name in DECISION_COLUMNS}
    return pl.DataFrame(rows, schema=schema)


_WHOLE = frozenset(
    {fact.name for fact in GIVEN if fact.kind is Kind.TOKENS} | {"tokens.input", "tokens.output"}
)


def _decision(record: dict[str, Any]) -> dict[str, Any]:
    """One row: the recorded facts, the time, the tokens of an answer, and the chosen model."""
    facts = {
        name: value if name in _WHOLE else _text(value)
        for name, value in record["facts"].items()
        if name in INDEX
    }
    answered: dict[str, Any] = next(
        (a for a in record.get("attempts", ()) if a.get("input_tokens") is not None), {}
    )
    expected = record.get("request", {}).get("expected_tokens", 0)
    chain = record["chain"]
    return {
        **facts,
        "time": record["at"],
        "tokens.input": answered.get("input_tokens", expected),
        "tokens.output": answered.get("output_tokens") or 0,
        "recorded.model": chain[0] if chain else "",
    }


def _text(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ",".join(str(name) for name in value)
        case _:
            return str(value)
