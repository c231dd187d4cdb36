"""`engine lsp` without its extra."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.cli import main


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what to install."""
    monkeypatch.setitem(sys.modules, "engine.editor.server", None)
    monkeypatch.delitem(sys.modules, "engine.editor.server")
    monkeypatch.setitem(sys.modules, "lsprotocol", None)
    assert main(["lsp"]) == 2
    said = capsys.readouterr()
    assert (said.out, "pip install 'local-first-router[lsp]'" in said.err) == ("", True)


def test_no_other_command_loads_the_protocol() -> None:
    """Not even the help of all commands."""
    script = (
        "import sys; from engine.cli import parser; parser(); print('pygls' in sys.modules, "
        "'lsprotocol' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
