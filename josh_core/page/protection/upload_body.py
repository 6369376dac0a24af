"""Checks that the body of an upload is one file and nothing else, piece by piece as it arrives.

Gradio accepts a thousand files in one request and writes each in the thread that serves all visitors; parts without a
file name it collects in memory.
"""

from __future__ import annotations

import re

# Chosen by hand, except where a measurement or a source is given.
MAX_HEAD_BYTES = 8192  # bytes before the file's own
_TYPE = re.compile(r'multipart/form-data; ?boundary=("?)([\w\'()+,./:=?-]{1,70})\1', re.ASCII | re.IGNORECASE)
_QUOTED = rb'"(?:[^"\\\r\n]|\\[^\r\n])*"'
_FILE = re.compile(rb'content-disposition: form-data; name="[^"\\\r\n]*"; filename=' + _QUOTED, re.IGNORECASE)


class UploadBody:
    """Reads a body piece by piece. Raises ValueError for any other content type than a file upload's."""

    def __init__(self, content_type: str) -> None:
        found = _TYPE.fullmatch(content_type)
        if found is None:
            raise ValueError("not multipart/form-data")
        self._boundary = b"--" + found.group(2).encode()
        self._head, self._in_file, self._closing = b"", False, False
        self._tail = b""  # of what has come: a boundary may be cut in two

    def accepts(self, piece: bytes) -> bool:
        """Whether the body is still valid with this piece."""
        if not self._in_file:
            self._head += piece
            head, end, piece = self._head.partition(b"\r\n\r\n")
            if not end:
                return len(self._head) <= MAX_HEAD_BYTES
            self._in_file, self._head, self._tail = True, b"", b"\r\n"
            if not self._is_file(head):
                return False
        searched = self._tail + piece
        if not self._closing:
            before, found, after = searched.partition(b"\r\n" + self._boundary)
            if not found:
                self._tail = before[-len(self._boundary) - 1 :]
                return True
            self._closing, searched = True, after
        self._tail = searched[:2]  # after the last boundary stands "--", after any other a line's end
        return b"--".startswith(self._tail)

    def _is_file(self, head: bytes) -> bool:
        first, *lines = head.split(b"\r\n")
        named = [line for line in lines if line.lower().startswith(b"content-disposition")]
        return first == self._boundary and len(named) == 1 and bool(_FILE.fullmatch(named[0]))
