"""`engine lsp` as an editor starts it, and without its extra."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

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


class Editor:
    """A client over the program's standard input and output; no library of the server's is used."""

    def __init__(self, root: Path) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "engine", "lsp", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._requests = 0
        self.problems: dict[str, list[dict[str, Any]]] = {}
        self.request("initialize", {"processId": None, "rootUri": root.as_uri(), "capabilities": {}})
        self.notify("initialized", {})

    def notify(self, method: str, params: object) -> None:
        self._send({"method": method, "params": params})

    def request(self, method: str, params: object) -> Any:
        """The answer to this request; diagnostics that come before it are kept."""
        self._requests += 1
        self._send({"id": self._requests, "method": method, "params": params})
        while (message := self._receive()).get("id") != self._requests or "method" in message:
            self._take(message)
        return message["result"]

    def published(self, file: Path) -> list[dict[str, Any]]:
        """What the server says of a file, waiting until it has said something."""
        while file.name not in self.problems:
            self._take(self._receive())
        return self.problems[file.name]

    def leave(self) -> tuple[int, str]:
        """Shut down and exit: the exit code, and what stood on standard error."""
        self.request("shutdown", None)
        self.notify("exit", None)
        _, errors = self._program.communicate()
        return self._program.returncode, errors.decode()

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "textDocument/publishDiagnostics":
            name = Path(unquote(urlsplit(message["params"]["uri"]).path)).name
            self.problems[name] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            self._send({"id": message["id"], "result": None})

    def _send(self, message: dict[str, object]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._program.stdin is not None
        self._program.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._program.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._program.stdout is not None
        length = 0
        while line := self._program.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the server left"
        message: dict[str, Any] = json.loads(self._program.stdout.read(length))
        return message


def test_a_session_ends_with_0(tmp_path: Path) -> None:
    """Open, see the mistake, mend it, see it gone, shutdown, exit: nothing on standard error, exit code 0."""
    folder = tmp_path / "policy"
    assert main(["init", str(folder)]) == 0
    file = folder / "mine.route"
    file.write_text("")
    editor = Editor(folder)
    wrong = "forbid a: clowd\n"
    document = {"uri": file.as_uri(), "languageId": "route", "version": 1, "text": wrong}
    editor.notify("textDocument/didOpen", {"textDocument": document})
    assert [problem["code"] for problem in editor.published(file)] == ["unknown-name"]
    del editor.problems[file.name]
    changed = {"textDocument": {"uri": file.as_uri(), "version": 2}}
    editor.notify(
        "textDocument/didChange", changed | {"contentChanges": [{"text": wrong.replace("clowd", "cloud")}]}
    )
    assert not [problem for problem in editor.published(file) if problem["severity"] == 1]
    assert editor.leave() == (0, "")


def test_no_other_command_loads_the_protocol() -> None:
    """Not even the help of all commands."""
    script = (
        "import sys; from engine.cli import parser; parser(); print('pygls' in sys.modules, "
        "'lsprotocol' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
