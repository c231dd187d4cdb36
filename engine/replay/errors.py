"""What stops a replay: a log that cannot be read, a column that cannot be what it is said to be."""

from engine.errors import EngineError
from engine.language.diagnostics import visible


class UnreadableLog(EngineError):  # noqa: N818
    """A log that cannot be read, or a mapping that does not fit it; the message says what to write.

    What a log says of itself may be in the message, so control characters are made visible.
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))
