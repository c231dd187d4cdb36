"""The error that stops a replay: a log that cannot be read, or a column that does not fit its field."""

from engine.errors import EngineError
from engine.language.diagnostics import visible


class UnreadableLog(EngineError):  # noqa: N818
    """A log that cannot be read, or a mapping that does not fit it; the message names the remedy.

    The message may quote the log, so its control characters are made visible.
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))
