"""What a visitor is told when something fails: one sentence; faults of the program or the disk go into the log too."""

from __future__ import annotations

import errno
import logging
import os
import traceback

from josh_core.errors import JobError, JoshError

_log = logging.getLogger(__name__)
_DISK = {
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "its disk is full",
    errno.EROFS: "its disk is read-only",
    errno.EIO: "its disk fails",
    errno.EACCES: "its folder may not be written",
    errno.EPERM: "its folder may not be written",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
}


def visitor_error(error: BaseException) -> JoshError:
    """The error to show to a visitor, one sentence. Faults of the program or the disk are written to the log too."""
    if isinstance(error, JoshError):
        below = error.__cause__  # advice about folders helps a user of the command line, not a visitor
        return visitor_error(below) if isinstance(below, OSError) and below.errno in _DISK else error
    if isinstance(error, MemoryError):
        return JobError("There is not enough memory for this clip; try a shorter part of it or fewer people.")
    if isinstance(error, OSError) and error.errno in _DISK:
        _log.error("the results folder cannot be written: %s", os.strerror(error.errno))
        return no_room(_DISK[error.errno])
    _log.error("a fault of this program: %s", "".join(traceback.format_exception(error)).rstrip())
    return JobError("Something went wrong inside the program; try a shorter part of the clip, or another mode.")


def no_room(reason: str = "its disk is full") -> JobError:
    """The error when nothing can be stored."""
    return JobError(f"This service cannot store anything now ({reason}); please try again later.")
