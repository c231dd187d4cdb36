"""local-only is silent: no command asks a cloud anything, and `--probe-cloud` says otherwise, once."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.running import Shell

from ..providers.socket_audit import AUDIT, Audit

MODELS = """
providers:
  far:
    type: cloud
    api: openai
    base_url: %s
    api_key_env: FAR_KEY
    discover: true
    models:
      - {id: c1, max_context: 9000, quality_tier: high, latency_tier: low, tools: "yes",
         cost_profile: {type: paid, input_per_1m: 1, output_per_1m: 1}}
  ollama:
    type: local
    api: ollama
    base_url: http://127.0.0.1:1
    discover: true
    models:
      - {id: l1, max_context: 9000, quality_tier: high, latency_tier: low, tools: "yes",
         cost_profile: {type: local_cpu}}
"""
CONFIG = ("--config", "{folder}")
COMMANDS = (
    ("health", *CONFIG),
    ("doctor", "--live", *CONFIG),
    ("models", *CONFIG),
    ("models", "--live", *CONFIG),
    ("explain", "type=qa", "--live", *CONFIG),
    ("explain", "type=qa", *CONFIG),
    ("lint", "{folder}"),
    ("fmt", "--check", "{folder}"),
    ("show", *CONFIG),
    ("tree", *CONFIG),
    ("test", "{folder}"),
    ("prove", "{folder}"),
    ("diff", "{folder}", "{folder}"),
    ("review", "{folder}", "{folder}"),
    ("comment", "{folder}/log.jsonl", "--pull-request", "1"),
    ("usage", *CONFIG),
    ("invoke", "hello", "type=qa", *CONFIG),
    ("replay", "{folder}/log.jsonl", *CONFIG),
    ("tune", "{folder}/log.jsonl", *CONFIG),
    ("scan", "{folder}"),
    *(("completion", shell) for shell in ("bash", "zsh", "tcsh")),
    *(("ledger", what, *CONFIG) for what in ("show", "reopen", "accept-clock", "reconcile", "adopt")),
    ("sessions", "list", *CONFIG),
    *(("sessions", what, "mine", "--name", *CONFIG) for what in ("show", "forget")),
    ("sessions", "label", "mine", "secret", "--name", *CONFIG),
    ("init", "{folder}/new"),
)
_CLIENT = (
    b'{"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}'
)
SERVERS = {
    "lsp": b"".join(
        b"Content-Length: %d\r\n\r\n%s" % (len(said), said)
        for said in (
            b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}',
            b'{"jsonrpc": "2.0", "id": 2, "method": "shutdown"}',
            b'{"jsonrpc": "2.0", "method": "exit"}',
        )
    ),
    "mcp": b"\n".join(
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": %s}' % _CLIENT,
            b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
            b'{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "lint"}}',
            b"",
        )
    ),
}
"""What serves on standard input and output, and what a client says to it."""
LISTENED = """
import sys
from tests.providers.socket_audit import AUDIT
AUDIT.install()
from engine.cli import main
ended = main(sys.argv[1:])
print("peers:", AUDIT.peers, "outside:", AUDIT.outside, file=sys.stderr)
sys.exit(ended)
"""


@pytest.fixture
def audit() -> Iterator[Audit]:
    """Every connect of the block."""
    AUDIT.install()
    AUDIT.reset()
    yield AUDIT
    AUDIT.reset()


class Canary:
    """A cloud that listens on loopback."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._peers: list[int] = []
        self._heard = threading.Condition()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._listening.accept()
            except OSError:
                return
            connection.close()
            with self._heard:
                self._peers.append(peer[1])
                self._heard.notify_all()

    def connections(self) -> int:
        """How many have come. They are taken in order, so one of our own, once it is seen, comes last."""
        with socket.create_connection(("127.0.0.1", self.port)) as own:
            port = own.getsockname()[1]
            with self._heard:
                self._heard.wait_for(lambda: port in self._peers)
                return self._peers.index(port)

    def close(self) -> None:
        """Stop listening."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture
def canary() -> Iterator[Canary]:
    """A cloud that must not be asked."""
    listening = Canary()
    yield listening
    listening.close()


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: Canary) -> str:
    """A policy folder in local-only, with a cloud that listens and a key for it."""
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "models.yaml").write_text(MODELS % f"http://127.0.0.1:{canary.port}/v1")
    (folder / "policies.yaml").write_text("routing: {default_mode: local-only}\ntask_types: [qa]\n")
    (folder / "log.jsonl").write_text("{}\n")
    (folder / "main.route").write_text("route r: use cloud, then any\n")
    monkeypatch.setenv("FAR_KEY", "sk-not-to-be-sent")
    return str(folder)


def _forms() -> set[tuple[str, ...]]:
    """Every command, with each word that says what it is to do."""
    import argparse

    from engine.cli import parser

    (named,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    forms: set[tuple[str, ...]] = set()
    for name, command in named.choices.items():
        words = [
            action.choices for action in command._actions if action.choices and not action.option_strings
        ]
        forms |= {(name, word) for word in words[0]} if words else {(name,)}
    return forms


def test_every_command_is_listened_to() -> None:
    """Whatever `engine --help` and the helps of its commands list, new ones included."""
    listened = {command[:size] for command in COMMANDS for size in (1, 2)} | {(name,) for name in SERVERS}
    assert sorted(_forms() - listened) == []


@pytest.mark.parametrize("name", SERVERS)
def test_no_server_asks_a_cloud(name: str, silent: str, canary: Canary) -> None:
    """A session of a client's with each, to its end: nothing is connected to."""
    pytest.importorskip({"lsp": "pygls", "mcp": "mcp"}[name])
    words = (name, "--config", silent) if name == "mcp" else (name,)
    ran = subprocess.run(
        (sys.executable, "-c", LISTENED, *words), input=SERVERS[name], capture_output=True, timeout=120
    )
    assert b"peers: [] outside: []" in ran.stderr, ran.stderr[-2000:]
    assert b'"id"' in ran.stdout
    assert canary.connections() == 0


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_asks_a_cloud(
    command: tuple[str, ...], silent: str, shell: Shell, audit: Audit, canary: Canary
) -> None:
    """No connection beyond loopback, and none to the cloud that listens on it."""
    ran = shell(*(word.replace("{folder}", silent) for word in command))
    assert "usage:" not in ran.err, ran.err
    assert (canary.connections(), audit.outside) == (0, [])


