"""The Files API: claude-api.md §1 and the SDK's types."""

from __future__ import annotations

import tracemalloc

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Files

FORM = "multipart/form-data; boundary=BoUnDaRy"


def form(data=b"water levels", filename='filename="levels.txt"', mime=b"text/plain", **fields):
    parts = [
        b'--BoUnDaRy\r\ncontent-disposition: form-data; name="file"; %s\r\ncontent-type: %s\r\n\r\n%s\r\n'
        % (filename.encode(), mime, data)
    ]
    parts += [
        b'--BoUnDaRy\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), str(value).encode())
        for name, value in fields.items()
    ]
    return b"".join(parts) + b"--BoUnDaRy--\r\n"


def upload(sim, *args, **fields):
    return sim.call("POST", "/v1/files", form(*args, **fields), content_type=FORM)


def test_an_upload_comes_back_byte_for_byte(sim):
    """Whatever its bytes, line ends and dashes included."""
    data = bytes(range(256)) * 10 + b"\r\n--BoUnD\r\n"
    file = upload(sim, data).json
    content = sim.call("GET", f"/v1/files/{file['id']}/content")

    assert content.body == data
    assert content.headers["content-type"] == "text/plain"


def test_metadata_has_the_sdks_fields(sim):
    """Created by the clock; without expiry unless asked for."""
    file = upload(sim).json

    assert file == sim.call("GET", f"/v1/files/{file['id']}").json
    assert file | {"id": "file_01"} == {
        "id": "file_01", "type": "file", "filename": "levels.txt", "mime_type": "text/plain", "size_bytes": 12,
        "created_at": "2026-11-21T12:00:00.000Z", "expires_at": None, "downloadable": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filename", "kept"),
    [('filename="a/b\\c.txt"', "c.txt"), ('filename=""', "unnamed.txt"), ("", "unnamed.txt")],
)
def test_only_the_last_component_of_a_name_is_kept(sim, filename, kept):
    """And a missing one is made up, as the SDK says."""
    assert upload(sim, b"x", filename).json["filename"] == kept


def test_a_file_expires(sim):
    """404 `file_expired`, after one hour to ninety days."""
    file = upload(sim, expires_in_seconds=3_600).json
    sim.clock.advance(3_600)
    reply = sim.call("GET", f"/v1/files/{file['id']}")

    assert file["expires_at"] == "2026-11-21T13:00:00.000Z"
    assert (reply.status, reply.error["details"]["error_code"]) == (404, "file_expired")


@pytest.mark.parametrize("seconds", [3_599, 7_776_001, "soon"])
def test_an_expiry_out_of_range_is_a_400(sim, seconds):
    """As documented by the SDK."""
    assert upload(sim, expires_in_seconds=seconds).status == 400


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", b"{}"), (FORM, b""), (FORM, b"--BoUnDaRy--\r\n"), (FORM, form()[:-16]),
     (FORM, b"\r\n" * 9), (FORM, form().replace(b'"file"', b'"other"')), ("multipart/form-data", form())],
)  # fmt: skip
def test_what_is_no_form_with_a_file_is_a_400(sim, content_type, body):
    """In the envelope."""
    assert sim.call("POST", "/v1/files", body, content_type=content_type).status == 400


def test_a_deleted_file_is_gone(sim):
    """And its bytes count no longer."""
    file_id = upload(sim).json["id"]

    assert sim.call("DELETE", f"/v1/files/{file_id}").json == {"id": file_id, "type": "file_deleted"}
    assert sim.call("GET", f"/v1/files/{file_id}").status == 404
    assert sim.call("GET", "/v1/files").json["data"] == []


def test_a_file_may_have_500_mb(sim):
    """§1; it is the server that counts, and the quota has room for it."""
    assert sim.app.begin(sim.request("POST", "/v1/files")).max_bytes == 500 * 1024 * 1024
    assert Files().quota_bytes > 2 * 500 * 1024 * 1024


def test_an_upload_takes_little_more_memory_than_its_file(sim):
    """One copy beside the body, and not one for every look at it."""
    request = sim.request("POST", "/v1/files", form(bytes(8_000_000)), content_type=FORM)
    tracemalloc.start()
    try:
        sim.run(sim.app.handle(request))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most < 10_000_000


def test_a_preamble_before_the_first_part_is_passed_over(sim):
    """As multipart allows it."""
    reply = sim.call("POST", "/v1/files", b"This is a form.\r\n" + form(b"x"), content_type=FORM)

    assert reply.json["size_bytes"] == 1


def test_files_have_a_limit_of_their_own(sim):
    """§8.2: about 500 requests a minute."""
    replies = [sim.call("GET", "/v1/files") for _ in range(501)]

    assert [reply.status for reply in replies] == [200] * 500 + [429]
    assert replies[0].headers["anthropic-ratelimit-requests-limit"] == "500"


def test_another_organisation_sees_and_fills_nothing(make_sim):
    """Files and their quota hang on the organisation."""
    settings = SimSettings(access=Access(organisation_per_key=True), files=Files(quota_bytes=20))
    sim = make_sim(settings)
    mine = upload(sim, b"x" * 15).json["id"]
    theirs = sim.call("POST", "/v1/files", form(b"x" * 15), content_type=FORM, x_api_key="another")

    assert theirs.status == 200
    assert sim.call("GET", f"/v1/files/{mine}", x_api_key="another").status == 404


def test_all_files_together_are_bounded(make_sim):
    """400 `storage_quota_exceeded`, until something is deleted."""
    sim = make_sim(SimSettings(files=Files(quota_bytes=20)))
    first = upload(sim, b"x" * 15).json["id"]
    refused = upload(sim, b"x" * 10)
    sim.call("DELETE", f"/v1/files/{first}")

    assert refused.error["details"]["error_code"] == "storage_quota_exceeded"
    assert upload(sim, b"x" * 10).status == 200


def test_uploads_can_be_made_undownloadable_as_the_api_has_them(make_sim):
    """Only files made by a tool can be downloaded there."""
    sim = make_sim(SimSettings(files=Files(uploads_downloadable=False)))
    reply = sim.call("GET", f"/v1/files/{upload(sim).json['id']}/content")

    assert (reply.status, reply.error["details"]["error_code"]) == (400, "file_not_downloadable")


def test_files_are_listed_in_pages_for_old_and_new_clients(sim):
    """`next_page` for those of 2026-10-21, `after_id` for older ones; `ids` is one page of what exists."""
    newest = [upload(sim).json["id"] for _ in range(3)][::-1]
    first = sim.call("GET", "/v1/files?limit=2").json
    by_page = sim.call("GET", f"/v1/files?limit=2&page={first['next_page']}").json
    by_id = sim.call("GET", f"/v1/files?limit=2&after_id={first['last_id']}").json
    named = sim.call("GET", f"/v1/files?ids[]={newest[1]}&ids[]=file_none").json

    assert [file["id"] for file in first["data"]] == newest[:2]
    assert by_page["data"] == by_id["data"]
    assert by_page["next_page"] is None
    assert [file["id"] for file in named["data"]] == [newest[1]]


def test_a_file_counts_where_a_message_names_it(sim):
    """By its size; one that is not there is a 404."""

    def ask(file_id):
        return sim.ask([{"type": "document", "source": {"type": "file", "file_id": file_id}}])

    small, large = (upload(sim, b"x" * size).json["id"] for size in (10, 120_000))

    assert ask("file_none").status == 404
    assert ask(large).json["usage"]["input_tokens"] > ask(small).json["usage"]["input_tokens"]
