"""The pages of `docs/` -> the same pages, with every generated block brought up to date; the pictures, and
the lists of facts in the schemas of both logs and in the TextMate grammar.

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
from html import escape
from pathlib import Path

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
        examples = [("Bad", rule.bad), ("Good", rule.good), ("Not meant", rule.near_miss)]
        shown = [
            f"{title}:\n\n{_fenced('route-part', example.text.strip(chr(10)))}"
            for title, example in examples
            if example.text.strip("\n")
        ]
        if shown:
            parts.append(f"<details><summary>Examples</summary>\n\n{chr(10).join(shown)}\n</details>\n")
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


def statements(*names: str) -> str:
    """Statements of the default policy, by name, as they are written."""
    from engine.bundled import bundled_path
    from engine.language.syntax_tree import Let, Rule
    from engine.policy import load_or_raise

    written = {
        statement.name.text: statement.span.text
        for statement in load_or_raise(bundled_path("policies", "default")).statements
        if isinstance(statement, Let | Rule)
    }
    return _fenced("route", "\n\n".join(written[name] for name in names))


def run(*words: str) -> str:
    """A command and its output, run where `my-policy/` is the default set and `src/` holds an agent to move
    over."""
    # What the machine has installed is no part of a page.
    printed = re.sub(r"(packages: \w+ \d+)[.\d]*", r"\1.x", _printed(*words))
    lines = [line.rstrip() for line in printed.rstrip("\n").split("\n")]
    return _fenced("console", "\n".join([f"$ {shlex.join(words)}", *lines]))


def _printed(*words: str) -> str:
    from engine.cli import main

    out = io.StringIO()
    with _clean_machine() as folder, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        main(list(words[1:]))
    return out.getvalue().replace(f"{folder}{os.sep}", "")


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
    "statements": statements,
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
    """Writes the files that the documentation's commands use: those of `samples/`, and two policy folders,
    `my-policy/`, the default set, and `tuned-policy/`, with the proposal of `engine tune`."""
    root = DOCS.parent
    shutil.copytree(root / "samples", folder, dirs_exist_ok=True)
    shutil.copytree(root / "policies" / "default", folder / "my-policy")
    shutil.copytree(root / "policies" / "default", folder / "tuned-policy")
    (folder / "tuned-policy" / "00-tuned.route").write_text(TUNED, encoding="utf-8")
    (folder / "requirements.txt").write_text("anthropic==0.7.8\n", encoding="utf-8")


TUNED = """\
language 1

route tuned-strong: use claude-sonnet-5-5, then qwen3:32b
    when task.type in [agent, coding, planning]

route tuned-weak: use qwen3:32b, then claude-sonnet-5-5
    when task.type in [agent, coding, extraction, planning, qa, summarization]
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


# --- Pictures -------------------------------------------------------------------------------------------

CHARACTER, LINE, EDGE = 7.25, 17, 14
"""The width of a character at 12 pixels, the height of a line, and the edge of the picture."""
TERMINAL = """\
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d1d7e0}
.prompt{fill:#7ee2a0}.first{fill:#fff;font-weight:700}.head{fill:#79b8ff}
"""


def tree_picture(_: str) -> str:
    """What leaves the house under the default policy."""
    drawn = _printed("engine", "tree", "--config", "my-policy", "--format", "svg")
    return drawn.replace('href="my-policy/', 'href="../../policies/default/').replace(
        "my-policy,", "policies/default,"
    )


def decision_picture(_: str) -> str:
    """A terminal that shows a decision: private work, however much is at stake."""
    words = ("engine", "explain", "type=planning", "criticality=critical", "labels=pii")
    lines = [f"$ {shlex.join(words)}", *_printed(*words).rstrip("\n").split("\n")]
    wide, high = max(map(len, lines)) * CHARACTER + 2 * EDGE, len(lines) * LINE + 2 * EDGE
    drawn = []
    for number, line in enumerate(lines):
        head = "prompt" if number == 0 else "first" if number == 1 else ""
        found = re.fullmatch(r"([a-z]+)(  +.*)", line)
        words_drawn = escape(line)
        if found and not head:
            words_drawn = f'<tspan class="head">{found[1]}</tspan>{escape(found[2])}'
        y = EDGE + LINE * number + 12
        drawn.append(f'<text x="{EDGE}" y="{y}" class="{head}" xml:space="preserve">{words_drawn}</text>')
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high}" role="img" '
        f'viewBox="0 0 {wide:.0f} {high}" aria-label="{escape(shlex.join(words))}">\n'
        f'<style>{TERMINAL}</style>\n<rect width="{wide:.0f}" height="{high}" rx="8" fill="#151b23"/>'
    )
    return "\n".join([head, *drawn, "</svg>\n"])


def default_set(name: str) -> Callable[[str], str]:
    """A file of the default set, for a policy folder of the samples that begins with it."""
    return lambda _: (DOCS.parent / "policies" / "default" / name).read_text(encoding="utf-8")


FILES: dict[str, Callable[[str], str]] = {
    "docs/pictures/tree.svg": tree_picture,
    "docs/pictures/decision.svg": decision_picture,
    **{
        f"samples/new-policy/{name}": default_set(name)
        for name in ("main.route", "models.yaml", "policies.yaml")
    },
    "schemas/models.schema.json": models_schema,
    "schemas/decision-log.schema.json": decision_log_schema,
    "schemas/shadow.schema.json": shadow_schema,
    "editors/vscode/syntaxes/route.tmLanguage.json": textmate_grammar,
}
"""Other files that are made: pictures, copies, and lists of facts and APIs."""


def main(arguments: list[str]) -> int:
    """Writes every file, or with --check says which are not up to date."""
    stale = []
    files = dict.fromkeys(sorted(DOCS.rglob("*.md")), brought_up_to_date)
    files |= {DOCS.parent / name: fresh_text for name, fresh_text in FILES.items()}
    for path, fresh_text in files.items():
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
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
