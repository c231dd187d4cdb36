"""What authors see: one note a mistake, where it stands, and help that can be followed."""

import pytest

from tests.authors import edits as random_edits
from tests.authors import secrets
from tests.authors.folders import shipped
from tests.authors.helps import followed
from tests.authors.kinds import KINDS, Mistake, check, read

MISTAKES = read()
SHARE = MISTAKES[::9]
"""`python -m tests.authors.kinds --check` looks at all of them."""


def test_there_are_five_hundred_mistakes_in_forty_kinds() -> None:
    """Each of a kind that says itself what is right."""
    assert len(MISTAKES) >= 500
    assert len({each.kind for each in MISTAKES}) >= 40
    assert {each.kind for each in MISTAKES} <= {kind.name for kind in KINDS}


@pytest.mark.parametrize("mistake", SHARE, ids=lambda each: f"{each.kind} in {each.folder}")
def test_a_mistake_gets_one_note_whose_help_is_safe(mistake: Mistake) -> None:
    """Its place and its help are those of the file; following it brings no error, lets nothing out and
    changes no number."""
    assert check(mistake) is None


def test_single_edits_of_the_shipped_folders_get_few_notes() -> None:
    """One at the median, three at most for 99 of a hundred; no help leads to another error or lets a task
    out."""
    counts = []
    source = random_edits.edits(7)
    for _ in range(120):
        edit = next(source)
        folder = edit.applied()
        _, found = folder.built()
        if not found:
            continue
        counts.append(len(found))
        result = followed(shipped(edit.folder), folder, found)
        assert result is None or (result.errors, result.leaks) == ((), ()), edit
    counts.sort()
    assert random_edits.share(counts, 0.5) == 1
    assert random_edits.share(counts, 0.95) <= 3


def test_no_planted_secret_is_printed() -> None:
    """Whatever surrounds it."""
    assert [*secrets.leaks(seed=3, count=40)] == []
