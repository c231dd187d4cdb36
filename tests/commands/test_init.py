"""`engine init` writes a folder that works for whatever it finds, and never over anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer
from typing import Any

import pytest

from engine.commands import ollama_tags
from engine.commands.ollama_tags import Pulled, pulled_models
from engine.commands.starter import Found, starter_files
from tests.commands.running import DEFAULT, Shell

PULLED: dict[str, tuple[Pulled, ...] | None] = {
    "no answer": None,
    "no model": (),
    "one known": (Pulled("qwen3:4b", 4.0),),
    "known and unknown": (Pulled("qwen3:4b", 4.0), Pulled("llama3.1", 8.0), Pulled("big:70b", 70.6)),
    "an odd name": (Pulled('a "name": #1 \\', None),),
}
CLOUDS = [(), ("anthropic",), ("openai",), ("anthropic", "openai")]


class Ollama:
    """A loopback server that answers like Ollama."""

    def __init__(self) -> None:
        self.answer: bytes = b'{"models": []}'
        self.status = 200
        self.asked: list[str] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                double.asked.append(self.path)
                self.send_response(double.status)
                self.send_header("Content-Length", str(len(double.answer)))
                self.send_header("Location", "http://192.0.2.1/elsewhere")
                self.end_headers()
                self.wfile.write(double.answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = TCPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ollama]:
    double = Ollama()
    monkeypatch.setenv("OLLAMA_BASE_URL", double.url)
    yield double
    double.close()


@pytest.fixture(autouse=True)
def _nobody_at_the_default_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own Ollama must not answer; port 9 of loopback does not."""
    monkeypatch.setattr(ollama_tags, "DEFAULT_URL", "http://127.0.0.1:9")


@pytest.mark.parametrize("clouds", CLOUDS, ids="+".join)
@pytest.mark.parametrize("pulled", PULLED.values(), ids=PULLED.keys())
def test_what_is_written_lints_clean_and_decides(
    shell: Shell, tmp_path: Path, pulled: tuple[Pulled, ...] | None, clouds: tuple[str, ...]
) -> None:
    """Whatever was found: no finding at all, and a task is explained."""
    for name, text in starter_files(Found(pulled, clouds)).items():
        (tmp_path / name).write_text(text)
    findings = shell("lint", str(tmp_path), "--format", "json").json["findings"]
    assert [
        f"{one['file']}:{one['line']} {one['message']}" for one in findings if one["level"] != "info"
    ] == []
    assert shell("fmt", "--check", str(tmp_path)).code == 0
    tested = shell("test", str(tmp_path), "--mutate", "--format", "json")
    assert tested.code == 0
    assert tested.json["mutation"]["score"] > 0
    explained = shell("explain", "type=qa", "--config", str(tmp_path), "--format", "json")
    assert explained.code == 0
    providers = {candidate["provider"] for candidate in explained.json["candidates"]}
    assert providers == {"ollama", *clouds}
    models = {one["model"] for one in explained.json["candidates"] if one["provider"] == "ollama"}
    assert models == ({model.name for model in pulled} if pulled else {"qwen3:4b", "gemma3:12b", "qwen3:32b"})


def test_with_everything_the_rules_are_the_default_sets(shell: Shell) -> None:
    """The bundled set is the one source: nothing is written twice in the code."""
    files = starter_files(Found(None, ("anthropic", "openai")))
    assert files["main.route"] == (Path(DEFAULT) / "main.route").read_text()
    for name in ("models.yaml", "policies.yaml"):
        assert files[name].strip() in (Path(DEFAULT) / name).read_text()


