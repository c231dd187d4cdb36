"""Text of a YAML file -> values and places."""

import time
from decimal import Decimal

import pytest
import yaml

from engine.config import yaml_source
from engine.config.yaml_source import Document, decode, read_yaml
from engine.language.diagnostics import Diagnostic, Problems
from engine.language.source import Source


def read(text: str) -> tuple[Document | None, list[Diagnostic]]:
    problems = Problems()
    return read_yaml(Source("x.yaml", text), problems), list(problems)


def values(text: str) -> object:
    document, found = read(text)
    assert found == []
    assert document is not None
    return document.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("08:30", "08:30"),
        ("22:00", "22:00"),
        ("2026-11-22", "2026-11-22"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.10", Decimal("1.10")),
        ("0.1", Decimal("0.1")),
        ("1e3", Decimal("1e3")),
        ("-5", -5),
        (".5", Decimal("0.5")),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("~", None),
        ("null", None),
        ("", None),
        ('"7"', "7"),
        ("'true'", "true"),
        ("llama3.1:8b", "llama3.1:8b"),
    ],
)
def test_scalars_are_read_as_yaml_1_2_says(written: str, value: object) -> None:
    """yes, no, times and dates are words; numbers are the decimals written."""
    assert values(f"key: {written}\n") == {"key": value}
    assert type(values(f"key: {written}\n")["key"]) is type(value)  # type: ignore[index]


def test_a_key_is_a_word_whatever_it_looks_like() -> None:
    """A task type called `no` or `2024` is a name."""
    assert values("no: 1\n2024: 2\ntrue: 3\n") == {"no": 1, "2024": 2, "true": 3}


def test_every_key_and_value_has_its_place() -> None:
    """Places count lines and columns from 1, in characters, also behind umlauts and emoji."""
    document, _ = read("# ü😀\na:\n  - {é: 'x', z: [1, 22]}\n")
    assert document is not None
    assert str(document.key("a")) == "x.yaml:2:1"
    assert str(document.key("a", 0, "é")) == "x.yaml:3:6"
    assert document.at("a", 0, "é").text == "'x'"
    assert document.at("a", 0, "z", 1).text == "22"
    assert document.at("a", 0, "z").text == "[1, 22]"


def test_a_block_ends_with_its_last_member() -> None:
    """The span of a block mapping or sequence does not reach to the next key."""
    document, _ = read("a:\n  b: 1\n  c: [2]\n\n# end\nd: 3\n")
    assert document is not None
    assert document.at("a").text == "b: 1\n  c: [2]"


def test_an_empty_value_is_found_at_its_key() -> None:
    """Where nothing stands, the key is pointed at."""
    document, _ = read("a:\n  b:\n")
    assert document is not None
    assert document.at("a", "b").text == "b"


def test_a_path_that_leads_nowhere_answers_with_the_nearest_place_above() -> None:
    """A missing key is reported at its parent."""
    document, _ = read("a: {b: 1}\n")
    assert document is not None
    assert document.at("a", "c", 3, "d").text == "{b: 1}"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lines_may_end_with_lf_or_crlf(ending: str) -> None:
    """Both give the same values and the same lines."""
    document, found = read(f"a: 1{ending}b: x{ending}")
    assert found == []
    assert document is not None
    assert document.value == {"a": 1, "b": "x"}
    assert document.key("b").line == 2


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_is_no_value(text: str) -> None:
    """Nothing written is None, not an error; what it means is for the schema."""
    assert values(text) is None


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    """Columns are counted without it."""
    source = decode("x.yaml", b"\xef\xbb\xbfa: 1\n", Problems())
    assert source is not None
    assert source.text == "a: 1\n"


@pytest.mark.parametrize(
    ("data", "place", "help"),
    [
        (b"a: 1\nb: \xff\n", "x.yaml:2:4", "save the file as UTF-8"),
        ("a: 1\n".encode("utf-16"), "x.yaml:1:1", "save the file as UTF-8"),
        (b"\xef\xbb\xbf\xc3", "x.yaml:1:1", "save the file as UTF-8"),
    ],
)
def test_what_is_not_utf8_is_said_at_its_place(data: bytes, place: str, help: str) -> None:
    """The first byte that is no UTF-8 has a line and a column."""
    problems = Problems()
    assert decode("x.yaml", data, problems) is None
    (found,) = problems
    assert (found.slug, str(found.span), found.help) == ("not-utf8", place, help)


def test_a_file_over_the_limit_is_refused_unread() -> None:
    """One byte over 1 MiB is too much, exactly 1 MiB is not."""
    problems = Problems()
    assert decode("x.yaml", b"#" * yaml_source.MOST_BYTES, problems) is not None
    assert decode("x.yaml", b"#" * (yaml_source.MOST_BYTES + 1), problems) is None
    assert [found.slug for found in problems] == ["file-too-big"]


SYNTAX = [
    ("a colon in a value", "a: b: c\n", "1:5", "a colon cannot stand here"),
    ("a deeper line without reason", "a: 1\n b: 2\n", "2:3", "a colon cannot stand here"),
    ("a tab for indentation", "a:\n\tb: 1\n", "2:1", "a tab cannot indent"),
    ("a bracket left open", "a: [1, 2\nb: 3\n", "1:4", "this `[` is never closed"),
    ("a brace left open", "a: {b: 1\n", "1:4", "this `{` is never closed"),
    ("a quotation mark left open", "a: 'x\nb: 1\n", "1:4", "never closed"),
    ("an unknown escape", 'a: "\\q"\n', "1:4", "after a backslash"),
    ("a list below a key's value", "a: 1\n- b\n", "2:1", "does not belong to the lines above"),
    ("a list on its key's line", "key: - x\n", "1:6", "a `-` cannot stand here"),
    ("a quotation mark that ends early", "a: 'it's'\n", "1:8", "a quotation mark that ends early"),
    ("an outdented member", "a:\n  - x\n - y\n", "3:2", "another indentation"),
    ("an at sign", "a: @x\n", "1:4", "a value cannot begin with `@`"),
    ("a percent sign", "a: %x\n", "1:4", "a value cannot begin with `%`"),
]


