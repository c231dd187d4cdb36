"""Wrong input: a message on standard error, exit code 2, nothing on standard output, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.running import DEFAULT, GUIDE, Shell

ROOT = Path(__file__).parents[2]

WRONG = {
    "no command": [],
    "unknown command": ["expalin"],
    "unknown command before a known one": ["expalin", "explain"],
    "unknown option": ["explain", "--colour"],
    "option without its value": ["explain", "type=qa", "--config"],
    "unknown format": ["tree", "--format", "png"],
    "no type": ["explain", "criticality=high"],
    "unknown fact": ["explain", "type=qa", "critcality=high"],
    "unknown value": ["explain", "type=qa", "criticality=hgih"],
    "unknown type": ["explain", "type=palnning"],
    "unknown label": ["explain", "type=qa", "labels=pll"],
    "unknown provider": ["explain", "type=qa", "provider.down=olama"],
    "unknown model is warm": ["explain", "type=qa", "models.warm=nothing"],
    "unknown mode": ["explain", "type=qa", "mode=balnced"],
    "no value": ["explain", "type="],
    "no equals sign": ["explain", "planning"],
    "a fact given twice": ["explain", "type=qa", "task.type=qa"],
    "a fact that follows": ["explain", "type=qa", "budget.exhausted=yes"],
    "a yes that is none": ["explain", "type=qa", "tool_use_required=maybe"],
    "an hour that is none": ["explain", "type=qa", "clock.hour=24"],
    "a share instead of percent": ["explain", "type=qa", "budget.daily.used=-1"],
    "no number": ["explain", "type=qa", "budget.daily.used=NaN"],
    "a number with separators": ["explain", "type=qa", "budget.daily.used=8_5"],
    "a number in other digits": ["explain", "type=qa", "context_size=١٢"],
    "half a token": ["explain", "type=qa", "context_size=0.5"],
    "more tokens than there are": ["explain", "type=qa", "context_size=" + "9" * 5000],
    "a percentage beyond reading": ["explain", "type=qa", "budget.daily.used=1e999"],
    "upper case K": ["explain", "type=qa", "context_size=32K"],
    "unknown fact in tree": ["tree", "mdoe=balanced"],
    "unknown model": ["explain", "type=qa", "--why-not", "gpt-5"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG.keys())
def test_a_slip_is_said_cleanly(shell: Shell, words: list[str]) -> None:
    """On the default folder."""
    takes_folder = words and words[0] in ("explain", "tree") and "--config" not in words
    ran = shell(*words, *(["--config", DEFAULT] if takes_folder else []))
    assert (ran.code, ran.out) == (2, ""), ran
    assert ran.err.strip()
    assert "Traceback" not in ran.err
    assert len(ran.err) < 3_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["critcality=high"], "did you mean"),
        (["criticality=hgih"], "did you mean high"),
        (["type=palnning"], "did you mean planning"),
        (["labels=pll"], "task.labels cannot be 'pll'"),
        (["mode=balnced"], "did you mean balanced"),
        (["budget.exhausted=yes"], "budget.daily.used=100%"),
        (["clock.hour=24"], "0 to 23"),
    ],
)
def test_a_slip_is_reported_with_the_right_form(shell: Shell, words: list[str], message: str) -> None:
    """The near name, the list, or the fact to give instead."""
    given = words if words[0].startswith("type=") else ["type=qa", *words]
    assert message in shell("explain", *given, "--config", DEFAULT).err


COMMANDS = (["explain", "type=qa"], ["show"], ["tree"], ["models"])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    "folder", ["missing", "a-file", "empty", "broken", "unreadable", "models-is-a-folder", "binary"]
)
def test_a_folder_that_cannot_be_used(shell: Shell, tmp_path: Path, command: list[str], folder: str) -> None:
    """Missing, a file, without models.yaml, with errors, not to be read, not what it should be."""
    path = tmp_path / folder
    match folder:
        case "missing":
            pass
        case "a-file":
            path.write_text("providers: {}\n")
        case "empty":
            path.mkdir()
        case "broken":
            _guide(path)
            (path / "a.route").write_text("forbid x cloud\nroute y: use clowd\n")
        case "unreadable":
            _guide(path)
            (path / "a.route").symlink_to(path / "nowhere.route")
        case "models-is-a-folder":
            (path / "models.yaml").mkdir(parents=True)
        case "binary":
            _guide(path)
            (path / "a.route").write_bytes(bytes(range(256)))
    ran = shell(*command, "--config", str(path))
    assert (ran.code, ran.out) == (2, ""), ran
    assert ran.err.strip()
    assert "Traceback" not in ran.err


def test_lint_of_no_folder_is_a_finding_or_a_failure(shell: Shell, tmp_path: Path) -> None:
    """Never clean."""
    assert shell("lint", str(tmp_path / "missing")).code in (1, 2)


def test_every_error_of_a_folder_is_told(shell: Shell, tmp_path: Path) -> None:
    """Both slips, with their places and the count, before any answer."""
    _guide(tmp_path)
    (tmp_path / "a.route").write_text("forbid x cloud\nroute y: use clowd\n")
    ran = shell("explain", "type=qa", "--config", str(tmp_path))
    assert "a.route:1" in ran.err
    assert "a.route:2" in ran.err
    assert "2 errors" in ran.err


def test_the_environment_names_the_folder(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--config, then ENGINE_CONFIG_DIR, ./config, ./policies, the bundled set."""
    monkeypatch.chdir(tmp_path)
    assert "qwen3" in shell("models").out
    _guide(tmp_path / "policies")
    assert "llama3-8b-instruct" in shell("models").out
    _guide(tmp_path / "config", model="first-llama")
    assert "first-llama" in shell("models").out
    monkeypatch.setenv("ENGINE_CONFIG_DIR", str(tmp_path / "policies"))
    assert "first-llama" not in shell("models").out
    assert "qwen3" in shell("models", "--config", DEFAULT).out
    monkeypatch.setenv("ENGINE_CONFIG_DIR", str(tmp_path / "missing"))
    assert shell("models").code == 2


