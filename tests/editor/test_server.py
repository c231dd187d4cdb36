"""The language server, driven over standard input and output by a real client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from engine.editor.unsaved import line_of
from engine.language.source import Source

MODELS = """\
providers:
  ollama:
    type: local
    models:
      - {id: small, capabilities: [qa], max_context: 8000, quality_tier: low, latency_tier: low}
      - {id: "big:70b", capabilities: [qa], max_context: 32000, quality_tier: high, latency_tier: high,
         tools: yes}
"""
POLICIES = """\
task_types: [qa, code]
labels: [pii, secret]
"""
MAIN = """\
let private = task.labels has any [pii, secret]

forbid long-stays: big:70b
    when private and task.context_size > 4k

route code: use model.tools is yes, then local
    when task.type is code

test "code":
    given task.type is code
    expect big:70b because code
"""
MORE = """\
prove kept: never big:70b when private and task.context_size > 4k

test "kept":
    given task.type is qa, task.labels has pii, task.context_size is 5k
    expect small because long-stays
"""
WAIT_S = 300


class Editor:
    """What an editor does with one folder."""

    def __init__(self, folder: Path, client: LanguageClient) -> None:
        self.folder, self.client = folder, client
        self.said: dict[str, list[types.Diagnostic]] = {}
        self.news = asyncio.Condition()
        self.texts: dict[str, str] = {}
        self.version = 1

        @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        async def published(params: types.PublishDiagnosticsParams) -> None:
            async with self.news:
                self.said[params.uri] = list(params.diagnostics)
                self.news.notify_all()

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def open(self, name: str) -> None:
        self.texts[name] = (self.folder / name).read_text()
        item = types.TextDocumentItem(self.uri(name), "route", 1, self.texts[name])
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, name: str, text: str) -> None:
        self.texts[name] = text
        self.version += 1
        document = types.VersionedTextDocumentIdentifier(self.version, self.uri(name))
        whole = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [whole]))

    def at(self, name: str, text: str, after: int = 0) -> dict[str, object]:
        """The document, and the place of a text in it, in UTF-16 units."""
        offset = self.texts[name].index(text) + after
        before = self.texts[name][:offset]
        character = len(before.rpartition("\n")[2].encode("utf-16-le")) // 2
        return {
            "text_document": types.TextDocumentIdentifier(self.uri(name)),
            "position": types.Position(before.count("\n"), character),
        }

    def shown(self, name: str, place: types.Range) -> str:
        """The text in a range, its columns read as UTF-16 units."""
        assert place.start.line == place.end.line
        line = self.texts[name].split("\n")[place.start.line].encode("utf-16-le")
        return line[2 * place.start.character : 2 * place.end.character].decode("utf-16-le")

    async def findings(self, name: str, *codes: str) -> list[types.Diagnostic]:
        """Waits until the findings of a file have these codes."""

        def there() -> bool:
            said = self.said.get(self.uri(name))
            return said is not None and sorted(str(each.code) for each in said) == sorted(codes)

        async with self.news:
            try:
                await asyncio.wait_for(self.news.wait_for(there), WAIT_S)
            except TimeoutError:
                pytest.fail(f"{[(each.code, each.message) for each in self.said.get(self.uri(name), [])]}")
        return self.said[self.uri(name)]

    async def until(self, name: str, code: str, *, told: bool = True) -> list[types.Diagnostic]:
        """Waits until a finding of this code is told, or is no more."""

        def there() -> bool:
            said = self.said.get(self.uri(name))
            return said is not None and any(each.code == code for each in said) is told

        async with self.news:
            await asyncio.wait_for(self.news.wait_for(there), WAIT_S)
        return [each for each in self.said[self.uri(name)] if each.code == code]

    async def completions(self, name: str, text: str, after: int) -> list[str]:
        found = await self.client.text_document_completion_async(
            types.CompletionParams(**self.at(name, text, after))  # type: ignore[arg-type]
        )
        assert isinstance(found, types.CompletionList)
        return [item.label for item in found.items]

    async def hover(self, name: str, text: str, after: int = 0) -> str:
        found = await self.client.text_document_hover_async(types.HoverParams(**self.at(name, text, after)))  # type: ignore[arg-type]
        if found is None:
            return ""
        assert isinstance(found.contents, types.MarkupContent)
        return found.contents.value


@asynccontextmanager
async def editing(folder: Path, *names: str) -> AsyncIterator[Editor]:
    client = LanguageClient("test", "1")
    editor = Editor(folder, client)
    await client.start_io(sys.executable, "-m", "engine", "lsp")
    await client.initialize_async(
        types.InitializeParams(capabilities=types.ClientCapabilities(), root_uri=folder.as_uri())
    )
    client.initialized(types.InitializedParams())
    for name in names:
        editor.open(name)
    yield editor
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "models.yaml": MODELS,
        "policies.yaml": POLICIES,
        "main.route": MAIN,
        "more.route": MORE,
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


async def test_findings_come_while_typing_and_go_when_mended(folder: Path) -> None:
    """An unsaved error in one file, told with its place in UTF-16 units behind an emoji, and gone again."""
    async with editing(folder, "main.route") as editor:
        fault = MAIN.replace(
            "expect big:70b because code",
            'expect big:70b because code\n\nforbid f: local because "\U0001f600\U0001f600" when x',
        )
        editor.change("main.route", fault)
        (finding,) = await editor.findings("main.route", "because-before-when")
        assert finding.severity is types.DiagnosticSeverity.Error
        assert editor.shown("main.route", finding.range).startswith(("because", "when"))
        editor.change(
            "main.route", MAIN.replace("has any [pii, secret]", 'has any [pii, "\U0001f600", secretx]')
        )
        found = await editor.findings("main.route", "unknown-label", "unknown-label")
        assert [editor.shown("main.route", each.range) for each in found] == ['"\U0001f600"', "secretx"]


CLOUD = """\
  far:
    type: cloud
    api: openai
    base_url: https://far.example
    models:
      - {id: gpt, max_context: 32000, quality_tier: high, latency_tier: low, tools: yes,
         cost_profile: {type: paid, input_per_1m: 3, output_per_1m: 15}}