@pytest.mark.parametrize(
    ("text", "place", "message"), [case[1:] for case in SYNTAX], ids=[case[0] for case in SYNTAX]
)
def test_broken_yaml_is_one_finding_with_its_place(text: str, place: str, message: str) -> None:
    """A slip of YAML's own is said once, at a line and column, in a plain sentence."""
    document, (found,) = read(text)
    assert document is None
    assert (found.slug, str(found.span)) == ("yaml-syntax", f"x.yaml:{place}")
    assert message in found.message


REFUSED = [
    ("an anchor", "a: &x 1\n", "yaml-alias", "1:4"),
    ("an alias", "a: *x\n", "yaml-alias", "1:4"),
    ("an alias bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "yaml-alias", "1:4"),
    ("a tag", "a: !!python/object:os.system x\n", "yaml-tag", "1:4"),
    ("a tag on a mapping", "a: !x {b: 1}\n", "yaml-tag", "1:4"),
    ("a second document", "a: 1\n---\nb: 1\n", "yaml-second-document", "2:1"),
    ("a list as a key", "? [a]\n: b\n", "yaml-key", "1:3"),
    ("a NUL byte", "a: x\x00y\n", "hidden-character", "1:5"),
    ("an escape sequence", "a: \x1b[31m\n", "hidden-character", "1:4"),
    ("a lone carriage return", "a: 1\rb: 2\n", "hidden-character", "1:5"),
    ("text that turns round", "a: x\u202ey\n", "hidden-character", "1:5"),
    ("a mark within the file", "a: \ufeffx\n", "hidden-character", "1:4"),
    ("a line break by escape", 'a: "x\\ny"\n', "hidden-character", "1:4"),
    ("a control character by escape", 'a: "\\x1b[31m"\n', "hidden-character", "1:4"),
    ("a text over lines", "a: |\n  x\n  y\n", "hidden-character", "1:4"),
    ("an endless number", f"a: 1{'0' * 5000}\n", "number-too-long", "1:4"),
    ("an endless exponent", "a: 1e999999999\n", "number-too-long", "1:4"),
    ("33 brackets", "[" * 33, "yaml-too-deep", "1:33"),
    ("5000 brackets", "[" * 5000, "yaml-too-deep", "1:33"),
    ("5000 brackets behind a key", "a: 1\nb: " + "[" * 5000, "yaml-too-deep", "2:35"),
    ("5000 brackets that are closed", "[" * 5000 + "]" * 5000, "yaml-too-deep", "1:33"),
    ("5000 dashes", "- " * 5000, "yaml-too-deep", "1:65"),
    ("1000 nested keys", "".join(" " * n + "a:\n" for n in range(1000)), "yaml-too-deep", "33:33"),
]


@pytest.mark.parametrize(
    ("text", "slug", "place"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_could_hurt_is_refused_at_its_place(text: str, slug: str, place: str) -> None:
    """Hostile input gives one finding, no value and no traceback."""
    document, (found,) = read(text)
    assert document is None
    assert (found.slug, str(found.span)) == (slug, f"x.yaml:{place}")


def test_32_brackets_are_allowed() -> None:
    """The limit itself is within the limit."""
    assert values("[" * 32 + "]" * 32) is not None


def test_a_repeated_key_is_an_error_that_shows_both_places() -> None:
    """`budget: 5` and then `budget: 500` is not 500."""
    _, (found,) = read("a: 5\nb: {c: 1}\na: 500\n")
    assert (found.slug, str(found.span), str(found.notes[0].span)) == (
        "repeated-key",
        "x.yaml:3:1",
        "x.yaml:1:1",
    )


def test_keys_of_different_mappings_are_no_repetition() -> None:
    """Also not within two mappings that repeat a key themselves."""
    _, found = read("a: {b: 1}\na: {b: 2}\nc: {b: 3}\n")
    assert [str(each.span) for each in found] == ["x.yaml:2:1"]


HEAVY = {
    "a list of 400 KB": "[" + "a, " * 133_000 + "a]",
    "a key on every line": "".join(f"k{n}: 1\n" for n in range(100_000)),
    "the same key on every line": "a: 1\n" * 200_000,
    "a line of 1 MB": "a: " + "x" * 1_000_000,
    "400 000 brackets": "[" * 400_000,
    "a quotation mark over 1 MB": "'" + "\n" * 1_000_000,
    "words without commas": "[" + "a " * 500_000,
    "keys that look like secrets": "api_key: " * 110_000,
    "a word that is nearly a secret": "a-" * 500_000,
}


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY.keys())
def test_a_big_file_costs_no_more_than_seconds(text: str) -> None:
    """No input up to the limit makes reading hang (measured: 0.7 s at most)."""
    began = time.process_time()
    _, found = read(text)
    assert time.process_time() - began < 10
    assert len(found) <= yaml_source.MOST_FINDINGS + 1


@pytest.mark.parametrize(
    "text", [*(case[1] for case in SYNTAX), *(case[1] for case in REFUSED if len(case[1]) < 3000)]
)
def test_the_reader_without_libyaml_refuses_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML has no libyaml, nothing that is refused gets through."""
    monkeypatch.setattr(yaml_source, "_Reader", yaml.SafeLoader)
    document, found = read(text)
    assert document is None
    assert len(found) == 1
