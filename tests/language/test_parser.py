"""The parser: what each form of the language becomes, what survives an error, and where the limits are."""

import threading
from pathlib import Path

import pytest
from lark import Lark, Token

from engine.bundled import bundled_path, bundled_text
from engine.config.yaml_source import decode
from engine.language import grammar, parser
from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.source import Source, Span

NOWHERE = Span(Source("nowhere", ""), 0, 0)


def parsed(text: str) -> tuple[tree.Statement, ...]:
    """The statements of a text that has no errors."""
    problems = Problems()
    file = parser.parse(Source("main.route", text), problems)
    assert list(problems) == []
    assert file.broken == ()
    return file.statements


def slugs(text: str) -> list[str]:
    problems = Problems()
    parser.parse(Source("main.route", text), problems)
    return [problem.slug for problem in problems]


def condition(text: str) -> tree.Expression:
    """The expression behind `let x =`."""
    (statement,) = parsed(f"let x = {text}")
    assert isinstance(statement, tree.Let)
    assert not isinstance(statement.value, tree.List)
    return statement.value


def word(text: str) -> tree.Word:
    return tree.Word(text, NOWHERE)


def number(text: str) -> tree.Number:
    return tree.Number(text, NOWHERE)


def text(text: str) -> tree.Text:
    return tree.Text(text, NOWHERE)


def identifier(text: str) -> tree.Identifier:
    return tree.Identifier(text, NOWHERE)


def name(text: str) -> tree.Name:
    return tree.Name(word(text), NOWHERE)


def items(*texts: str) -> tree.List:
    return tree.List(tuple(map(word, texts)), NOWHERE)


def comparison(left: str, operator: tree.Operator, right: tree.Value) -> tree.Comparison:
    return tree.Comparison(word(left), operator, right, NOWHERE)


# --- Expressions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a", name("a")),
        ('"a"', tree.Name(text("a"), NOWHERE)),
        ("llama3.1:8b", name("llama3.1:8b")),
        ("task.type is planning", comparison("task.type", "is", word("planning"))),
        ("task.type is not planning", comparison("task.type", "is not", word("planning"))),
        ("task.type is notice", comparison("task.type", "is", word("notice"))),
        ("task.type is not-urgent", comparison("task.type", "is", word("not-urgent"))),
        ("task.type is route", comparison("task.type", "is", word("route"))),
        ("task.type is when", comparison("task.type", "is", word("when"))),
        ("task.type is any", comparison("task.type", "is", word("any"))),
        ('task.type is "not"', comparison("task.type", "is", text("not"))),
        ("task.labels has all-hands", comparison("task.labels", "has", word("all-hands"))),
        ("task.context_size > 32k", comparison("task.context_size", ">", number("32k"))),
        ("x <= 1.5M", comparison("x", "<=", number("1.5M"))),
        ("x >= $0.05", comparison("x", ">=", number("$0.05"))),
        ("x < 80%", comparison("x", "<", number("80%"))),
        ("5 < x", tree.Comparison(number("5"), "<", word("x"), NOWHERE)),
        ("x in [a, b]", tree.Membership(word("x"), False, items("a", "b"), NOWHERE)),
        ("x not in phi", tree.Membership(word("x"), True, word("phi"), NOWHERE)),
        ("x in []", tree.Membership(word("x"), False, items(), NOWHERE)),
        (
            "x in 22..6",
            tree.Membership(word("x"), False, tree.Range(number("22"), number("6"), NOWHERE), NOWHERE),
        ),
        (
            "x in mon..fri",
            tree.Membership(word("x"), False, tree.Range(word("mon"), word("fri"), NOWHERE), NOWHERE),
        ),
        ("x has any [a]", tree.HasSome(word("x"), "any", items("a"), NOWHERE)),
        ("x has all phi", tree.HasSome(word("x"), "all", word("phi"), NOWHERE)),
        ("x is empty", tree.IsEmpty(word("x"), False, word("empty"), NOWHERE)),
        ("x is not empty", tree.IsEmpty(word("x"), True, word("empty"), NOWHERE)),
        ("x is empty-handed", comparison("x", "is", word("empty-handed"))),
        ("not a and b", tree.And((tree.Not(name("a"), NOWHERE), name("b")), NOWHERE)),
        ("not not a", tree.Not(tree.Not(name("a"), NOWHERE), NOWHERE)),
        ("a or b and c", tree.Or((name("a"), tree.And((name("b"), name("c")), NOWHERE)), NOWHERE)),
        ("a and b and c", tree.And((name("a"), name("b"), name("c")), NOWHERE)),
        (
            "a and (b and c)",
            tree.And((name("a"), tree.Group(tree.And((name("b"), name("c")), NOWHERE), NOWHERE)), NOWHERE),
        ),
        ("nothing and order", tree.And((name("nothing"), name("order")), NOWHERE)),
    ],
)
def test_an_expression_becomes_its_node(written: str, expected: tree.Expression) -> None:
    """Comparisons bind strongest, then `not`, then `and`, then `or`; chains are flat, brackets are kept."""
    assert expected == condition(written)