def test_init_says_what_it_wrote_and_what_comes_next(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ollama: Ollama
) -> None:
    """The next command works as it stands."""
    ollama.answer = json.dumps(
        {"models": [{"name": "qwen3:4b", "details": {"parameter_size": "4.0B"}}]}
    ).encode()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary-1")
    monkeypatch.chdir(tmp_path)
    ran = shell("init")
    assert (ran.code, ran.err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "config").iterdir()) == [
        "main.route",
        "models.yaml",
        "policies.yaml",
    ]
    assert "qwen3:4b" in ran.out
    assert "anthropic is included" in ran.out
    assert "openai is left out (OPENAI_API_KEY is not set)" in ran.out
    written = "".join(path.read_text() for path in (tmp_path / "config").iterdir())
    assert "sk-canary-1" not in written + ran.out
    following = next(line for line in ran.out.splitlines() if line.startswith("next: "))
    assert shell(*following.removeprefix("next: engine ").split()).code == 0
    elsewhere = shell("init", str(tmp_path / "elsewhere" / "deep"))
    assert f"--config {tmp_path / 'elsewhere' / 'deep'}" in elsewhere.out


@pytest.mark.parametrize("there", ["models.yaml", "policies.yaml", "main.route"])
def test_nothing_is_ever_overwritten(shell: Shell, tmp_path: Path, there: str) -> None:
    """One file that exists is enough: it is named, and nothing is written beside it."""
    (tmp_path / there).write_text("mine")
    ran = shell("init", str(tmp_path))
    assert (ran.code, ran.out) == (2, "")
    assert there in ran.err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


def test_a_link_to_nowhere_is_something_too(shell: Shell, tmp_path: Path) -> None:
    """A dangling link is not written through."""
    (tmp_path / "models.yaml").symlink_to(tmp_path / "target")
    assert shell("init", str(tmp_path)).code == 2
    assert not (tmp_path / "target").exists()


def test_a_place_that_cannot_be_written_is_said(shell: Shell, tmp_path: Path) -> None:
    """A file stands where the folder should."""
    (tmp_path / "file").write_text("")
    ran = shell("init", str(tmp_path / "file" / "policy"))
    assert (ran.code, ran.out) == (2, "")
    assert "cannot write" in ran.err


# --- asking Ollama --------------------------------------------------------------------------------------


def test_models_of_other_machines_and_embeddings_are_left_out(ollama: Ollama) -> None:
    """A model that Ollama passes on to a remote host is not local; one that only embeds cannot answer."""
    ollama.answer = json.dumps(
        {
            "models": [
                {"name": "llama3.1:latest", "details": {"parameter_size": "8.0B", "family": "llama"}},
                {"name": "tiny", "details": {"parameter_size": "270M"}},
                {"name": "gpt-oss:120b-cloud", "remote_host": "https://elsewhere.example", "details": {}},
                {"name": "nomic-embed-text:latest", "details": {"family": "nomic-bert"}},
                {"name": "\x1b[31mred", "details": {}},
                {"name": 7},
                "no entry",
            ]
        }
    ).encode()
    assert pulled_models(ollama.url) == (Pulled("tiny", 0.27), Pulled("llama3.1", 8.0))
    assert ollama.asked == ["/api/tags"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"no json", b"[]", b'{"models": 3}', b"[" * 100_000, b'{"models": [' + b" " * (1 << 20) + b"]}"],
)
def test_an_answer_that_is_none_counts_as_none(ollama: Ollama, answer: bytes) -> None:
    """Any answer of a stranger on Ollama's port leaves init working."""
    ollama.answer = answer
    assert pulled_models(ollama.url) is None


def test_a_redirect_is_not_followed(ollama: Ollama) -> None:
    """A redirect is not followed: it would lead away from this machine."""
    ollama.status = 302
    assert pulled_models(ollama.url) is None
    assert len(ollama.asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:11434",
        "http://ollama.example",
        "http://0x7f.1",
        "https://8.8.8.8",
        "file:///etc/passwd",
    ],
)
def test_only_loopback_is_ever_asked(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """An address on another machine is never called."""

    def fail(_: str) -> None:
        raise AssertionError("nobody may be asked")

    monkeypatch.setattr(ollama_tags, "_complete", fail)
    assert pulled_models(url) is None


def test_no_proxy_of_the_environment_is_used(ollama: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is ignored: it would be another machine."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert pulled_models(ollama.url) == ()
