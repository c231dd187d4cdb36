"""A sound proposal -> a whole policy folder below the one in force, `drafts/NAME/`, where no policy is read
from. Nothing is written through a link, and nothing over what is there."""

import os
from contextlib import suppress
from pathlib import Path

from engine.analysis.proposal import Proposal, texts_of
from engine.authoring.errors import CannotSave

DRAFTS = "drafts"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(folder: Path, proposal: Proposal, name: str) -> str:
    """Writes every file of the folder as it would be; its place below the folder. Raises CannotSave."""
    assert proposal.folder is not None, "it is sound"
    place = f"{DRAFTS}/{name}"
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(FileExistsError):
                os.mkdir(DRAFTS, dir_fd=root)
            drafts = os.open(DRAFTS, _FOLDER, dir_fd=root)
        finally:
            os.close(root)
        try:
            _write_files(drafts, name, texts_of(proposal.folder))
        finally:
            os.close(drafts)
    except OSError as error:
        raise CannotSave(f"{place} cannot be written: {(error.strerror or str(error)).lower()}") from error
    return place


def _write_files(drafts: int, name: str, texts: dict[str, str]) -> None:
    os.mkdir(name, dir_fd=drafts)
    there = os.open(name, _FOLDER, dir_fd=drafts)
    try:
        for file, text in texts.items():
            with os.fdopen(os.open(file, _NEW_FILE, 0o644, dir_fd=there), "wb") as stream:
                stream.write(text.encode())
    except OSError:
        # Half a policy must not look like a proposal.
        for file in texts:
            with suppress(OSError):
                os.unlink(file, dir_fd=there)
        os.rmdir(name, dir_fd=drafts)
        raise
    finally:
        os.close(there)
