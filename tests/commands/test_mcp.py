"""`engine mcp`, asked by the SDK's own client as agents' programs ask it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters

from engine.cli import main
from engine.commands.mcp_server import NotLoopback, make_server, serve_http
from engine.commands.mcp_tools import TOOLS, Answer, ToolFailed
from tests.analysis.test_proposal import ROUTES
from tests.authoring.test_saving import git, policy_folder
from tests.commands.running import DEFAULT, Shell, valid

LEAK = ROUTES.replace("when sensitive\nroute", "when sensitive and task.type is code\nroute")
MENDED = f"{ROUTES}forbid h: cloud when task.type is code\n"
LOG = "type,labels,prompt,reply\nqa,,100,20\ncode,pii,50,10\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return policy_folder(tmp_path / "policy")


def ask(folder: Path, tool: str, arguments: Mapping[str, Any]) -> Answer:
    """One tool, without a server."""
    return next(each for each in TOOLS if each.name == tool).run(folder, arguments)


def over_stdio(folder: Path, *python: str) -> StdioServerParameters:
    words = [*(python or ("-m", "engine")), "mcp", "--config", str(folder)]
    return StdioServerParameters(command=sys.executable, args=words, cwd=Path.cwd())


@asynccontextmanager
async def over_http(folder: Path) -> AsyncIterator[str]:
    """A server in this process; its address."""
    told: asyncio.Queue[str] = asyncio.Queue()
    over = asyncio.Event()
    serving = asyncio.create_task(
        serve_http(make_server(folder, "1"), "127.0.0.1:0", told.put_nowait, over.wait())
    )
    try:
        yield await told.get()
    finally:
        over.set()
        await serving


# --- Sessions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_every_tool_is_offered_over_stdio(mode: str, folder: Path) -> None:
    """In both ways that clients begin; only `propose` says that it writes."""
    async with Client(over_stdio(folder), mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == [tool.name for tool in TOOLS]
        writing = {tool.name for tool in tools if tool.annotations and not tool.annotations.read_only_hint}
        assert writing == {"propose"}
        answer = await client.call_tool("explain", {"facts": {"type": "qa", "labels": ["pii"]}})
        assert answer.structured_content["chain"] == ["small"]


async def test_an_agent_tries_a_leak_gets_the_task_mends_and_proposes(folder: Path) -> None:
    """A whole session over HTTP: read, draft, refused with a witness, explained, mended, on a branch."""
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    async with over_http(folder) as url, Client(url) as client:

        async def call(tool: str, **arguments: object) -> Any:
            answer = await client.call_tool(tool, arguments)
            assert not answer.is_error, answer.content
            return answer.structured_content

        assert (await call("read_policy"))["files"]["a.route"] == ROUTES
        refused = valid("proposal", await call("propose", title="faster", draft={"a.route": LEAK}))
        assert not refused["sound"]
        assert refused["saved"] is None
        leak = next(each for each in refused["objections"] if each["kind"] == "leak")
        assert "gpt" in leak["new_chain"]
        assert "gpt" not in leak["old_chain"]
        shown = await call("explain", facts=leak["witness"], draft={"a.route": LEAK})
        assert shown["chain"] == leak["new_chain"]
        assert git(folder, "branch", "--list", "proposals/*") == ""

        assert (await call("diff", draft={"a.route": MENDED}))["looser"] is False
        taken = valid("proposal", await call("propose", title="code at home", draft={"a.route": MENDED}))
        assert taken["sound"]
        branch = taken["saved"]["name"]
        assert git(folder, "show", f"{branch}:a.route") == MENDED.strip()
        assert git(folder, "status", "--porcelain") == ""
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


async def test_what_is_wrong_is_an_answer_that_the_agent_can_read(folder: Path) -> None:
    """No tool of that name, arguments that do not fit, a fact that is none, a draft that does not read."""
    async with Client(make_server(folder, "1")) as client:
        for tool, arguments, told in (
            ("delete", {}, "there is no tool 'delete'; the tools are read_policy"),
            ("explain", {}, "'facts' is a required property"),
            ("explain", {"facts": {"type": "poem"}}, "task.type cannot be 'poem'"),
            ("propose", {"title": "x", "draft": {"a.route": 5}}, "draft.a.route: 5 is not of type"),
            ("propose", {"title": "x", "draft": {}, "force": True}, "'force' was unexpected"),
            ("test", {"draft": {"a.route": "route r: use clod\n"}}, "`clod` is no let, provider or model"),
            ("lint", {"draft": {"../a.route": ""}}, "is no name of a policy file"),
            ("why_not", {"facts": {"type": "qa"}, "model": "gp"}, "there is no model 'gp'; did you mean gpt"),
        ):
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error, tool
            assert told in answer.content[0].text


# --- Tools ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "command"),
    [
        ("explain", {"facts": {"type": "qa", "labels": ["pii"]}}, ["explain", "type=qa", "labels=pii"]),
        (
            "why_not",
            {"facts": {"type": "qa"}, "model": "gpt-6-sol"},
            ["explain", "type=qa", "--why-not", "gpt-6-sol"],
        ),
        ("lint", {}, ["lint"]),
        ("test", {}, ["test"]),
        ("prove", {}, ["prove"]),
    ],
)
def test_a_tool_answers_what_its_command_answers(
    tool: str, arguments: dict[str, Any], command: list[str], shell: Shell
) -> None:
    """The same values and the same text."""
    answer = ask(Path(DEFAULT), tool, arguments)
    told = shell(*command, "--config", DEFAULT, "--format", "json").json
    assert json.loads(json.dumps(answer.data)) == json.loads(
        json.dumps(told).replace('"command line"', '"given"')
    )
    assert answer.text.strip() == shell(*command, "--config", DEFAULT).out.strip().replace(
        "(command line)", "(given)"
    )


def test_a_log_inside_the_folder_is_replayed(folder: Path) -> None:
    """With a draft, also what it would move."""
    (folder / "logs").mkdir()
    (folder / "logs" / "calls.csv").write_text(LOG)
    arguments = {"log": "logs/calls.csv", "map": ["tokens.input=prompt", "tokens.output=reply"]}
    assert ask(folder, "replay", arguments).data["log"]["rows"] == 2
    abroad = {**arguments, "set": ["mode=abroad"], "draft": {"a.route": ROUTES.replace("local, then", "")}}
    report = valid("replay", ask(folder, "replay", abroad).data)
    assert [side["folder"] for side in report["policies"]] == ["folder", "draft"]


@pytest.mark.parametrize(
    "log",
    [
        "../outside.csv",
        "/etc/passwd",
        "logs/../../outside.csv",
        "logs//calls.csv",
        "logs/*.csv",
        "logs/call[s].csv",
        "link.csv",
        "linked/outside.csv",
        "state",
        ".hidden.csv",
        "logs/none.csv",
        "https://example.org/calls.csv",
        "s3://bucket/calls.csv",
        "logs/calls.csv\0",
        "",
        "pipe.csv",
    ],
)
def test_no_log_outside_the_folder_is_read(log: str, folder: Path) -> None:
    """Neither by a path, nor through a link, nor by a pattern."""
    outside = folder.parent / "outside.csv"
    outside.write_text(LOG)
    (folder / "logs").mkdir()
    (folder / "state").mkdir()
    (folder / "logs" / "calls.csv").write_text(LOG)
    (folder / ".hidden.csv").write_text(LOG)
    (folder / "link.csv").symlink_to(outside)
    (folder / "linked").symlink_to(folder.parent)
    (folder / "state" / "decisions.jsonl").symlink_to(outside)
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(ToolFailed):
        ask(folder, "replay", {"log": log})


def test_a_large_folder_is_read_file_by_file(folder: Path) -> None:
    """The engine's own guards too, and no other name."""
    (folder / "big.route").write_text("# x\n" * 60_000)
    assert ask(folder, "read_policy", {}).data["files"]["a.route"] is None
    assert ask(folder, "read_policy", {"file": "a.route"}).data == {"files": {"a.route": ROUTES}}
    assert "forbid mode-forbids-cloud" in ask(folder, "read_policy", {"file": "base.route"}).text
    with pytest.raises(ToolFailed, match="there is no file"):
        ask(folder, "read_policy", {"file": "../outside.csv"})


