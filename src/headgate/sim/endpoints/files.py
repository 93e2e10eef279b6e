"""The Files API, in memory: multipart upload, list, metadata, content, delete (claude-api.md §1; shapes by the SDK)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headgate.net.http import ByteSource
from headgate.sim.dates import rfc3339
from headgate.sim.errors import ApiError, invalid
from headgate.sim.pages import Query, page
from headgate.sim.settings import Files

__all__ = ["FileStore", "StoredFile", "list_files", "read_upload"]

EXPIRY_RANGE_S = (3_600, 7_776_000)
"""One hour to ninety days, as the SDK documents `expires_in_seconds`."""
SLICE_BYTES = 256 * 1024
LONGEST_HEAD = 16 * 1024
LONGEST_FIELD = 32
_EXTENSIONS = {"application/pdf": ".pdf", "text/plain": ".txt", "image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(frozen=True, slots=True)
class Upload:
    """What a multipart form brought."""

    filename: str
    mime_type: str
    data: bytes
    expires_in_s: int | None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One uploaded file, owned by an organisation."""

    id: str
    organisation: str
    upload: Upload
    created_ms: int
    downloadable: bool

    @property
    def expires_ms(self) -> int | None:
        lifetime_s = self.upload.expires_in_s
        return None if lifetime_s is None else self.created_ms + lifetime_s * 1000

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "file",
            "filename": self.upload.filename,
            "mime_type": self.upload.mime_type,
            "size_bytes": len(self.upload.data),
            "created_at": rfc3339(self.created_ms),
            "expires_at": None if self.expires_ms is None else rfc3339(self.expires_ms),
            "downloadable": self.downloadable,
        }

    def content(self) -> ByteSource:
        return _Slices(self.upload.data)


class FileStore:
    """All files of all organisations, each bounded by a quota."""

    def __init__(self, settings: Files) -> None:
        self._settings = settings
        self._files: dict[str, StoredFile] = {}
        self._bytes: Counter[str] = Counter()
        """By organisation."""

    def add(self, file_id: str, organisation: str, upload: Upload, now_ms: int) -> StoredFile:
        """Keep an upload.

        Raises:
            ApiError: 400 `storage_quota_exceeded`.
        """
        if self._bytes[organisation] + len(upload.data) > self._settings.quota_bytes:
            raise invalid("The file storage quota is exhausted; delete files first.", code="storage_quota_exceeded")
        file = StoredFile(file_id, organisation, upload, now_ms, self._settings.uploads_downloadable)
        self._files[file_id] = file
        self._bytes[organisation] += len(upload.data)
        return file

    def get(self, file_id: str, organisation: str, now_ms: int) -> StoredFile:
        """A file by id.

        Raises:
            ApiError: 404; with `file_expired` for one past its time.
        """
        file = self._files.get(file_id)
        if file is None or file.organisation != organisation:
            raise ApiError(404, "File not found.")
        if file.expires_ms is not None and now_ms >= file.expires_ms:
            raise ApiError(404, "The file has expired.", code="file_expired")
        return file

    def delete(self, file_id: str, organisation: str, now_ms: int) -> None:
        """Remove a file; raises as `get`."""
        file = self.get(file_id, organisation, now_ms)
        del self._files[file_id]
        self._bytes[organisation] -= len(file.upload.data)

    def of(self, organisation: str) -> list[StoredFile]:
        """All of an organisation's files, newest first."""
        return [file for file in reversed(self._files.values()) if file.organisation == organisation]


def list_files(files: list[StoredFile], query: Query) -> dict[str, Any]:
    """One page of files.  Clients of 2026-10-21 follow `next_page`, older ones `after_id` and `before_id`; a list of
    `ids` is one page, without those that do not exist.

    Raises:
        ApiError: 400 for a bad limit or cursor.
    """
    ids = {*query.get("ids", ()), *query.get("ids[]", ())}
    if ids:
        shown = [file.told() for file in files if file.id in ids]
        return {"data": shown, "has_more": False, "next_page": None}
    if "page" in query:
        query = {**query, "after_id": [query["page"][-1].removeprefix("page_")]}
    body = page(files, query, StoredFile.told)
    return {**body, "next_page": f"page_{body['last_id']}" if body["has_more"] else None}


class _Slices:
    """Bytes handed out in slices, so that a slow reader holds back the rest."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    async def read(self) -> bytes:
        part = self._data[self._at : self._at + SLICE_BYTES]
        self._at += len(part)
        return part

    def close(self) -> None:
        self._data = b""


def read_upload(content_type: bytes, body: bytes) -> Upload:
    """Take the `file` part, and `expires_in_seconds` if it is there, out of a multipart form.

    Raises:
        ApiError: 400 for anything else.
    """
    boundary = re.search(rb'boundary="?([^";,]{1,70})"?', content_type)
    if not content_type.lower().startswith(b"multipart/form-data") or boundary is None:
        raise invalid("The request must be multipart/form-data with a `file` part.")
    upload: tuple[str, str, bytes] | None = None
    expires_in_s: int | None = None
    for head, begin, end in _parts(body, b"--" + boundary[1]):
        name = re.search(rb'[; ]name="([^"]*)"', head)
        if name is not None and name[1] == b"file":
            upload = (_filename(head), _mime_type(head), body[begin:end])
        elif name is not None and name[1] == b"expires_in_seconds":
            expires_in_s = _expiry(body[begin : min(end, begin + LONGEST_FIELD)])
    if upload is None:
        raise invalid("file: Field required")
    filename, mime_type, data = upload
    return Upload(filename or f"unnamed{_EXTENSIONS.get(mime_type, '')}", mime_type, data, expires_in_s)


def _parts(body: bytes, fence: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Head and place of the data of each part, without a copy of a body that may have 500 MB."""
    line = b"\r\n" + fence
    at = 0 if body.startswith(fence) else body.find(line)
    while at >= 0 and (end := body.find(line, at + len(fence))) >= 0:
        blank = body.find(b"\r\n\r\n", at, end)
        if blank >= 0:
            yield body[at : min(blank, at + LONGEST_HEAD)], blank + 4, end
        at = end


def _filename(head: bytes) -> str:
    """Only the last component of the path is kept."""
    found = re.search(rb'filename="([^"]*)"', head)
    name = found[1].decode("utf-8", "replace") if found else ""
    return re.split(r"[/\\]", name)[-1]


def _mime_type(head: bytes) -> str:
    found = re.search(rb"(?i)^content-type:[ \t]*([^\r\n;]+)", head, re.MULTILINE)
    return found[1].decode("latin-1").strip() if found else "application/octet-stream"


def _expiry(data: bytes) -> int:
    least, most = EXPIRY_RANGE_S
    if not re.fullmatch(rb"\d{1,9}", data) or not least <= int(data) <= most:
        raise invalid(f"expires_in_seconds: Input should be from {least} to {most}")
    return int(data)
