"""Eight writers on one file: they wait in order, and none is turned away.

How long they wait is `python -m tests.bench.bench_ledger --check`, for a machine with nothing else to do; the
order that bounds it is `test_the_gate_lets_in_one_at_a_time_in_order`.
"""

from .programs import bench

_OUT_OF_PATIENCE = "LedgerUnavailable('the ledger is locked by "


def test_eight_writers_never_find_the_database_locked() -> None:
    """As fast as they can, and at a steady pace; a busy machine may outlast the patience of the gate."""
    errors = bench("--pairs", "150")["errors"]
    assert [error for error in errors if not error.startswith(_OUT_OF_PATIENCE)] == []