def test_a_key_in_the_folder_is_not_shown(folder: Path) -> None:
    """Not by reading, nor by lint, nor in the errors of a draft."""
    key = "sk-ant-abc123def456ghi789jkl012"
    (folder / "b.route").write_text(f"# {key}\nroute z: use clod {key}\n")
    with pytest.raises(ToolFailed) as failed:
        ask(folder, "test", {"draft": {"c.route": f"route y: use clod {key}\n"}})
    shown = [ask(folder, "read_policy", {}).text, ask(folder, "lint", {}).text, str(failed.value)]
    assert not any(key in each for each in shown)


def test_a_proposal_can_be_judged_without_being_written(folder: Path) -> None:
    """`dry_run`; without it the draft lies in a folder, since there is no repository."""
    draft = {"title": "code at home", "draft": {"a.route": MENDED}}
    dry = ask(folder, "propose", {**draft, "dry_run": True})
    assert (dry.data["sound"], dry.data["saved"]) == (True, None)
    assert not (folder / "drafts").exists()
    saved = ask(folder, "propose", draft).data["saved"]
    assert (folder / saved["name"] / "a.route").read_text() == MENDED
    assert (folder / "a.route").read_text() == ROUTES


def test_a_folder_that_is_not_read_whole_takes_no_proposal(folder: Path) -> None:
    """A guard behind a link is passed over: without it anything would be as strict as before."""
    (folder.parent / "guards.route").write_text("forbid i: gpt\n")
    (folder / "guards.route").symlink_to(folder.parent / "guards.route")
    with pytest.raises(Exception, match=r"the folder cannot be read whole: guards\.route:1: this is a link"):
        ask(folder, "propose", {"title": "x", "draft": {"b.route": "forbid h: cloud\n"}})


