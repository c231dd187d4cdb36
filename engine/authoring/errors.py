"""Why a proposal is not in writing."""

from engine.errors import EngineError


class CannotSave(EngineError):  # noqa: N818 - what the user reads is the message
    """A proposal that is not sound, or that cannot be written where it belongs."""