"""
GUARD = "forbid stays-home: cloud\n    when task.labels has pii\n\nroute r: use local, then cloud\n"


async def test_an_unsaved_leak_is_told_with_its_task(folder: Path) -> None:
    """On the line that changed, until it is taken back or saved; what spends more likewise."""
    (folder / "models.yaml").write_text(MODELS + CLOUD)
    (folder / "policies.yaml").write_text(
        POLICIES + "routing: {modes: {all: {allow_cloud: true}}, default_mode: all}\n"
    )
    (folder / "main.route").write_text(GUARD)
    (folder / "more.route").unlink()
    async with editing(folder, "main.route") as editor:
        await editor.until("main.route", "lets-more-out", told=False)
        editor.change("main.route", GUARD.replace("has pii", "has all [pii, secret]"))
        (leak,) = await editor.until("main.route", "lets-more-out")
        assert leak.severity is types.DiagnosticSeverity.Warning
        assert leak.message.startswith("unlike what is saved: `gpt` may get the task type=qa labels=pii")
        assert editor.shown("main.route", leak.range) == "    when task.labels has all [pii, secret]"
        editor.change("main.route", GUARD.replace("use local, then cloud", "use cloud, then local"))
        await editor.until("main.route", "spends-more")
        await editor.until("main.route", "lets-more-out", told=False)
        (folder / "main.route").write_text(editor.texts["main.route"])
        document = types.TextDocumentIdentifier(editor.uri("main.route"))
        editor.client.text_document_did_save(types.DidSaveTextDocumentParams(document))
        await editor.until("main.route", "spends-more", told=False)


@pytest.mark.parametrize(
    ("saved", "edited", "place"),
    [
        ("a\nb\nc\n", "a\nX\nc\n", "X"),
        ("a\nb\n", "a\n", "a"),
        ("a\n", "a\nb\n", "b"),
        ("a\n", "", ""),
        ("a\r\nb\r\n", "a\r\nX\r\n", "X"),
    ],
)
def test_the_place_of_an_edit_is_its_first_line(saved: str, edited: str, place: str) -> None:
    """Without its end; the last line where only lines went."""
    assert line_of(Source("a.route", edited), saved).text == place


async def test_names_are_explained(folder: Path) -> None:
    """A fact, a let with what it stands for, a rule and the models it selects, a model, a value, a
    keyword."""
    async with editing(folder, "main.route") as editor:
        assert "what sort of task it is" in await editor.hover("main.route", "task.type is code", 3)
        assert "one of qa, code" in await editor.hover("main.route", "task.type is code", 3)
        said = await editor.hover("main.route", "private and")
        assert "let private = task.labels has any [pii, secret]" in said
        said = await editor.hover("main.route", "because code", len("because "))
        assert "tier 1: selects big:70b" in said
        assert "tier 2: selects small, big:70b" in said
        assert "window 32,000" in await editor.hover("main.route", "big:70b", 2)
        assert "a value of task.labels" in await editor.hover("main.route", "pii")
        assert "takes the selected models away" in await editor.hover("main.route", "forbid", 2)
        assert await editor.hover("main.route", "4k") == ""


async def test_words_and_names_are_completed(folder: Path) -> None:
    """What the grammar allows at a place, and of names those that fit."""
    async with editing(folder, "main.route") as editor:

        async def after(text: str) -> list[str]:
            editor.change("main.route", f"{MAIN}\n{text}")
            return await editor.completions(
                "main.route", f"\n\n{text}" if text else MAIN, len(f"\n\n{text}") if text else len(MAIN)
            )

        assert await after("forbid x: cloud when task.type is ") == ["qa", "code", "not"]
        assert await after("forbid x: cloud when task.type in [qa, ") == ["qa", "code"]
        assert await after("forbid x: cloud when task.labels has any [") == ["pii", "secret"]
        assert await after("forbid x: cloud when model.quality >= ") == ["low", "medium", "high", "very_high"]
        assert await after("forbid x: cloud when task.tool_use_required is not ") == ["yes", "no"]
        assert {"task.type", "model.quality", "private", "not"} < set(await after("forbid x: cloud when "))
        assert {"and", "or", "unless", "because", "forbid", "route"} < set(
            await after("forbid x: cloud when private\n")
        )
        assert {"local", "model.tools", "small", "big:70b", "ollama"} < set(await after("route x: use "))
        assert "task.type" not in await after("route x: use ")
        assert "model.tools" not in await after("route x: use local when ")
        assert "budget.exhausted" not in await after('test "x": given ')
        assert {"refused", "chain", "only", "small"} < set(
            await after('test "x": given task.type is qa expect ')
        )
        assert await after('test "x": given task.type is qa expect route ') == [
            "code",
            "mode-local-preferred",
        ]
        assert {"long-stays", "context-window"} < set(
            await after('test "x": given task.type is qa expect small because ')
        )
        assert await after('test "x": given task.type is qa expect chain small, ') == ["small", "big:70b"]
        assert await after("weigh x: ") == ["cost", "quality", "latency"]
        assert await after('forbid x: cloud because "when ') == []
        assert await after("# when ") == []
        assert {"forbid", "let"} <= set(await after("fo"))


async def test_definitions_references_and_renaming_go_over_the_folder(folder: Path) -> None:
    """Also through `because NAME` in another file; what is not the author's to rename is refused with the
    reason."""
    async with editing(folder, "main.route") as editor:
        client = editor.client
        at = editor.at("main.route", "private and")
        place = await client.text_document_definition_async(types.DefinitionParams(**at))  # type: ignore[arg-type]
        assert isinstance(place, types.Location)
        assert (place.uri, place.range.start) == (editor.uri("main.route"), types.Position(0, 4))
        label = await client.text_document_definition_async(
            types.DefinitionParams(**editor.at("main.route", "pii"))
        )  # type: ignore[arg-type]
        assert isinstance(label, types.Location)
        assert label.uri == editor.uri("policies.yaml")

        edit = await client.text_document_rename_async(
            types.RenameParams(new_name="stays-here", **editor.at("main.route", "long-stays"))
        )  # type: ignore[arg-type]
        assert edit is not None
        assert edit.changes is not None
        assert {
            uri.rpartition("/")[2]: [(each.range.start.line, each.new_text) for each in edits]
            for uri, edits in edit.changes.items()
        } == {
            "main.route": [(2, "stays-here")],
            "more.route": [(4, "stays-here")],
        }
        edit = await client.text_document_rename_async(
            types.RenameParams(new_name="kept-back", **editor.at("main.route", "private ="))
        )  # type: ignore[arg-type]
        assert edit is not None
        assert edit.changes is not None
        assert {
            uri.rpartition("/")[2]: [each.range.start.line for each in edits]
            for uri, edits in edit.changes.items()
        } == {
            "main.route": [0, 3],
            "more.route": [0],
        }
        found = await client.text_document_references_async(
            types.ReferenceParams(
                context=types.ReferenceContext(True), **editor.at("main.route", "private =")
            )  # type: ignore[arg-type]
        )
        assert found is not None
        assert len(found) == 3
        for text, new_name, reason in (
            ("private =", "code", "name is taken"),
            ("private =", "small", "name is taken"),
            ("private =", "Not So", "lower-case"),
            ("task.type is", "x", "only rules, lets and proofs"),
        ):
            with pytest.raises(JsonRpcException, match=reason):
                await client.text_document_rename_async(
                    types.RenameParams(new_name=new_name, **editor.at("main.route", text))
                )  # type: ignore[arg-type]


async def test_a_document_is_formatted_and_outlined(folder: Path) -> None:
    """Canonically; one with errors is left alone."""
    async with editing(folder, "main.route") as editor:
        options = types.FormattingOptions(4, True)
        document = types.TextDocumentIdentifier(editor.uri("main.route"))
        params = types.DocumentFormattingParams(document, options)
        assert not await editor.client.text_document_formatting_async(params)
        editor.change("main.route", MAIN.replace("forbid", "forbid  ", 1))
        edits = await editor.client.text_document_formatting_async(params)
        assert edits is not None
        assert [each.new_text for each in edits] == [MAIN]
        symbols = await editor.client.text_document_document_symbol_async(
            types.DocumentSymbolParams(document)
        )
        assert symbols is not None
        assert [each.name for each in symbols] == ["private", "long-stays", "code", "code"]
        editor.change("main.route", MAIN.replace("forbid", "forbiid", 1))
        assert not await editor.client.text_document_formatting_async(params)


async def test_findings_with_a_safe_fix_offer_it(folder: Path) -> None:
    """An unused let can be removed with one click."""
    async with editing(folder, "main.route") as editor:
        editor.change("main.route", f"let idle = local\n\n{MAIN}")
        async with editor.news:
            await asyncio.wait_for(
                editor.news.wait_for(
                    lambda: (
                        "unused-let" in {each.code for each in editor.said.get(editor.uri("main.route"), [])}
                    )
                ),
                WAIT_S,
            )
        (finding,) = (each for each in editor.said[editor.uri("main.route")] if each.code == "unused-let")
        document = types.TextDocumentIdentifier(editor.uri("main.route"))
        actions = await editor.client.text_document_code_action_async(
            types.CodeActionParams(document, finding.range, types.CodeActionContext([finding]))
        )
        assert actions is not None
        (action,) = (each for each in actions if isinstance(each, types.CodeAction))
        assert action.title == "fix unused-let"
        assert action.edit is not None
        assert action.edit.changes is not None
        assert list(action.edit.changes) == [editor.uri("main.route")]


async def test_findings_follow_the_files_on_disk_and_go_with_the_last_document(folder: Path) -> None:
    """A watched file that changes is read again; what nobody has open is not complained of."""
    async with editing(folder, "main.route") as editor:
        await editor.findings("main.route")
        (folder / "policies.yaml").write_text("task_types: [qa, code]\nlabels: [pii]\n")
        change = types.FileEvent(editor.uri("policies.yaml"), types.FileChangeType.Changed)
        editor.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
        (finding,) = await editor.findings("main.route", "unknown-label")
        assert editor.shown("main.route", finding.range) == "secret"
        document = types.TextDocumentIdentifier(editor.uri("main.route"))
        editor.client.text_document_did_close(types.DidCloseTextDocumentParams(document))
        await editor.findings("main.route")


async def test_a_file_without_a_policy_folder_is_still_read(tmp_path: Path) -> None:
    """Its syntax is checked, keywords and facts are known, nothing fails."""
    (tmp_path / "alone.route").write_text("forbid a: cloud whn task.type is qa\n")
    async with editing(tmp_path, "alone.route") as editor:
        async with editor.news:
            await asyncio.wait_for(
                editor.news.wait_for(lambda: bool(editor.said.get(editor.uri("alone.route")))), WAIT_S
            )
        editor.change("alone.route", "forbid a: cloud when task.type is qa\n")
        await editor.findings("alone.route")
        assert "what sort of task" in await editor.hover("alone.route", "task.type")
        assert "task.type" in await editor.completions("alone.route", "when ", 5)