# --- Statements -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("language 1", tree.Language(number("1"), NOWHERE)),
        ("let a = [x]", tree.Let(identifier("a"), items("x"), NOWHERE)),
        ("let lettuce = cloud", tree.Let(identifier("lettuce"), name("cloud"), NOWHERE)),
        (
            "forbid x:llama3.1:8b",
            tree.Guard("forbid", identifier("x"), False, name("llama3.1:8b"), tree.Clauses(), NOWHERE),
        ),
        (
            'require a (watch): b when c unless d because "e \\"f\\" \\\\g"',
            tree.Guard(
                "require",
                identifier("a"),
                True,
                name("b"),
                tree.Clauses(name("c"), name("d"), text('e "f" \\g')),
                NOWHERE,
            ),
        ),
        (
            'avoid a: b by 0.5 because "x"',
            tree.Preference(
                "avoid", identifier("a"), name("b"), number("0.5"), tree.Clauses(because=text("x")), NOWHERE
            ),
        ),
        (
            "weigh a: cost 0.1, quality 0.9",
            tree.Weigh(
                identifier("a"),
                (
                    tree.Share(word("cost"), number("0.1"), NOWHERE),
                    tree.Share(word("quality"), number("0.9"), NOWHERE),
                ),
                tree.Clauses(),
                NOWHERE,
            ),
        ),
        (
            "route a: use b, then c, then d when e",
            tree.Route(
                identifier("a"), (name("b"), name("c"), name("d")), tree.Clauses(when=name("e")), NOWHERE
            ),
        ),
        (
            "prove a: some b unless c",
            tree.Prove(
                identifier("a"),
                tree.ExpectChain("some", name("b"), NOWHERE),
                None,
                tree.Clauses(unless=name("c")),
                NOWHERE,
            ),
        ),
        (
            "prove a: first b after c when d",
            tree.Prove(
                identifier("a"),
                tree.ExpectFirst(name("b"), NOWHERE),
                name("c"),
                tree.Clauses(when=name("d")),
                NOWHERE,
            ),
        ),
        (
            "prove a: refused",
            tree.Prove(identifier("a"), tree.ExpectRefused(NOWHERE), None, tree.Clauses(), NOWHERE),
        ),
        (
            "prove a: route b unless c",
            tree.Prove(
                identifier("a"),
                tree.ExpectRoute(identifier("b"), NOWHERE),
                None,
                tree.Clauses(unless=name("c")),
                NOWHERE,
            ),
        ),
        (
            (
                'test "t": given x is 5%, not y, z is empty, l has m expect chain a, "b/c", ... because r'
                " given x expect route r given x expect refused given x expect never y given x expect y"
            ),
            tree.Test(
                text("t"),
                (
                    tree.Case(
                        (
                            tree.GivenIs(word("x"), number("5%"), NOWHERE),
                            tree.GivenFlag(word("y"), False, NOWHERE),
                            tree.GivenEmpty(word("z"), NOWHERE),
                            tree.GivenHas(word("l"), word("m"), NOWHERE),
                        ),
                        tree.ExpectModels((word("a"), text("b/c")), True, NOWHERE),
                        identifier("r"),
                        NOWHERE,
                    ),
                    *(
                        tree.Case((tree.GivenFlag(word("x"), True, NOWHERE),), expectation, None, NOWHERE)
                        for expectation in (
                            tree.ExpectRoute(identifier("r"), NOWHERE),
                            tree.ExpectRefused(NOWHERE),
                            tree.ExpectChain("never", name("y"), NOWHERE),
                            tree.ExpectFirst(name("y"), NOWHERE),
                        )
                    ),
                ),
                NOWHERE,
            ),
        ),
    ],
)
def test_a_statement_becomes_its_node(written: str, expected: tree.Statement) -> None:
    """Every form, with its clauses in order, and a span over exactly what was written."""
    (statement,) = parsed(f"\n  {written}  # behind it\n")
    assert expected == statement
    assert statement.span.text == written


def test_nothing_need_separate_statements() -> None:
    """A keyword begins the next statement, also on the same line, also where a name looks like one."""
    statements = parsed(
        "let route = cloud route route: use route when task.type is forbid forbid when: cloud"
    )
    assert [type(statement) for statement in statements] == [tree.Let, tree.Route, tree.Guard]