def test_the_engines_own_folder_takes_no_proposal() -> None:
    """It would be written into the package."""
    with pytest.raises(ToolFailed, match="comes with the engine"):
        ask(Path(DEFAULT), "propose", {"title": "x", "draft": {"b.route": "forbid h: cloud\n"}})


# --- What the process touches ---------------------------------------------------------------------------

AUDITED = """
import os, sys
seen = open(os.environ["SEEN"], "a", buffering=1)
def hook(event, arguments):
    if event == "open" or event in ("os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove"):
        if isinstance(arguments[0], (str, bytes, os.PathLike)):
            seen.write(f"{event} {os.fsdecode(arguments[0])}\\n")
    elif event.startswith("socket.") and event != "socket.__new__" or event == "subprocess.Popen":
        seen.write(f"{event} {arguments[:1]!r}\\n")
sys.addaudithook(hook)
from engine.cli import main
sys.exit(main(sys.argv[1:]))
"""


async def test_nothing_outside_the_folder_is_touched_and_nothing_is_sent(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tool in one session, watched by the interpreter: no address, no program, no file beside the
    folder, though some lie where a library might look."""
    (folder / "calls.csv").write_text(LOG)
    seen, home = tmp_path.parent / f"{tmp_path.name}-seen", tmp_path / "home"
    home.mkdir()
    for name in (".env", "fastmcp.json", "mcp.json"):
        (home / name).write_text("FASTMCP_HOST=0.0.0.0\n")
    monkeypatch.chdir(home)
    server = over_stdio(folder, "-P", "-c", AUDITED)
    root = str(Path(__file__).parents[2])
    server.env = {"SEEN": str(seen), "HOME": str(home), "PYTHONPATH": root, "PATH": os.environ["PATH"]}
    draft = {"a.route": MENDED}
    asked: dict[str, dict[str, Any]] = {
        "read_policy": {},
        "explain": {"facts": {"type": "qa"}},
        "why_not": {"facts": {"type": "qa"}, "model": "gpt"},
        "lint": {"draft": draft},
        "test": {},
        "prove": {"draft": draft},
        "diff": {"draft": draft},
        "replay": {"log": "calls.csv", "map": ["tokens.input=prompt", "tokens.output=reply"]},
        "propose": {"draft": draft, "title": "x"},
    }
    assert {*asked} == {tool.name for tool in TOOLS}
    async with Client(server) as client:
        for tool, arguments in asked.items():
            answer = await client.call_tool(tool, arguments)
            assert not answer.is_error, answer.content
    events = seen.read_text().splitlines()
    touched = {path for event, _, path in (line.partition(" ") for line in events) if "socket" not in event}
    assert any(path.startswith(str(folder)) for path in touched), "the hook sees what is opened"
    beside = {path for path in touched if path.startswith(str(tmp_path)) and not path.startswith(str(folder))}
    assert beside <= {str(home)}
    # A name alone is opened in a folder that is open already: the files that are read, and the draft's.
    alone = {path for path in touched if not path.startswith("/")}
    assert {name for name in alone if not name.startswith("x-")} == {
        "models.yaml",
        "policies.yaml",
        "a.route",
        "drafts",
    }
    assert [line for line in events if line.startswith(("socket.", "subprocess."))] == []
    assert {path.name for path in folder.iterdir()} == {
        "models.yaml",
        "policies.yaml",
        "a.route",
        "calls.csv",
        "drafts",
    }


# --- HTTP -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("host", "evil.example", 421),
        ("host", "127.0.0.1:1", 421),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("content-type", "text/plain", 400),
    ],
)
async def test_a_page_of_a_browser_is_refused(header: str, value: str, status: int, folder: Path) -> None:
    """By the name it calls the port, by where it comes from, and by the form it could send unasked."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    async with over_http(folder) as url, httpx2.AsyncClient() as client:
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        answer = await client.post(url, json=body, headers={**headers, header: value})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("0.0.0.0:0", "others could reach it"),
        ("[::]:0", "others could reach it"),
        ("192.168.1.2:8765", "others could reach it"),
        ("example.org:80", "is no HOST:PORT"),
        ("127.0.0.1", "is no HOST:PORT"),
        ("127.0.0.1:99999", "is no HOST:PORT"),
        (":8765", "is no HOST:PORT"),
    ],
)
async def test_only_this_machine_is_served(address: str, told: str, folder: Path) -> None:
    """Nothing listens."""
    with pytest.raises(NotLoopback, match=told):
        await serve_http(make_server(folder, "1"), address, print)


def test_an_address_of_others_is_an_error_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, in a sentence."""
    assert main(["mcp", "--config", DEFAULT, "--http", "0.0.0.0:0"]) == 2
    assert "engine mcp: 0.0.0.0 is not this machine alone" in capsys.readouterr().err


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what to install."""
    monkeypatch.delitem(sys.modules, "engine.commands.mcp_server")
    monkeypatch.setitem(sys.modules, "mcp", None)
    for name in [name for name in sys.modules if name.startswith("mcp.")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["mcp", "--config", DEFAULT]) == 2
    assert "pip install 'local-first-router[mcp]'" in capsys.readouterr().err
