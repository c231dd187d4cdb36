"""Does a lost ledger give its budget again, and does a child of a fork book? With or without a planted bug.

    python -m tests.budget.losses [--plant identity-not-checked | fork-not-noticed]

Prints a JSON object; `violations` is empty for the engine as it is. It forks, so it is a program of its own.
"""

import argparse
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.budget import Attempt, BudgetError, Ledger, Limits, Rates, TokenPrices
from engine.budget.sqlite_store import FILE_NAME, SqliteStore
from tests.budget.clocks import real_clock
from tests.budget.planted import LOSSES

WAIT_MS = 20_000
PRICES = TokenPrices(Rates.from_usd(1, 1))


def paid(name: str) -> Attempt:
    return Attempt(name, "decision", "north", "model", False, 600_000, PRICES, 60)


def opened(folder: Path) -> Ledger:
    return Ledger(SqliteStore(folder, real_clock()), Limits(daily_usd=1), real_clock())


def delete(folder: Path) -> None:
    for path in folder.glob(f"{FILE_NAME}*"):
        path.unlink()


def empty(folder: Path) -> None:
    os.truncate(folder / FILE_NAME, 0)


def replace(folder: Path) -> None:
    other = opened(folder / "other")
    other.reserve(Attempt("other", "d", "north", "model", False, 1, PRICES, 60))
    other.close()
    os.replace(folder / "other" / FILE_NAME, folder / FILE_NAME)


def gives_its_budget_again(lose: Callable[[Path], None]) -> bool:
    """Sixty cents are booked of a dollar, the ledger is lost, and sixty more are admitted."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = opened(folder)
        ledger.reserve(paid("a"))
        ledger.close()
        lose(folder)
        try:
            opened(folder).reserve(paid("b"))
        except BudgetError:
            return False
        return True


def child_cannot_book() -> bool:
    """A child is forked while a thread of its parent writes, and books when the parent is done."""
    with tempfile.TemporaryDirectory() as name:
        ledger = opened(Path(name))
        began, may_end = threading.Event(), threading.Event()

        def slow(session: object) -> None:
            began.set()
            may_end.wait(60)

        thread = threading.Thread(target=lambda: ledger.store.write(slow, durable=False))
        thread.start()
        began.wait(60)
        threading.Timer(0.2, may_end.set).start()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                ledger.store.write(lambda session: None, durable=False, wait_ms=WAIT_MS)
                code = 0
            finally:
                os._exit(code)
        thread.join()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0


def violations() -> Iterator[str]:
    for lose in (delete, empty, replace):
        if gives_its_budget_again(lose):
            yield f"{lose.__name__}: a full budget again"
    if child_cannot_book():
        yield "fork: the child cannot book"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plant", choices=LOSSES)
    bug = parser.parse_args().plant
    if bug:
        LOSSES[bug]()
    print(json.dumps({"planted": bug, "violations": list(violations())}))


if __name__ == "__main__":
    main()
