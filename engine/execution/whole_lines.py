"""A line -> a file that only ever ends with a whole line, also when the disk is full in the middle of it."""

import errno
import os

_BACK = 64 * 1024


def append_whole(file: int, line: bytes) -> None:
    """Append a line that ends with a line feed, or nothing. Raises OSError.

    Whoever writes holds the file's lock; what an earlier writer could not finish is cut back first.
    """
    begins = cut_back(file)
    written = 0
    try:
        while written < len(line):
            more = os.write(file, line[written:])
            if not more:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written += more
    except OSError:
        os.ftruncate(file, begins)
        raise


def cut_back(file: int) -> int:
    """Cut a torn last line off; the size the file has then."""
    size = whole_size(file)
    if size < os.fstat(file).st_size:
        os.ftruncate(file, size)
    return size


def whole_size(file: int) -> int:
    """How many bytes of the file are whole lines."""
    end = os.fstat(file).st_size
    while end:
        begin = max(0, end - _BACK)
        found = os.pread(file, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0
