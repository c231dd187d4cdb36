"""Kinds of mistakes -> mistakes made in the shipped folders, with what is to be said of each.

python -m tests.authors.kinds
python -m tests.authors.kinds --check

The first writes `mistakes.jsonl` anew: of each kind a few mistakes, at places of the shipped folders where it
can be made. A kind says itself which note is right and what its help says; where the engine says something
else, the mistake is not written, and named. The second holds the engine against the file, and follows every
help.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

from engine.language.diagnostics import Diagnostic, Level
from tests.authors.folders import SHIPPED, Folder, shipped
from tests.authors.helps import followed

DATA = Path(__file__).parent / "mistakes.jsonl"
MOST_OF_A_KIND = 9


@dataclass(frozen=True, slots=True)
class Kind:
    """A mistake: what it makes of a text, in files with this ending, and what is to be said of it.

    `help` is a pattern of the whole help, in which `\\1` is what the pattern found; None for a note that
    proposes nothing.
    """

    name: str
    pattern: str
    written: str
    slug: str
    help: str | None
    file: str = ".route"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: `before` at `start` of a file became `after`. The note stands at `line` under
    `underlined`; `fix` is what following its help writes there."""

    kind: str
    folder: str
    file: str
    start: int
    before: str
    after: str
    slug: str
    line: int
    underlined: str
    help: str | None
    fix: str | None

    def applied(self) -> Folder:
        folder = shipped(self.folder)
        text = folder.files[self.file]
        end = self.start + len(self.before)
        assert text[self.start : end] == self.before
        return folder.with_file(self.file, text[: self.start] + self.after + text[end:])


def _word(wrong: str, right: str, slug: str = "unexpected-word") -> Kind:
    return Kind(f"{wrong} for {right}", rf"(?<=\s){right}(?=\s)", wrong, slug, rf"write `{right}`")


def _form(foreign: str, right: str, slug: str = "unexpected-word", help: str | None = None) -> Kind:
    pattern = (
        rf"(?<=[\s\w\]]) ?{re.escape(right)}(?=\s)"
        if right[0] == ","
        else rf"(?<=\s){re.escape(right)}(?=\s)"
    )
    written = f" {foreign}" if right[0] == "," else foreign
    return Kind(f"{foreign} for {right}", pattern, written, slug, help or rf"write `{re.escape(right)}`")


def _key(wrong: str, right: str, file: str = "models.yaml") -> Kind:
    return Kind(f"key {wrong}", rf"(?<=[\s{{]){right}(?=:)", wrong, "unknown-key", rf"write `{right}`", file)


