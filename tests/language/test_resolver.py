"""Names: one namespace, and lets in an order in which each can be read."""

from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.resolver import Namespace, resolve
from engine.language.source import Source
from tests.language.known_names import GUIDE, HOSPITAL, base_file, file


def resolved(*texts: str, lowered: str = "") -> tuple[Namespace, Problems]:
    problems = Problems()
    user = [file(text, f"{number}.route") for number, text in enumerate(texts)]
    rules = [rule for rule in file(lowered, "policies.yaml").statements if isinstance(rule, tree.Rule)]
    return resolve(user, rules, [base_file()], HOSPITAL, problems), problems


def slugs(problems: Problems) -> list[str]:
    return [problem.slug for problem in problems]


def test_each_let_comes_after_the_lets_it_is_made_of() -> None:
    """A let may be used before its line and in another file; the order of reading puts that right."""
    namespace, problems = resolved("let a = b and c", "let c = b\nlet b = cloud")

    assert [let.name.text for let in namespace.lets] == ["b", "c", "a", "all-up"]
    assert slugs(problems) == []


def test_one_name_is_declared_once_over_all_files() -> None:
    """Rules, lets and proofs share one namespace; the second of two equal names is the one to change."""
    _, problems = resolved("forbid x: cloud", "let x = cloud")

    [problem] = problems
    assert problem.slug == "duplicate-name"
    assert str(problem.span) == "1.route:1:5"
    assert [str(note.span) for note in problem.notes] == ["0.route:1:8"]


def test_titles_of_tests_are_no_names() -> None:
    """A test may be called like a rule: its title is for people."""
    _, problems = resolved('forbid x: cloud\ntest "x": given task.type is qa expect local')

    assert slugs(problems) == []


def test_an_author_cannot_take_the_name_of_a_base_guard() -> None:
    """Of a user's rule and the engine's own, it is the user's that is to be renamed."""
    _, problems = resolved("forbid provider-down: cloud")

    [problem] = problems
    assert str(problem.span) == "0.route:1:8"
    assert problem.notes[0].span.source.name == "base.route"


def test_an_author_cannot_take_the_name_of_a_rule_of_policies_yaml() -> None:
    """Lowered rules are in the namespace too, and the diagnostic points at the YAML."""
    _, problems = resolved("forbid mode-balanced: cloud", lowered="route mode-balanced: use any")

    [problem] = problems
    assert problem.span.source.name == "0.route"
    assert problem.notes[0].span.source.name == "policies.yaml"


def test_a_let_may_be_called_like_no_provider_model_or_selector() -> None:
    """Where such a word stands alone it already means something."""
    _, problems = resolved(
        "let cloud = local let any = local let mode = local let openai = local let mistral-large = local"
    )

    assert slugs(problems) == ["let-name-taken"] * 5


def test_a_rule_may_be_called_like_a_provider() -> None:
    """Names of rules never stand in an expression, so nothing is ambiguous."""
    _, problems = resolved("forbid openai: cloud")

    assert slugs(problems) == []


def test_a_cycle_shows_the_way_round() -> None:
    """Each let on the cycle is named in turn, with the place where it uses the next."""
    _, problems = resolved("let a = not b\nlet b = (c or cloud)\nlet c = a")

    [problem] = problems
    assert problem.slug == "let-cycle"
    assert "a -> b -> c -> a" in (problem.help or "")
    assert [note.span.text for note in problem.notes] == ["b", "c", "a"]


def test_lets_in_a_cycle_are_unreadable_and_the_others_are_read() -> None:
    """What stands on a cycle is not reported again; what is beside it is still checked."""
    namespace, _ = resolved("let a = b let b = a let beside = a let other = cloud")

    assert namespace.unreadable == {"a", "b"}
    assert {let.name.text for let in namespace.lets} == {"beside", "other", "all-up"}


def test_two_cycles_that_share_no_let_are_two_problems() -> None:
    """Independent problems are all reported in one run."""
    _, problems = resolved("let a = a let b = c let c = b")

    assert slugs(problems) == ["let-cycle", "let-cycle"]


def test_a_list_can_be_part_of_no_cycle() -> None:
    """The words of a named list are values, even when they are spelt like lets."""
    _, problems = resolved("let a = [a, b] let b = [a]")

    assert slugs(problems) == []


def test_ten_thousand_lets_in_a_row_are_ordered_without_recursion() -> None:
    """The walk keeps its own stack, so that no policy can exhaust the interpreter's."""
    lets = "\n".join(f"let a{number} = a{number + 1}" for number in range(10_000))
    namespace, problems = resolved(lets + "\nlet a10000 = cloud")

    assert [let.name.text for let in namespace.lets][:2] == ["a10000", "a9999"]
    assert slugs(problems) == []


def test_names_of_statements_left_out_are_unreadable() -> None:
    """A let that the parser had to leave out must not be called unknown as well."""
    broken = tree.File(Source("0.route", ""), (), broken=("half", ""))
    namespace = resolve([broken], [], [], GUIDE, Problems())

    assert "half" in namespace.unreadable