@pytest.mark.parametrize(
    "written",
    [
        "forbid x: cloud whenever",
        "forbid x: cloud and local andlocal",
        "route x: use any, thenlocal",
        "prefer x: local by5",
        "prove x: nevercloud",
        "weigh x: cost0.1",
    ],
)
def test_a_keyword_glued_to_something_is_no_keyword(written: str) -> None:
    """Lark alone would read `whenever` as `when ever`."""
    assert len(slugs(written)) == 1


def test_comments_are_kept_with_their_places() -> None:
    """A `#` in a text begins none; a comment ends with its line."""
    source = Source("main.route", 'let a = "#1"  # one\r\n# two\nlet b = c # "three')
    file = parser.parse(source, Problems())
    assert [comment.text for comment in file.comments] == ["# one", "# two", '# "three']
    assert [comment.span.text for comment in file.comments] == ["# one", "# two", '# "three']


def test_lines_may_end_as_they_do_on_windows() -> None:
    """CRLF is a line's end, and lines are counted alike."""
    first, second = parsed("let a = b\r\n\r\nlet c = d\r\n")
    assert (first.span.line, second.span.line) == (1, 3)


# --- Errors -----------------------------------------------------------------------------------------


def test_one_slip_costs_one_statement() -> None:
    """The others survive, and the name of the lost one is known."""
    problems = Problems()
    source = Source("main.route", "let a = b\nforbid c: d when e == f\nforbid g h\nlet i = j\n")
    file = parser.parse(source, problems)
    assert [statement.span.text for statement in file.statements] == ["let a = b", "let i = j"]
    assert file.broken == ("c", "g")
    assert [problem.slug for problem in problems] == ["unexpected-operator", "missing-colon"]


def test_every_slip_of_a_statement_is_found_in_one_run() -> None:
    """Six mistakes, six diagnostics, in the order of the text."""
    written = "Forbid A_b cloud if x == 32K && y because “z”"
    expected = [
        "upper-case-keyword",
        "bad-rule-name",
        "missing-colon",
        "unexpected-if",
        "unexpected-operator",
    ]
    assert [*expected, "bad-number", "unexpected-operator", "wrong-quotes"] == slugs(written)


def test_an_unclosed_text_ends_with_its_line() -> None:
    """What follows on the next line is read again."""
    problems = Problems()
    file = parser.parse(
        Source("main.route", 'forbid a: b because "oh\nforbid c: d when "oh\nlet e = f'), problems
    )
    assert [problem.span.text for problem in problems] == ['"oh', '"oh']
    assert [statement.span.text for statement in file.statements] == ["let e = f"]


def test_a_keyword_among_values_begins_no_statement() -> None:
    """`[planning route]` is one mistake."""
    assert slugs("forbid a: cloud when task.type in [planning route]\nroute b: use cloud") == [
        "missing-comma"
    ]


def test_a_statement_across_lines_is_one_statement() -> None:
    """Indented lines that begin with a keyword are not taken for statements of their own."""
    assert slugs("forbid a: cloud\n    when task.type in [planning,\n    route test, prove]") == [
        "missing-comma"
    ]


@pytest.mark.parametrize(
    ("character", "slug"),
    [
        ("\x00", "control-character"),
        ("\x0c", "control-character"),
        ("\x85", "control-character"),
        ("\u2028", "control-character"),
        ("\ud800", "control-character"),
        ("\r", "lone-carriage-return"),
        ("\u202e", "bidirectional-character"),
        ("\u2066", "bidirectional-character"),
    ],
)
@pytest.mark.parametrize("around", ['forbid a: b because "x{}y"', "let a = b # x{}y", "let a{} = b"])
def test_characters_that_hide_something_are_errors_everywhere(character: str, slug: str, around: str) -> None:
    """In texts, in comments and between words; nothing else is said about that statement."""
    assert slugs(around.format(character)) == [slug]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("language 1", []),
        ("# a comment\n\n language 1 let a = b", []),
        ("let a = b language 1", ["language-not-first"]),
        ("language 1 language 1", ["language-not-first"]),
        ("let a b language 1", ["missing-equals", "language-not-first"]),
        ("language 2", ["unknown-language-version"]),
        ("language 1.0", ["unknown-language-version"]),
    ],
)
def test_language_stands_first_or_not_at_all(text: str, expected: list[str]) -> None:
    """Once, as the first statement, and only version 1."""
    assert expected == slugs(text)


def test_an_error_is_told_in_the_words_of_the_author() -> None:
    """What no hint explains is answered with what was found and what could stand there."""
    problems = Problems()
    parser.parse(Source("main.route", "prefer a: local by five"), problems)
    (problem,) = problems
    assert problem.message == "`five` cannot stand here; possible is: a number"
    assert problem.span.text == "five"


# --- Bytes and limits -------------------------------------------------------------------------------


def test_a_byte_order_mark_is_tolerated() -> None:
    """It is no part of the text, so columns count from behind it."""
    source = decode("main.route", b"\xef\xbb\xbflet a = b", Problems())
    assert source is not None
    assert source.text == "let a = b"