KINDS = (
    # Words of the language with a letter wrong.
    _word("whne", "when"),
    _word("wen", "when"),
    _word("unles", "unless"),
    _word("becuase", "because"),
    _word("tehn", "then"),
    _word("adn", "and"),
    _word("hsa", "has"),
    _word("gievn", "given"),
    _word("expcet", "expect"),
    _word("naver", "never"),
    _word("olny", "only"),
    Kind("fobid", r"(?m)^forbid(?= )", "fobid", "unknown-statement", "write `forbid`"),
    Kind("rquire", r"(?m)^require(?= )", "rquire", "unknown-statement", "write `require`"),
    Kind("roote", r"(?m)^route(?= )", "roote", "unknown-statement", "write `route`"),
    Kind("tset", r"(?m)^test(?= )", "tset", "unknown-statement", "write `test`"),
    Kind("proove", r"(?m)^prove(?= )", "proove", "unknown-statement", "write `prove`"),
    Kind("deny", r"(?m)^forbid(?= )", "deny", "unknown-statement", "write `forbid`"),
    Kind("FORBID", r"(?m)^forbid(?= )", "FORBID", "upper-case-keyword", "write `forbid`"),
    Kind("WHEN", r"(?<=\s)when(?=\s)", "WHEN", "upper-case-keyword", "write `when`"),
    # Forms of other languages.
    Kind("== for is", r"(?<=when task\.type) is(?= [a-z])", " ==", "unexpected-operator", "write `.* is .*`"),
    _form("&&", "and", "unexpected-operator"),
    _form("||", "or", "unexpected-operator"),
    _form("=>", ">=", "unexpected-operator", "write `.* >= .*`"),
    _form("at least", ">="),
    _form("is at least", ">="),
    _form("at most", "<="),
    _form("more than", ">"),
    Kind("if for when", r"(?<=\s)when(?=\s)", "if", "unexpected-if", "write `when.*`"),
    Kind("where for when", r"(?<=\s)when(?=\s)", "where", "unexpected-if", "write `when.*`"),
    Kind("except for unless", r"(?<=\s)unless(?=\s)", "except", "unexpected-word", "write `unless`"),
    Kind(
        "contains for has",
        r"(?<=labels )has(?= [a-z-]+\s)(?! any| all)",
        "contains",
        "unexpected-word",
        "write .*",
    ),
    Kind("one of for in", r"(?<=\s)in(?= \[)", "one of", "unexpected-word", "write `in`"),
    Kind("else for then", r"(?<=, )then(?= )", "else", "missing-then", "write .*"),
    Kind("-> for then", r", then(?= )", " ->", "missing-then", "write `, then`"),
    Kind("no comma before then", r", then(?= )", " then", "missing-comma", "write .*"),
    Kind("(a, b) for a list", r"\[([a-z, -]+)\](?=\n)", r"(\1)", "other-brackets", r"write `\[.*\]`"),
    Kind("{a, b} for a list", r"\[([a-z, -]+)\](?=\n)", r"{\1}", "other-brackets", r"write `\[.*\]`"),
    Kind("; at the end", r"(?<=[a-z\]])\n(?=\n)", ";\n", "unexpected-semicolon", "leave `;` out"),
    Kind("no for never", r"(?<=: )never(?= )", "no", "unexpected-word", "write `never`"),
    # Signs, texts and numbers.
    Kind("a list that is open", r"\](?=\n    because)", "", "unclosed-bracket", "write `]`.*"),
    Kind("a comma too many", r"(?<=[a-z])\](?=\n)", ",]", "trailing-comma", "leave the comma out.*"),
    Kind("a comma too few", r"(?<=[a-z]), (?=[a-z-]+[,\]])", " ", "missing-comma", "write .*"),
    Kind(
        "a text that is open",
        r'because ("[^"\n]*)"\n',
        "because \\1\n",
        "unclosed-string",
        'close it with `"`',
    ),
    Kind("curly quotes", r'because "([^"\n]*)"', "because “\\1”", "wrong-quotes", "write .*"),
    Kind("single quotes", r'because "([^"\n\']*)"', "because '\\1'", "wrong-quotes", "write .*"),
    Kind("no colon", r"(?m)(?<=^forbid )([a-z-]+):", r"\1", "missing-colon", "write .*"),
    Kind(
        "a name with underscores",
        r"(?m)(?<=^forbid )([a-z]+)-([a-z]+)(?=:)",
        r"\1_\2",
        "bad-rule-name",
        "write `.*-.*`",
    ),
    Kind("a name with a stray sign", r"(?m)(?<=^let )([a-z-]+)(?= )", r"\1_", "bad-rule-name", "write `.*`"),
    Kind("percent in a word", r"(?<=[0-9])%(?=\s)", " percent", "bad-number", r"write `[0-9]+%`"),
    Kind("kb", r"(?<=[0-9])k(?=\s)", "kb", "bad-number", r"write `[0-9]+k`"),
    Kind(
        "a range with a hyphen",
        r"(?<=in )([0-9]+)\.\.([0-9]+)",
        r"\1-\2",
        "bad-range",
        r"write `[0-9]+\.\.[0-9]+`",
    ),
    Kind(
        "a range with to",
        r"(?<=in )([a-z]+)\.\.([a-z]+)",
        r"\1 to \2",
        "bad-range",
        r"write `[a-z]+\.\.[a-z]+`",
    ),
    Kind(
        "a range of days",
        r"(?<=in )([a-z]{3})\.\.([a-z]{3})",
        r"\1-\2",
        "not-a-list",
        r"write `[a-z]+\.\.[a-z]+`",
    ),
    Kind("a blank too few", r"(?<=\s)when (?=[a-z])", "when", "missing-space", "write `when .*`"),
    Kind("a blank too many", r"task\.(?=type is|labels has)", "task. ", "torn-word", r"write `task\..*`"),
    Kind("a word twice", r"(?<=\s)(when|and|has|is)(?=\s)", r"\1 \1", "word-twice", "take one `.*` away"),
    # What a comparison means.
    Kind("is on a set", r"(?<=labels )has(?= [a-z-]+\s)(?! any| all)", "is", "set-compared", "write .*has.*"),
    Kind(
        "has on a value",
        r"(?<=when task\.type )is(?= [a-z-]+\s)(?! not)",
        "has",
        "has-without-set",
        "write .* is .*",
    ),
    Kind("is on a list", r"(?<=task\.type )in(?= \[)", "is", "is-list", "write .* in .*"),
    Kind("has on a list", r"(?<=labels )has any(?= \[)", "has", "has-list", "write .*has any.*has all.*"),
    Kind(
        "turned round",
        r"task\.labels has ([a-z-]+)(?=\n)",
        r"\1 in task.labels",
        "turned-round",
        "write .* has .*",
    ),
    Kind("a fact misspelt", r"task\.type(?= )", "task.tpye", "unknown-fact", "`task.type` is a similar fact"),
    Kind(
        "an attribute misspelt",
        r"model\.quality",
        "model.qualty",
        "unknown-attribute",
        ".*is a similar attribute",
    ),
    Kind("a value misspelt", r"(?<=>= )high(?=\s)", "hihg", "unknown-value", "`high` is similar.*"),
    # Keys and values of the YAML files.
    _key("max_contxt", "max_context"),
    _key("context_window", "max_context"),
    _key("max_model_len", "max_context"),
    _key("num_ctx", "max_context"),
    _key("quality_teir", "quality_tier"),
    _key("latency", "latency_tier"),
    _key("api_base", "base_url"),
    _key("name", "id"),
    _key("model_name", "id"),
    _key("pricing", "cost_profile"),
    _key("input_per_lm", "input_per_1m"),
    _key("rountig", "routing", "policies.yaml"),
    _key("budget", "budgets", "policies.yaml"),
    _key("lables", "labels", "policies.yaml"),
    _key("task_type", "task_types", "policies.yaml"),
    _key("timezone", "time_zone", "policies.yaml"),
    _key("total", "total_usd", "policies.yaml"),
    _key("day", "daily", "policies.yaml"),
    _key("strategy", "cloud_usage_strategy", "policies.yaml"),
    Kind("a tier misspelt", r"(?<=tier: )medium", "meduim", "not-one-of", "write `medium`.*", "models.yaml"),
    Kind(
        "a price with $",
        r"(?<=input_per_1m: )([0-9.]+)",
        r"$\1",
        "wrong-type",
        "write `[0-9.]+`",
        "models.yaml",
    ),
    Kind(
        "32k in YAML",
        r"(?<=max_context: )([0-9]+)000\b",
        r"\1k",
        "wrong-type",
        "write `[0-9]+`",
        "models.yaml",
    ),
    Kind(
        "a price by the token",
        r"input_per_1m: ([0-9])\.?[0-9]*",
        r"input_cost_per_token: 0.00000\1",
        "unknown-key",
        r"write `input_per_1m: [0-9.]+`",
        "models.yaml",
    ),
    Kind(
        "a list of words",
        r"(?<=task_types: )\[([a-z_, -]+)\]",
        r"\1",
        "wrong-type",
        r"write `\[.*\]`",
        "policies.yaml",
    ),
    Kind(
        "a provider misspelt",
        r"(?<=[\s{])(anthropi)c(?=: [0-9])",
        r"\1k",
        "unknown-provider",
        "write .*",
        "policies.yaml",
    ),
    Kind(
        "a strategy misspelt",
        r"(?<=strategy: )balanced",
        "balancd",
        "not-one-of",
        "write `balanced`.*",
        "policies.yaml",
    ),
    Kind(
        "weights of a hundred",
        r"\{cost: 0\.([1-9])5?, quality: 0\.([1-9])5?, latency: 0\.([1-9])5?\}",
        "{cost: 40, quality: 40, latency: 20}",
        "weights-sum",
        r"write `\{cost: 0\.4, quality: 0\.4, latency: 0\.2\}`",
        "policies.yaml",
    ),
    Kind(
        "a default mode misspelt",
        r"(?<=default_mode: )([a-z])(?=[a-z]+)",
        r"\1x",
        "unknown-mode",
        ".*",
        "policies.yaml",
    ),
    Kind(
        "a key without a value", r"(?<=time_zone:) [A-Za-z/]+", "", "no-value", "write one.*", "policies.yaml"
    ),
)


