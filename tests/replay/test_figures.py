"""The published figures that a replay can reproduce, to the digit; skipped where the data is not."""

from __future__ import annotations

import pytest

from tests.replay.figures import data_folder, figures

DATA = data_folder()


@pytest.mark.skipif(DATA is None, reason="the replay data is not here (ENGINE_TEST_DATA)")
def test_every_figure_is_reproduced_to_the_digit() -> None:
    """Every figure is equal to the published one."""
    assert DATA is not None
    found = list(figures(DATA))
    assert [figure for figure in found if not figure.same] == []
    assert len(found) > 180