def test_a_bad_variable_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine counts, with --live, a bad value of a documented variable stops the command."""
    monkeypatch.setenv("MODEL_ROUTING_MODE", "balnced")
    ran = shell("explain", "type=qa", "--live", "--config", DEFAULT)
    assert (ran.code, ran.out) == (2, "")
    assert "did you mean balanced" in ran.err
    assert "MODEL_ROUTING_MODE" in ran.err


# --- what reaches a terminal ----------------------------------------------------------------------------

ESCAPE = "\x1b]0;owned\x07\u202e"


def test_control_characters_never_reach_the_terminal(shell: Shell, tmp_path: Path) -> None:
    """Neither from arguments nor from files: they are shown as escapes."""
    _guide(tmp_path / "policy", name=ESCAPE)
    outputs = [
        shell("explain", f"type={ESCAPE}", "--config", str(GUIDE)),
        shell("explain", f"type={ESCAPE}", "--config", str(GUIDE), "--full"),
        shell("explain", f"type={ESCAPE}", "--config", DEFAULT),
        shell("explain", f"{ESCAPE}=x", "--config", DEFAULT),
        shell("explain", "type=qa", "--why-not", ESCAPE, "--config", DEFAULT),
        shell("explain", "--batch", ESCAPE, "--config", DEFAULT),
        shell("explain", "type=qa", "--config", ESCAPE),
        shell("lint", ESCAPE),
        shell("init", f"{DEFAULT}/main.route/{ESCAPE}"),
        shell("models", "--config", str(tmp_path / "policy")),
        shell("explain", "type=qa", "--config", str(tmp_path / "policy")),
        shell("tree", "--config", str(tmp_path / "policy"), f"type={ESCAPE}"),
    ]
    for ran in outputs:
        assert not {"\x1b", "\x07", "\u202e"} & set(ran.out + ran.err), ran


def test_no_colour_without_a_terminal(shell: Shell, tmp_path: Path) -> None:
    """A pipe gets plain text, warnings too."""
    _guide(tmp_path)
    (tmp_path / "a.route").write_text("forbid x cloud\n")
    ran = shell("lint", str(tmp_path))
    assert "\x1b" not in ran.out + ran.err


def test_colour_is_for_terminals_only_and_never_with_no_color() -> None:
    """no-color.org: any value of NO_COLOR turns colour off."""
    import io

    from engine.commands.terminal import Terminal

    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    tty = Tty()
    assert "\x1b[31m" in Terminal(tty, tty, {}).styled("x", "red", tty)
    assert Terminal(tty, tty, {"NO_COLOR": "1"}).styled("x", "red", tty) == "x"
    assert Terminal(tty, tty, {"TERM": "dumb"}).styled("x", "red", tty) == "x"
    pipe = io.StringIO()
    assert Terminal(pipe, pipe, {}).styled("x", "red", pipe) == "x"


# --- real processes -------------------------------------------------------------------------------------


def process(*words: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "engine", *words],
        cwd=ROOT,
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8", **variables},
        timeout=600,
    )


def test_a_whole_process_answers_and_exits_as_it_should() -> None:
    """0 with an answer, 3 with a refusal, 2 without an answer."""
    answered = process("explain", "type=qa", "--config", DEFAULT)
    assert (answered.returncode, answered.stderr) == (0, b"")
    refused = process("explain", "type=qa", "mode=local-only", "provider.down=ollama", "--config", DEFAULT)
    assert (refused.returncode, refused.stderr) == (3, b"")
    alone = process()
    assert (alone.returncode, alone.stdout) == (2, b"")
    assert b"usage: engine" in alone.stderr
    assert b"Traceback" not in alone.stderr


def test_two_processes_say_the_same_byte_for_byte() -> None:
    """Whatever the hash seed: text, JSON and the tree."""
    for words in (
        ("explain", "type=planning", "labels=pii,secret", "--full"),
        (
            "explain",
            "type=planning",
            "labels=secret,pii",
            "provider.down=openai,anthropic",
            "--format",
            "json",
        ),
        ("tree", "mode=balanced", "--format", "json"),
    ):
        one, other = (
            process(*words, "--config", DEFAULT, PYTHONHASHSEED=seed).stdout for seed in ("1", "4242")
        )
        assert one == other
        assert one


def test_a_reader_that_leaves_is_no_error() -> None:
    """`engine tree --all | head -1`: no traceback, no complaint."""
    command = f"{sys.executable} -m engine show --config {DEFAULT} | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, check=False, timeout=600)
    assert (done.stdout, done.stderr) == (b"language 1.1\n", b"")


def test_help_and_version_are_answers(shell: Shell) -> None:
    """On standard output, exit code 0, every command with one line."""
    helped = shell("--help")
    assert (helped.code, helped.err) == (0, "")
    for command in ("explain", "lint", "show", "tree", "models", "init"):
        assert f"    {command} " in helped.out
        assert shell(command, "--help").code == 0
    version = shell("--version")
    assert version.code == 0
    assert version.out.startswith("engine ")


def _guide(path: Path, *, name: str | None = None, model: str | None = None) -> None:
    """The migration guide's two files; with another display name, or another id for its local model."""
    path.mkdir(parents=True, exist_ok=True)
    models = (GUIDE / "models.yaml").read_text()
    if name is not None:
        models = models.replace('"Llama 3 8B Instruct"', '"' + name.encode("unicode_escape").decode() + '"')
    if model is not None:
        models = models.replace("llama3-8b-instruct", model)
    (path / "models.yaml").write_text(models)
    (path / "policies.yaml").write_text((GUIDE / "policies.yaml").read_text())
