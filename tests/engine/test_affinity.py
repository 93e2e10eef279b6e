"""Files, batches and threads live in one account, and calls that name one go there (the gateway's side: edges)."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.call import Kind
from headgate.records import Resource
from support.raw_upstream import RawUpstream, json_reply, message
from support.world import World, play

KEYS = ("sk-ant-test-0001", "sk-ant-test-0002")


def document(*names: str, text: str = "read it") -> dict[str, Any]:
    """A message that names files."""
    files = [{"type": "document", "source": {"type": "file", "file_id": name}} for name in names]
    return {"messages": [{"role": "user", "content": [*files, {"type": "text", "text": text}]}]}


def sent_with(body: dict[str, Any], *, credentials: tuple[str, ...] = KEYS) -> str:
    """The key of a call with that body, where the second key's account keeps `file_ours`."""

    async def scene(world: World) -> str:
        world.ledger.remember(Resource(id="file_ours", kind=Kind.FILES, credential="key2", created_ms=0, workflow="t"))
        base_url = await RawUpstream(((json_reply(200, message()),),)).start()
        return (await world.ask(base_url=base_url, body=body)).call.attempt.record.credential

    return play(scene, credentials=credentials)


@pytest.mark.parametrize(
    ("body", "credential"),
    [
        (document("file_ours"), "key2"),
        (document("file_unknown", "file_ours"), "key2"),
        (document("file_unknown"), "default"),
        (document(text='"file_id": "file_ours"'), "default"),
        (document(*(f"file_{number}" for number in range(16)), "file_ours"), "default"),
    ],
    ids=["known", "one known", "unknown", "only text", "beyond the bound"],
)
def test_a_message_goes_to_the_account_that_keeps_its_file(body, credential):
    """Another account does not know the file.  The first that is known decides; how many are looked up is bounded."""
    assert sent_with(body) == credential


def test_with_one_key_there_is_nothing_to_follow():
    """A file of a key that is gone is the API's to judge."""
    assert sent_with(document("file_ours"), credentials=KEYS[:1]) == "default"
