"""The pages of `docs/` -> the same pages, with every generated block brought up to date; and the lists of
facts in the schemas of both logs and in the TextMate grammar.

    python docs/generate.py            writes the files
    python docs/generate.py --check    exit code 1 when a file is not up to date

A block stands between `<!-- generated: NAME ... -->` and `<!-- end -->`. Tables come from the code that
decides (the fact table, the lint rules, the commands, the schemas), the grammar from its file, and the output
of commands from running them.
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from engine.provider_apis import APIS
from engine.providers.field_table import Fate, Row

DOCS = Path(__file__).parent
WIDTH = 110
"""Columns of a page's prose, tables and program text apart."""
BLOCK = re.compile(r"<!-- generated: (?P<call>[^\n]+?) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
DAY = "1795824000"
"""The day on which pictures of the pages are made, in seconds since 1970: 28 November 2026."""
NO_SUCH_VARIABLES = (
    "MODEL_",
    "DAILY_",
    "MONTHLY_",
    "DRY_RUN",
    "ENGINE_",
    *(f"{name.upper()}_" for name in APIS),
    "USE_",
    "LOG_LEVEL",
)


def facts() -> str:
    """The fact table."""
    from engine.language.vocabulary import FACTS, VERSIONS

    rows = [
        (
            f"`{fact.name}`",
            fact.kind.value,
            _values(fact.universe, fact.scale),
            fact.meaning
            + (f"; follows from {_quoted(fact.follows)}" if fact.follows else "")
            + ("" if fact.since == VERSIONS[0] else f" (language {fact.since})"),
        )
        for fact in FACTS.values()
    ]
    return _table(("fact", "type", "values", "meaning"), rows)


def attributes() -> str:
    """What a selector asks of a model."""
    from engine.language.vocabulary import ATTRIBUTES

    rows = [
        (f"`{one.name}`", one.kind.value, _values(one.universe, one.scale), one.meaning)
        for one in ATTRIBUTES.values()
    ]
    return _table(("attribute", "type", "values", "meaning"), rows)


def grammar() -> str:
    """The grammar as it is read."""
    from engine.bundled import bundled_text

    return _fenced("text", bundled_text("grammar", "route.lark"))


def base_route() -> str:
    """The engine's own rules."""
    from engine.bundled import bundled_text

    return _fenced("route", bundled_text("policies", "base.route"))


def lint_rules() -> str:
    """One section a rule, from the rule's own file."""
    try:
        from engine.analysis.lint_rules import RULES
    except ImportError:
        return ""
    parts = [
        _table(
            ("finding", "level", "what"),
            [(f"[`{rule.slug}`](#{rule.slug})", rule.level.word, rule.summary) for rule in RULES],
        )
    ]
    for rule in RULES:
        parts.append(f"## {rule.slug}\n\n{_filled(f'*{rule.level.word}*: {rule.summary}. {rule.why}')}\n")
        for title, example in (("Bad", rule.bad), ("Good", rule.good), ("Not meant", rule.near_miss)):
            text = example.text.strip("\n")
            if text:
                parts.append(f"{title}:\n\n{_fenced('route-part', text)}")
    return "\n".join(parts)


def commands() -> str:
    """The commands and what each is for."""
    import importlib

    from engine.cli import COMMANDS

    rows = [
        (f"`engine {name}`", importlib.import_module(f"engine.commands.{name}").SUMMARY) for name in COMMANDS
    ]
    return _table(("command", "does"), rows)


def mcp_tools() -> str:
    """The tools of `engine mcp`, and what each is for."""
    from engine.commands.mcp_tools import TOOLS

    rows = [
        (f"`{tool.name}`", ", ".join(f"`{name}`" for name in tool.properties), tool.about) for tool in TOOLS
    ]
    return _table(("tool", "arguments", "does"), rows)


def provider_apis() -> str:
    """The APIs a provider can speak, and what a provider of each gets when nothing is written."""
    from engine.provider_apis import APIS

    rows = []
    for api in APIS.values():
        address = "none: it must be written"
        if api.local_url:
            address = f"`{api.local_url}`" + (
                f", or what `{api.local_url_env}` holds" if api.local_url_env else ""
            )
        elif api.vendor_url:
            address = f"`{api.vendor_url}`, for a cloud provider named after the API; else it must be written"
        key = f"`{api.vendor_key_env}`, for that address" if api.vendor_key_env else ""
        rows.append((f"`{api.name}`", api.title, address, key))
    return _table(("`api`", "of", "default address", "default key"), rows)


def request_fields() -> str:
    """What becomes of every field of a request in every dialect."""
    from engine.providers.field_table import FIELDS

    return _fates(tuple(FIELDS.values()))


def message_parts() -> str:
    """What becomes of every part of a message in every dialect."""
    from engine.providers.field_table import PARTS

    return _fates(tuple(PARTS.values()))


def _fates(rows: tuple[Row, ...]) -> str:
    from engine.providers.field_table import DIALECTS, LeftOut, Refused, Sent

    def cell(fate: Fate) -> str:
        match fate:
            case Sent(at, but):
                return f"`{at}`" + (f", {but}" if but else "")
            case Refused(why):
                return f"refused: it {why}"
            case LeftOut(why):
                return f"left out with a note: {why}"

    told = [
        (
            f"`{row.name}`" if row.name.isidentifier() else row.name,
            row.meaning,
            *(cell(row.fate(dialect)) for dialect in DIALECTS),
            row.when_refused.value,
        )
        for row in rows
    ]
    return _table(("", "is", *DIALECTS, "where a target refuses it"), told)


def schemas() -> str:
    """The JSON Schemas that travel with the engine."""
    from engine.bundled import bundled_path

    rows = []
    for path in sorted(bundled_path("schemas").glob("*.schema.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        rows.append((f"`schemas/{path.name}`", schema.get("title", ""), schema.get("description", "")))
    return _table(("file", "of", "what"), rows)


def policy(folder: str) -> str:
    """The rules of a policy folder of the cookbook or of the examples."""
    path = DOCS / "cookbook" / folder
    if not path.is_dir():
        path = DOCS.parent / "policies" / "examples" / folder
    parts = []
    for file in sorted(path.glob("*.route"), key=lambda file: file.name.encode()):
        place = file.relative_to(DOCS.parent).as_posix()
        parts.append(f"`{place}`\n\n{_fenced('route', file.read_text(encoding='utf-8'))}")
    return "\n".join(parts)


def run(*words: str) -> str:
    """A command and its output, run where `my-policy/` is the default set and `src/` holds an agent to move
    over."""
    from engine.cli import main

    out = io.StringIO()
    with _clean_machine() as folder, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        main(list(words[1:]))
    printed = out.getvalue().replace(f"{folder}{os.sep}", "")
    # What the machine has installed is no part of a page.
    printed = re.sub(r"(packages: \w+ \d+)[.\d]*", r"\1.x", printed)
    lines = [line.rstrip() for line in printed.rstrip("\n").split("\n")]
    return _fenced("console", "\n".join([f"$ {shlex.join(words)}", *lines]))


def review(*words: str) -> str:
    """The comment of `engine review`, as Markdown, without the conditions that are folded away."""
    text = run("engine", "review", *words).partition("\n")[2].partition("\n")[2].rpartition("```")[0]
    shown = re.sub(r"(</summary>\n).*?(\n</details>)", r"\1\n...\n\2", text, flags=re.DOTALL)
    return f"~~~~markdown\n{shown}~~~~\n"


BLOCKS: dict[str, Callable[..., str]] = {
    "facts": facts,
    "attributes": attributes,
    "grammar": grammar,
    "base-route": base_route,
    "lint-rules": lint_rules,
    "commands": commands,
    "mcp-tools": mcp_tools,
    "provider-apis": provider_apis,
    "request-fields": request_fields,
    "message-parts": message_parts,
    "schemas": schemas,
    "policy": policy,
    "run": run,
    "review": review,
}


@contextlib.contextmanager
def _clean_machine() -> Iterator[str]:
    """A folder of its own, no variable of ours, a state folder that is empty."""
    before, variables = Path.cwd(), dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        furnish(Path(folder))
        for name in list(os.environ):
            if name.startswith(NO_SUCH_VARIABLES):
                del os.environ[name]
        os.environ |= {"ENGINE_STATE_DIR": str(Path(folder, "state")), "COLUMNS": "100", "NO_COLOR": "1"}
        os.environ["SOURCE_DATE_EPOCH"] = DAY
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(variables)


def furnish(folder: Path) -> None:
    """Writes the files that the documentation's commands use.

    Folders: `my-policy/`, `new-policy/`, `tuned-policy/` and `src/`. Tasks: `facts.jsonl`. Records to replay:
    `calls.csv`, `outcomes.csv`, `shadow.jsonl` and a decision log in `old-state/`.
    """
    root = DOCS.parent
    shutil.copytree(root / "policies" / "default", folder / "my-policy")
    shutil.copytree(root / "policies" / "default", folder / "new-policy")
    with open(folder / "new-policy" / "zz-night.route", "w", encoding="utf-8") as file:
        file.write("forbid nights-stay-home: cloud\n    when clock.hour in 22..6\n")
    shutil.copytree(root / "policies" / "default", folder / "tuned-policy")
    (folder / "tuned-policy" / "00-tuned.route").write_text(TUNED, encoding="utf-8")
    (folder / "calls.csv").write_text(_calls(), encoding="utf-8")
    (folder / "outcomes.csv").write_text(_outcomes(), encoding="utf-8")
    (folder / "old-state").mkdir()
    (folder / "old-state" / "decisions.jsonl").write_text(DECISIONS, encoding="utf-8")
    (folder / "src").mkdir()
    (folder / "src" / "agent.py").write_text(AGENT, encoding="utf-8")
    (folder / "shadow.jsonl").write_text(SHADOW, encoding="utf-8")
    (folder / "requirements.txt").write_text("anthropic==0.7.8\n", encoding="utf-8")
    (folder / "facts.jsonl").write_text(
        '{"type": "qa"}\n{"type": "planning", "criticality": "high"}\n', encoding="utf-8"
    )


def _calls() -> str:
    """Two days of invented calls, under column names that are not the engine's."""
    draw = Random(7).random
    kinds = (
        ("qa", "low", 3_000),
        ("extraction", "medium", 6_000),
        ("coding", "high", 12_000),
        ("planning", "critical", 40_000),
        ("summarization", "medium", 20_000),
        ("agent", "high", 30_000),
    )
    lines = ["at,kind,stakes,prompt,reply"]
    for number in range(800):
        kind, stakes, size = kinds[int(draw() * len(kinds))]
        day, minute = 16 + number // 400, number % 400 * 24 * 60 // 400
        at = f"2026-11-{day}T{minute // 60:02}:{minute % 60:02}:00Z"
        lines.append(f"{at},{kind},{stakes},{int(size * (0.5 + draw()))},{200 + int(1_800 * draw())}")
    return "\n".join(lines) + "\n"


def _outcomes() -> str:
    """Invented outcomes of two models on every task; the better one's gain depends on `subject` and not on
    `shift`."""
    draw = Random(7).random
    gains = {
        "agent": 0.25,
        "coding": 0.35,
        "extraction": 0.02,
        "planning": 0.5,
        "qa": 0.0,
        "summarization": 0.0,
    }
    names = list(gains)
    lines = ["subject,shift,prompt,reply,large_ok,sonnet_ok"]
    for _ in range(1_200):
        subject, shift = names[int(draw() * len(names))], names[int(draw() * len(names))]
        prompt, reply = int(1_500 * (0.5 + draw())), 200 + int(400 * draw())
        lines.append(
            f"{subject},{shift},{prompt},{reply},{int(draw() < 0.45)},{int(draw() < 0.45 + gains[subject])}"
        )
    return "\n".join(lines) + "\n"


TUNED = """\
language 1

route tuned-strong: use claude-sonnet-5-5, then qwen3:32b
    when task.type in [agent, coding, planning]

route tuned-weak: use qwen3:32b, then claude-sonnet-5-5
    when task.type in [agent, coding, extraction, planning, qa, summarization]
"""
DECISIONS = "".join(
    json.dumps(
        {
            "version": 1,
            "at": f"2026-11-22T{hour:02}:00:00+00:00",
            "policy_digest": "sha256:" + "0" * 64,
            "facts": {
                "task.type": task_type,
                "task.criticality": criticality,
                "task.context_size": size,
                "mode": "local-preferred",
                "budget.daily.used": f"{hour}%",
                "clock.hour": hour,
                "clock.weekday": "sun",
            },
            "chain": chain,
            "request": {"expected_tokens": size},
            "attempts": [{"input_tokens": size - 500, "output_tokens": 500}],
        }
    )
    + "\n"
    for hour, (task_type, criticality, size, chain) in enumerate(
        [("qa", "medium", 4_000, ["gemma3:12b"]), ("planning", "critical", 40_000, ["claude-sonnet-5-5"])]
        * 12
    )
)
"""A decision log, less what replay does not read."""

SHADOW = "".join(
    json.dumps(
        {
            "version": 1,
            "time": f"2026-11-23T{hour:02}:00:00+00:00",
            "task.type": task_type,
            "task.criticality": criticality,
            "task.labels": [],
            "task.bucket": 7,
            "tokens.input": 1000 * hour,
            "tokens.output": 500,
        }
    )
    + "\n"
    for hour, (task_type, criticality) in enumerate(
        [("qa", "medium"), ("planning", "high"), ("coding", "critical")] * 8
    )
)
AGENT = """\
from anthropic import AsyncAnthropic


class MyAgent:
    def __init__(self):
        self.anthropic = AsyncAnthropic(api_key="your_key")

    async def process(self, text):
        response = await self.anthropic.messages.create(
            model="claude-3-sonnet-20240229",
            max_tokens=1000,
            messages=[{"role": "user", "content": text}]
        )
        return response.content[0].text
"""


def _values(universe: str | None, scale: tuple[str, ...]) -> str:
    if scale:
        return ", ".join(scale)
    places = {
        "task_types": "`task_types` of policies.yaml, or any name",
        "labels": "`labels` of policies.yaml, or any name",
        "needs": "vision, audio, documents, structured_output, tools, and the capabilities of models.yaml",
        "groups": "`groups` of policies.yaml, or none",
        "modes": "the modes of policies.yaml",
        "providers": "the providers of models.yaml",
        "models": "the models of models.yaml",
        "capabilities": "the capabilities of models.yaml",
        "zones": "the zones of models.yaml",
        "tags": "the tags of models.yaml",
    }
    return places.get(universe or "", "")


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n"
        for line in lines
    )


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip(chr(10))}\n```\n"


def brought_up_to_date(text: str) -> str:
    """A page with every block made anew."""

    def made(block: re.Match[str]) -> str:
        name, *words = shlex.split(block["call"])
        return f"<!-- generated: {block['call']} -->\n{BLOCKS[name](*words)}<!-- end -->"

    return BLOCK.sub(made, text)


def decision_log_schema(text: str) -> str:
    """The schema of the decision log, with the facts of the fact table."""
    from engine.decision.fact_json import decision_log_properties

    lines = (
        f'        "{name}": {{ {json.dumps(schema)[1:-1]} }}'
        for name, schema in decision_log_properties().items()
    )
    start, end = (
        text.index('        "task.type"'),
        text.index("\n      }\n", text.index('        "task.type"')),
    )
    return text[:start] + ",\n".join(lines) + text[end:]


def shadow_schema(text: str) -> str:
    """The schema of a shadow line, with what a profile says of a task before the counts of tokens."""
    from engine.decision.fact_json import shadow_properties

    schema = json.loads(text)
    rest = {name: value for name, value in schema["properties"].items() if not name.startswith("task.")}
    head = {name: rest.pop(name) for name in ("version", "time")}
    schema["properties"] = {**head, **shadow_properties(), **rest}
    schema["required"] = list(schema["properties"])
    return json.dumps(schema, indent=2) + "\n"


def textmate_grammar(text: str) -> str:
    """The grammar for editors, with the names of all facts and attributes."""
    from engine.language.vocabulary import ATTRIBUTES, FACTS

    grammar = json.loads(text)
    for kind, terms in (("fact", FACTS), ("attribute", ATTRIBUTES)):
        names = "|".join(re.escape(name) for name in terms)
        grammar["repository"][kind]["match"] = rf"(?<![\w.:/+-])(?:{names})(?![\w.:-])"
    return json.dumps(grammar, indent=2, ensure_ascii=False) + "\n"


def models_schema(schema: str) -> str:
    """The schema of models.yaml, with the names of the APIs for editors."""
    from engine.provider_apis import APIS

    names = json.dumps(list(APIS))
    return re.sub(
        r'("title": "Wire format",[^{}]*"enum": )\[[^\]]*\]', lambda found: found[1] + names, schema
    )


FILES: dict[str, Callable[[str], str]] = {
    "schemas/models.schema.json": models_schema,
    "schemas/decision-log.schema.json": decision_log_schema,
    "schemas/shadow.schema.json": shadow_schema,
    "editors/vscode/syntaxes/route.tmLanguage.json": textmate_grammar,
}
"""Files outside `docs/` that list facts or APIs."""


def main(arguments: list[str]) -> int:
    """Writes every file, or with --check says which are not up to date."""
    stale = []
    files = dict.fromkeys(sorted(DOCS.rglob("*.md")), brought_up_to_date)
    files |= {DOCS.parent / name: fresh_text for name, fresh_text in FILES.items()}
    for path, fresh_text in files.items():
        text = path.read_text(encoding="utf-8")
        fresh = fresh_text(text)
        if fresh != text:
            stale.append(path.relative_to(DOCS.parent).as_posix())
            if "--check" not in arguments:
                path.write_text(fresh, encoding="utf-8")
    verb = "not up to date" if "--check" in arguments else "written"
    for name in stale:
        print(f"{verb}: {name}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