def candidates(kind: Kind) -> Iterator[tuple[str, str, re.Match[str]]]:
    """Folder, file and place of each place where a mistake can be made, one folder after the other."""
    places = [
        [
            (name, file, found)
            for file, text in shipped(name).files.items()
            if file.endswith(kind.file)
            for found in re.finditer(kind.pattern, text)
            if not _in_comment(text, found.start())
        ]
        for name in SHIPPED
    ]
    while any(places):
        for of_folder in places:
            if of_folder:
                yield of_folder.pop(0)


def _in_comment(text: str, start: int) -> bool:
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return "#" in line or line.count('"') % 2 == 1


def mistakes(kind: Kind) -> Iterator[tuple[Mistake | None, str]]:
    """Mistakes of a kind; None, and what was said, where the right note is not the only one."""
    for name, file, found in candidates(kind):
        after = found.expand(kind.written)
        mistake = Mistake(kind.name, name, file, found.start(), found[0], after, kind.slug, 0, "", None, None)
        said = noted(mistake)
        told = "; ".join(f"{each.span} {each.slug}: {each.message} | {each.help}" for each in said)
        if (
            len(said) != 1
            or said[0].slug != kind.slug
            or not re.fullmatch(kind.help or "", said[0].help or "")
        ):
            yield None, f"{name}/{file}: {found[0]!r} -> {after!r}: {told or 'nothing'}"
            continue
        note = said[0]
        fix = None if note.fix is None else note.fix.text
        span = note.span
        values = {
            **asdict(mistake),
            "line": span.line,
            "underlined": span.text,
            "help": note.help,
            "fix": fix,
        }
        yield Mistake(**values), told


