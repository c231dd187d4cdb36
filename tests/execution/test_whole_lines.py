"""A full disk never tears a log: whatever byte it stops at, the log holds whole lines and goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.execution import whole_lines
from engine.execution.decision_log import CUT_SHORT, FILE_NAME, DecisionLog, read_records, verify
from engine.migration import shadow

RECORD = {"a": "x" * 40}


def full_after(monkeypatch: pytest.MonkeyPatch, room: int) -> Callable[[], None]:
    """A disk with `room` bytes left; the result makes room again."""
    real, left = os.write, [room]

    def write(file: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(file, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(whole_lines.os, "write", write)
    return lambda: monkeypatch.setattr(whole_lines.os, "write", real)


@pytest.mark.parametrize("room", range(0, 220, 7))
def test_a_decision_log_on_a_full_disk_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """The line that does not fit is left out whole, and the next one follows the last."""
    log = DecisionLog(tmp_path)
    log.append(RECORD)
    make_room = full_after(monkeypatch, room)
    with pytest.raises(OSError, match="space"):
        log.append(RECORD)
    make_room()
    assert verify(tmp_path) == []
    DecisionLog(tmp_path).append(RECORD)
    assert verify(tmp_path) == []
    assert [record["seq"] for record in read_records(tmp_path / FILE_NAME)] == [1, 2]  # type: ignore[index]


def test_a_torn_tail_is_called_so_and_cut_back(tmp_path: Path) -> None:
    """What a crash left behind is no tampering, and is gone with the next line."""
    log = DecisionLog(tmp_path)
    log.append(RECORD)
    with open(tmp_path / FILE_NAME, "ab") as file:
        file.write(b'{"a":"xx')
    (problem,) = verify(tmp_path)
    assert CUT_SHORT in problem
    DecisionLog(tmp_path).append(RECORD)
    assert verify(tmp_path) == []


@pytest.mark.parametrize("room", [0, 1, 10, 14])
def test_a_shadow_log_on_a_full_disk_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """The same for the log beside legacy calls."""
    path = tmp_path / "shadow.jsonl"
    shadow._append(path, {"a": 1})
    make_room = full_after(monkeypatch, room // 2)
    with pytest.raises(OSError, match="space"):
        shadow._append(path, {"a": 2})
    make_room()
    shadow._append(path, {"a": 3})
    assert path.read_text() == '{"a":1}\n{"a":3}\n'
