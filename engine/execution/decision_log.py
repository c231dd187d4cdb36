"""What was decided and done, one JSON line a decision -> a file that can be read, replayed and checked. Never
content.

A line holds every fact the decision fell on, exactly, and the digests of the policy it fell under: that
policy and these facts give the same decision again (`facts_of`). It names the tree's path, every candidate,
every attempt and every amount.

Each line carries the hash of the one before it, and `decisions.head` beside the log the last one's number and
hash: an edited, missing, moved or cut line shows (`verify`). That is evidence against tampering, not proof:
who can rewrite both files can rewrite history. Schema: schemas/decision-log.schema.json.
"""

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config.folder import PolicyFolder
from engine.decision.explanation import Explanation
from engine.decision.fact_json import exact_json
from engine.decision.facts import Facts, fact_named, facts_from, read_json
from engine.execution.whole_lines import append_whole, cut_back
from engine.forks import after_fork
from engine.language.checked_policy import FactValue
from engine.language.known_names import Names
from engine.language.vocabulary import GIVEN

try:
    import fcntl
except ImportError:  # a system without it: one process a log
    fcntl = None  # type: ignore[assignment]

VERSION = 1
FILE_NAME = "decisions.jsonl"
MOST_BYTES = 16 * 1024 * 1024
MOST_FILES = 8
START = "sha256:" + "0" * 64

CUT_SHORT = "cut short by a full disk or a crash"
_HEAD_BYTES = 128
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


@dataclass(frozen=True, slots=True)
class _Head:
    seq: int
    hash: str


class DecisionLog:
    """The log in a folder, shared by all processes that use it. At `most_bytes` a file is put aside under the
    number of its first line, and the oldest beyond `most_files` are deleted."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
        self.path = folder / FILE_NAME
        self._folder = folder
        self._most_bytes, self._most_files = most_bytes, most_files
        self._begin_again()
        after_fork(self, DecisionLog._begin_again)
        self._known: tuple[int, int, _Head] | None = None

    def _begin_again(self) -> None:
        self._lock = threading.Lock()

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record. Raises OSError."""
        with self._lock, self._alone():
            log = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                status = os.fstat(log)
                if status.st_size >= self._most_bytes:
                    self._put_aside(log)
                    log, done = (
                        os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600),
                        log,
                    )
                    os.close(done)
                    status = os.fstat(log)
                cut_back(log)
                status = os.fstat(log)
                line = _sealed(record, self._head(status))
                append_whole(log, line.text)
                try:
                    self._write_head(line.head)
                except OSError:
                    os.ftruncate(log, status.st_size)
                    raise
                status = os.fstat(log)
                self._known = status.st_ino, status.st_size, line.head
            finally:
                os.close(log)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self._folder / "decisions.lock"
        try:
            gate = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            gate = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(gate, fcntl.LOCK_EX)
            yield
        finally:
            os.close(gate)

    def _head(self, status: os.stat_result) -> _Head:
        """The last line's number and hash: remembered when nobody else has written, else as the head file
        says."""
        if self._known is not None and self._known[:2] == (status.st_ino, status.st_size):
            return self._known[2]
        head = read_head(self._folder)
        for record in read_records(self.path):
            # A crash between a line and the head: the line counts when it follows.
            if isinstance(record, dict) and record.get("previous") == head.hash and _is_sound(record):
                head = _Head(record["seq"], record["hash"])
        return head

    def _write_head(self, head: _Head) -> None:
        file = os.open(self._folder / "decisions.head", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            text = _encode({"seq": head.seq, "hash": head.hash}).encode().ljust(_HEAD_BYTES) + b"\n"
            if os.pwrite(file, text, 0) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)

    def _put_aside(self, log: int) -> None:
        first = json.loads(os.pread(log, 1 << 20, 0).split(b"\n", 1)[0] or b"{}").get("seq", 0)
        os.rename(self.path, self._folder / f"decisions-{first:012d}.jsonl")
        for old in _put_aside(self._folder)[: 1 - self._most_files or None]:
            old.unlink()


@dataclass(frozen=True, slots=True)
class _Line:
    text: bytes
    head: _Head


