"""`engine fmt`: the files it writes, its messages, and its exit codes."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

from engine.cli import main

CROOKED = "forbid   a:cloud # why\n   when b"
STRAIGHT = "forbid a: cloud  # why\n    when b\n"


def run(*words: str) -> int:
    return main(["fmt", *words])


def test_a_file_is_rewritten_in_place_and_keeps_its_mode(tmp_path: Path) -> None:
    """Whole or not at all, nothing left beside it."""
    file = tmp_path / "main.route"
    file.write_text(CROOKED)
    file.chmod(0o640)
    assert run(str(file)) == 0
    assert file.read_text() == STRAIGHT
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["main.route"]


def test_check_and_diff_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 when a file would change, 0 when none would."""
    file = tmp_path / "main.route"
    file.write_text(CROOKED)
    assert run("--check", str(tmp_path)) == 1
    assert capsys.readouterr().out == f"would change {file}\n"
    assert run("--diff", str(tmp_path)) == 1
    shown = capsys.readouterr().out
    assert (
        "\n-forbid   a:cloud # why\n-   when b\n\\ No newline at end of file\n+forbid a: cloud  # why\n"
        in shown
    )
    assert file.read_text() == CROOKED
    file.write_text(STRAIGHT)
    assert run("--check", str(tmp_path)) == 0


def test_a_folder_is_walked_and_links_are_left_alone(tmp_path: Path) -> None:
    """Every `*.route` below it, none whose name begins with a dot, nothing outside it."""
    outside = tmp_path / "outside.route"
    folder = tmp_path / "policies" / "deep"
    (tmp_path / "policies" / ".git").mkdir(parents=True)
    folder.mkdir()
    for file in (outside, folder / "a.route", tmp_path / "policies" / ".git" / "b.route", folder / "c.txt"):
        file.write_text(CROOKED)
    (folder / "link.route").symlink_to(outside)
    os.mkfifo(folder / "pipe.route")
    assert run(str(tmp_path / "policies")) == 0
    assert (folder / "a.route").read_text() == STRAIGHT
    for file in (outside, tmp_path / "policies" / ".git" / "b.route", folder / "c.txt"):
        assert file.read_text() == CROOKED


def test_a_file_with_errors_is_reported_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2; the other files are formatted."""
    bad, good = tmp_path / "a.route", tmp_path / "b.route"
    bad.write_text("forbid a cloud")
    good.write_text(CROOKED)
    assert run(str(tmp_path)) == 2
    assert "a.route:1:" in capsys.readouterr().err
    assert (bad.read_text(), good.read_text()) == ("forbid a cloud", STRAIGHT)


@pytest.mark.parametrize("what", [b"forbid a: \xff", b"\x1b[31m", None])
def test_what_cannot_be_read_is_said(
    what: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes that are not UTF-8, control characters, a missing file: exit code 2, nothing written."""
    file = tmp_path / "main.route"
    if what is not None:
        file.write_bytes(what)
    assert run(str(file)) == 2
    assert what is None or file.read_bytes() == what
    assert capsys.readouterr().err.count("main.route") == 1


def test_a_link_that_is_named_stays_a_link(tmp_path: Path) -> None:
    """The link's target is rewritten."""
    file, link = tmp_path / "real.route", tmp_path / "link.route"
    file.write_text(CROOKED)
    link.symlink_to(file)
    assert run(str(link)) == 0
    assert (link.is_symlink(), file.read_text()) == (True, STRAIGHT)


@pytest.mark.parametrize(
    ("words", "given", "code", "out"),
    [
        ((), CROOKED, 0, STRAIGHT),
        (("--check",), CROOKED, 1, ""),
        (("--check",), STRAIGHT, 0, ""),
        ((), "forbid a cloud", 2, ""),
        (("more",), CROOKED, 2, ""),
    ],
)
def test_standard_input(
    words: tuple[str, ...],
    given: str,
    code: int,
    out: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`-` reads it and writes the result to standard output, alone."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    assert run("-", *words) == code
    assert capsys.readouterr().out == out