def noted(mistake: Mistake) -> list[Diagnostic]:
    """The errors that a mistake is answered with; what is only a warning when there are none."""
    _, found = mistake.applied().built()
    return [each for each in found if each.level is Level.ERROR] or found


def read() -> list[Mistake]:
    return [Mistake(**json.loads(line)) for line in DATA.read_text(encoding="utf-8").splitlines()]


def check(mistake: Mistake) -> str | None:
    """What is not as it should be: the note, or what comes of following its help. None when all is well."""
    said = noted(mistake)
    if len(said) != 1:
        return f"{len(said)} notes"
    note = said[0]
    fix = None if note.fix is None else note.fix.text
    found = (note.slug, note.span.line, note.span.text, note.help, fix)
    if found != (mistake.slug, mistake.line, mistake.underlined, mistake.help, mistake.fix):
        return f"another note: {found}"
    if note.help is not None and (written := re.fullmatch("write `([^`]*)`", note.help)) and fix is None:
        return f"nothing says where to write {written[1]}"
    result = followed(shipped(mistake.folder), mistake.applied(), said)
    if result is None:
        return None
    if result.errors or result.leaks:
        return f"its help leads to {(*result.errors, *result.leaks)}"
    if (
        written
        and "..." not in written[1]
        and _squeezed(written[1]) not in _squeezed(result.folder.files[mistake.file])
    ):
        return f"its fix does not write {written[1]}"
    numbers = [
        sorted(_numbers(folder.files[mistake.file])) for folder in (shipped(mistake.folder), result.folder)
    ]
    return None if numbers[0] == numbers[1] or mistake.kind in _OTHER_NUMBERS else "its help changes a number"


_OTHER_NUMBERS = ("a price by the token", "weights of a hundred")
"""Kinds whose mistake loses the number that was meant."""


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def _numbers(text: str) -> Iterator[Decimal]:
    for found in re.finditer(r"(?<![\w.:-])[0-9]+(?:\.[0-9]+)?(?![\w.:-])", text):
        yield Decimal(found[0])


def main() -> int:
    if "--check" in sys.argv:
        wrong = [(each, told) for each in read() if (told := check(each)) is not None]
        for each, told in wrong:
            print(f"{each.kind}, {each.folder}/{each.file}: {told}")
        kinds = {each.kind for each in read()}
        print(f"{len(read())} mistakes in {len(kinds)} kinds, {len(wrong)} not as written")
        return 1 if wrong else 0
    written: list[Mistake] = []
    for kind in KINDS:
        kept, wrong = 0, []
        for mistake, told in mistakes(kind):
            if kept == MOST_OF_A_KIND:
                break
            if mistake is None:
                wrong.append(told)
                continue
            kept += 1
            written.append(mistake)
        print(
            f"{kind.name}: {kept}"
            + (f", and {len(wrong)} not as wanted, such as {wrong[0]}" if wrong else "")
        )
    lines = [json.dumps(asdict(each), ensure_ascii=False) for each in written]
    DATA.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(written)} mistakes in {len({each.kind for each in written})} kinds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