@pytest.mark.parametrize("command", [("health",), ("doctor", "--live"), ("models", "--live")], ids=" ".join)
def test_the_cloud_is_asked_when_told_to(
    command: tuple[str, ...], silent: str, shell: Shell, canary: Canary
) -> None:
    """`--probe-cloud` asks once; the canary hears it."""
    shell(*command, "--probe-cloud", "--config", silent)
    assert canary.connections() > 0


def test_a_cloud_that_is_not_asked_is_no_failure(silent: str, shell: Shell) -> None:
    """Health says that the mode forbids it, and why."""
    ran = shell("health", "--config", silent, "--format", "json")
    row = ran.json["providers"]["far"]
    assert (row["status"], "forbids the cloud" in row["error"]) == ("unknown", True)


@pytest.mark.parametrize(
    "command", [("health",), ("doctor", "--live"), ("models", "--live"), ("explain", "type=qa", "--live")]
)
def test_every_place_says_which_address_it_shows(
    command: tuple[str, ...], silent: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address of models.yaml, and OLLAMA_BASE_URL, which wins over it."""
    assert "http://127.0.0.1:1 (models.yaml)" in shell(*command, "--config", silent).out
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:2")
    assert "http://127.0.0.1:2 (OLLAMA_BASE_URL)" in shell(*command, "--config", silent).out


def test_explain_reads_an_env_file(
    silent: str, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like its siblings."""
    monkeypatch.setenv("OLLAMA_BASE_URL", "")  # so that what was there is put back at the end
    monkeypatch.delenv("OLLAMA_BASE_URL")
    (tmp_path / "env").write_text("OLLAMA_BASE_URL=http://127.0.0.1:3\n")
    ran = shell("explain", "type=qa", "--live", "--config", silent, "--env-file", str(tmp_path / "env"))
    assert "http://127.0.0.1:3 (OLLAMA_BASE_URL)" in ran.out
