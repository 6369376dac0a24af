"""The body of an upload: one file, however it is cut into pieces; anything else is refused before Gradio keeps it."""

from __future__ import annotations

import time

import httpx
import pytest

from josh_core.page.protection.upload_body import MAX_HEAD_BYTES, UploadBody
from tests.browser.conftest import Server
from tests.page.caller import Tab

TYPE = "multipart/form-data; boundary=----x"
NAMED = b'Content-Disposition: form-data; name="files"; filename="a.mp4"'


def body(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"------x\r\n" + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts) + b"------x--\r\n"


def taken(whole: bytes, step: int) -> bool:
    judge = UploadBody(TYPE)
    return all(judge.accepts(whole[k : k + step]) for k in range(0, len(whole), step))


@pytest.mark.parametrize("step", [1, 7, 64, 10_000])
def test_one_file_passes_and_a_second_part_does_not(step: int) -> None:
    data = b"\r\n----" * 50 + b"\r\n\r\n\0"
    odd_name = b'content-disposition: form-data; name="files"; filename="a; name=\\"b\\".mp4"\r\nX: y'
    for head, content in ((NAMED, data), (NAMED, b""), (odd_name, data)):
        assert taken(body((head, content)), step)
        assert not taken(body((head, content), (NAMED, b"x")), step)
        endless = body((head, content))[:-4] + b"\r\nContent-Disposition"  # a second part that only begins
        assert not taken(endless, step) and taken(endless[: -len("\r\nContent-Disposition")], step)
    for head in (
        b'Content-Disposition: form-data; name="files"',  # a field, which is gathered in memory
        b'Content-Disposition: form-data; name="; filename="',
        NAMED + b'\r\nContent-Disposition: form-data; name="files"',
        b"Content-Type: video/mp4",
    ):
        assert not taken(body((head, data)), step)
    assert not taken(b"before" + body((NAMED, data)), step)
    assert not taken(b"------x\r\nX: " + b"y" * (MAX_HEAD_BYTES + 10_000), step)


def test_only_multipart_forms_are_accepted() -> None:
    for odd in ("", "video/mp4", "multipart/form-data", "multipart/form-data; boundary*0=a", TYPE + "; boundary=b"):
        with pytest.raises(ValueError):
            UploadBody(odd)
    UploadBody('Multipart/Form-Data;boundary="a b"'.replace(" ", ""))


def test_a_thousand_files_in_a_request(server: Server, tab: Tab) -> None:
    before = set((server.store / "uploads").rglob("*"))
    for files in ([("files", ("a.mp4", b"x"))] * 990, [("files", (None, b"x" * 100_000))]):
        begin = time.monotonic()
        answer = tab.http.post("/gradio_api/upload", files=files)
        assert answer.status_code == 415 and "one file" in answer.json()["detail"]
        assert time.monotonic() - begin < 2
    left = [path for path in (server.store / "uploads").rglob("*") if path not in before and path.is_file()]
    assert len(left) <= 1  # that which had begun when the second was seen
    assert httpx.get(server.url + "healthz", timeout=30).status_code == 200
    assert tab.upload(b"x" * 100).endswith("clip.mp4")