def _sealed(record: Mapping[str, Any], head: _Head) -> _Line:
    """The line for a record: its number, its predecessor's hash and its own."""
    text = _encode({**record, "version": VERSION, "seq": head.seq + 1, "previous": head.hash})
    hashed = _hash(text)
    # The hash stands last, outside what it was taken of.
    return _Line(f'{text[:-1]},"hash":"{hashed}"}}\n'.encode(), _Head(head.seq + 1, hashed))


def _hash(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _is_sound(record: Mapping[str, Any]) -> bool:
    body = {name: value for name, value in record.items() if name != "hash"}
    return record.get("hash") == _hash(_encode(body)) and isinstance(record.get("seq"), int)


# -- making a record


def decision_json(explanation: Explanation, folder: PolicyFolder) -> dict[str, Any]:
    """A decision and all it fell on, as plain values; `facts` are exact."""
    decision = explanation.decision
    return {
        "policy_digest": folder.policy_digest,
        "catalogue_digest": folder.catalogue_digest,
        "facts": facts_json(explanation.facts),
        "chain": [model.key for model in decision.chain],
        "route": None if decision.route is None else decision.route.name,
        "weigh": decision.weigh.name,
        "path": [{"fact": step.question.title, "branch": step.branch.label} for step in explanation.path],
        "candidates": [
            {
                "model": candidate.model.key,
                "verdict": candidate.verdict,
                "score": None if candidate.score is None else f"{candidate.score.total:f}",
                "blockers": [rule.name for rule in candidate.blockers],
            }
            for candidate in explanation.candidates
        ],
    }


def facts_json(facts: Facts) -> dict[str, Any]:
    """Facts as `explain --batch` reads them, without any rounding."""
    values: tuple[FactValue, ...] = facts
    return {fact.name: exact_json(value) for fact, value in zip(GIVEN, values, strict=True)}


# -- reading


def facts_of(record: Mapping[str, Any], names: Names) -> Facts:
    """The facts a logged decision fell on, to decide again. Raises InvalidFact when this policy does not know
    them."""
    given = {
        (fact := fact_named(name)).name: read_json(fact, value, names)
        for name, value in record["facts"].items()
    }
    return facts_from(given, names)


def read_records(path: Path) -> Iterator[dict[str, Any] | str]:
    """The records of one file in order; a line that is no record comes as what is wrong with it."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    *whole, rest = data.split(b"\n")
    for number, line in enumerate((*whole, rest), start=1):
        if not line:
            continue
        if number > len(whole):
            yield f"{path.name}:{number}: {CUT_SHORT}; the next line that is written mends it"
            return
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        yield record if isinstance(record, dict) else f"{path.name}:{number}: this is no record"


def read_head(folder: Path) -> _Head:
    """The number and hash of the last line, as `decisions.head` says."""
    try:
        read = json.loads((folder / "decisions.head").read_bytes())
        return _Head(int(read["seq"]), str(read["hash"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return _Head(0, START)


def log_files(folder: Path) -> list[Path]:
    """Every file of the log, oldest first."""
    current = folder / FILE_NAME
    return [*_put_aside(folder), *([current] if current.exists() else [])]


def verify(folder: Path) -> list[str]:
    """What is wrong with the log in this folder: edited, missing, moved or cut lines. Empty when nothing
    is."""
    problems: list[str] = []
    last: _Head | None = None
    for path in log_files(folder):
        for record in read_records(path):
            if isinstance(record, str):
                problems.append(record)
                continue
            where = f"{path.name}: line {record.get('seq')}"
            if not _is_sound(record):
                problems.append(f"{where} was changed after it was written")
                continue
            if last is not None and (record["seq"], record["previous"]) != (last.seq + 1, last.hash):
                problems.append(f"{where} does not follow line {last.seq}")
            if last is None and record["seq"] == 1 and record["previous"] != START:
                problems.append(f"{where} is not the log's first")
            last = _Head(record["seq"], record["hash"])
    head = read_head(folder)
    if (last or _Head(0, START)) != head:
        problems.append(
            f"the log ends with line {last.seq if last else 0}, the last one written was line {head.seq}"
        )
    return problems


def _put_aside(folder: Path) -> list[Path]:
    return sorted(folder.glob("decisions-*.jsonl"))
