"""Odd and hostile input to `engine scan`: a note each, and nothing is executed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.migration.scan import scan


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("broken.py", b"def f(:\n", "not Python"),
        ("latin.py", b"x = '\xe4'\n", "encoding"),
        ("lies.py", b"# coding: no-such-codec\nx = 1\n", "encoding"),
        ("nulls.py", b"x = 1\0\n", "null characters"),
        ("huge.py", b"x = 1\n" * 200_000, "larger than"),
        ("brackets.py", b"x = " + b"(" * 5000 + b")" * 5000, "not Python"),
        ("deep_sum.py", b"import openai\nx = " + b"1 + " * 50_000 + b"1\n", "nested too deeply"),
        ("deep_calls.py", b"import openai\nx = y" + b".f()" * 20_000 + b"\n", "nested too deeply"),
        ("deep_not.py", b"import openai\nx = " + b"not " * 3000 + b"1\n", "nested too deeply"),
        ("deep_lambda.py", b"import openai\nx = " + b"lambda: " * 3000 + b"1\n", "nested too deeply"),
        ("future.py", b"match = 1\nexcept* 3\n", "not Python"),
    ],
)
def test_an_odd_file_gives_a_note(tmp_path: Path, name: str, data: bytes, text: str) -> None:
    """Whatever is wrong with a file is said, and the files beside it are scanned."""
    (tmp_path / name).write_bytes(data)
    (tmp_path / "good.py").write_text(
        "import openai\nopenai.OpenAI().chat.completions.create(model='m', messages=[])\n"
    )
    report = scan(tmp_path)
    assert [site.file for site in report.sites] == ["good.py"]
    assert [text in note.text for note in report.notes if note.file == name] == [True]


def test_links_pipes_and_loops_are_left_alone(tmp_path: Path) -> None:
    """Links to files and folders are not followed, a pipe is not opened, a loop does not hang."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.py").write_text(
        "import openai\nopenai.OpenAI().responses.create(model='m', input='x')\n"
    )
    (inside / "link.py").symlink_to(tmp_path / "secret.py")
    (inside / "up").symlink_to(tmp_path)
    os.mkfifo(inside / "pipe.py")
    report = scan(inside)
    assert not report.sites
    assert {note.file: note.text for note in report.notes} == {
        "link.py": "a link: not followed",
        "up": "a link to a folder: not followed",
        "pipe.py": "no plain file: left alone",
    }


def test_nothing_is_executed(tmp_path: Path) -> None:
    """The calls of a module that would write a file on import are found, and no file or SDK is touched."""
    (tmp_path / "evil.py").write_text(
        f"open({str(tmp_path / 'owned')!r}, 'w')\nimport anthropic\n"
        "anthropic.Anthropic().messages.create(model='m', messages=[], max_tokens=1)\n"
    )
    script = (
        "import sys; from engine.migration.scan import scan; r = scan(sys.argv[1]); "
        "print(len(r.sites), sorted({'anthropic', 'openai', 'lark', 'evil'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1 []"
    assert not (tmp_path / "owned").exists()
