"""What stops a replay: a log that cannot be read, a column that cannot be what it is said to be."""

from engine.errors import EngineError


class UnreadableLog(EngineError):  # noqa: N818
    """A log that cannot be read, or a mapping that does not fit it; the message says what to write."""