@pytest.mark.parametrize("data", [b"let a = b\xff", "let a = b".encode("utf-16"), b"\xc3"])
def test_what_is_not_utf8_is_refused_at_its_place(data: bytes) -> None:
    """One diagnostic, no source."""
    problems = Problems()
    assert decode("main.route", data, problems) is None
    assert [problem.slug for problem in problems] == ["not-utf8"]


def test_a_file_over_a_mebibyte_is_refused() -> None:
    """By its bytes when it is read, by its text when that was handed in."""
    problems = Problems()
    assert decode("main.route", b"#" * (parser.MOST_BYTES + 1), problems) is None
    assert [problem.slug for problem in problems] == ["file-too-big"]
    assert slugs("#" * (parser.MOST_BYTES + 1)) == ["file-too-big"]
    assert decode("main.route", b"#" * parser.MOST_BYTES, Problems()) is not None


@pytest.mark.parametrize(
    "nested",
    [
        lambda depth: "(" * depth + "x" + ")" * depth,
        lambda depth: "not " * depth + "x",
        lambda depth: "not (a and " * (depth // 2) + "x" + ")" * (depth // 2),
        lambda depth: "b is c and (" * depth + "x" + ")" * depth,
    ],
)
def test_brackets_and_not_stand_64_deep_at_most(nested) -> None:  # type: ignore[no-untyped-def]
    """The bracket or `not` that is one too many is underlined; the statement is left out."""
    assert slugs(f"let a = {nested(64)}") == []
    problems = Problems()
    file = parser.parse(Source("main.route", f"let a = {nested(66)}\nlet b = c"), problems)
    (problem,) = problems
    assert problem.slug == "nesting-too-deep"
    assert problem.span.text in ("(", "not")
    assert (len(file.statements), file.broken) == (1, ("a",))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    """Depth is counted, not brackets."""
    assert slugs("let a = " + " and ".join(["not (b)"] * 500)) == []


def test_a_thousand_errors_are_not_all_told() -> None:
    """The cap is stated where it was reached."""
    found = slugs("forbid a cloud\n" * 1000)
    assert found[-1] == "too-many-errors"
    assert len(found) == 201


def test_threads_parse_apart() -> None:
    """Each thread's nodes carry spans of its own source."""
    text = bundled_text("policies", "base.route")
    sources = [Source(f"{number}.route", text) for number in range(8)]
    found: dict[str, set[str]] = {}

    def work(source: Source) -> None:
        names = set()
        for _ in range(20):
            names |= {statement.span.source.name for statement in parser.parse(source, Problems()).statements}
        found[source.name] = names

    threads = [threading.Thread(target=work, args=[source]) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {source.name: {source.name} for source in sources} == found


# --- The grammar ------------------------------------------------------------------------------------


def test_the_grammar_is_free_of_conflicts_and_collisions() -> None:
    """Lark's strict mode, with interegular, finds nothing."""
    pytest.importorskip("interegular")
    grammar.compile_grammar(bundled_text("grammar", "route.lark"), strict=True)


def test_the_tables_are_those_of_the_grammar() -> None:
    """After a change of the grammar: python -m engine.language.grammar."""
    tables = grammar._read_tables(grammar.digest(bundled_text("grammar", "route.lark")))
    assert tables is not None


def test_tables_and_grammar_parse_alike() -> None:
    """Whether Lark reads the grammar or the finished tables, the tree is the same."""
    text = bundled_text("grammar", "route.lark")
    policy = bundled_text("policies", "base.route")
    assert grammar.compile_grammar(text).parse(policy) == grammar.load_grammar(None).parse(policy)


def test_no_state_reads_both_a_name_and_a_rule_name() -> None:
    """`forbid x:cloud` is name, colon, model only because no state of the parser knows both."""
    lark: Lark = grammar.load_grammar(None)
    rows = lark.parser.parser._parse_table.states.values()  # type: ignore[attr-defined]
    assert not [row for row in rows if {"NAME", "RULE_NAME"} <= row.keys()]


def test_tokens_are_words() -> None:
    """Every token keeps its place, which is what spans are made of."""
    tokens = grammar.load_grammar(None).parse("let a = b").scan_values(lambda value: isinstance(value, Token))
    assert [(token, token.start_pos, token.end_pos) for token in tokens] == [
        ("let", 0, 3),
        ("a", 4, 5),
        ("=", 6, 7),
        ("b", 8, 9),
    ]


@pytest.mark.parametrize(
    "path", sorted(bundled_path("policies").rglob("*.route")), ids=lambda path: path.stem
)
def test_the_policies_that_travel_with_the_engine_parse(path: Path) -> None:
    """Each without a word."""
    assert slugs(path.read_text(encoding="utf-8")) == []
