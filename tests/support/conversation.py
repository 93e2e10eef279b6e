"""A client of the simulator that holds a conversation with thinking and tools, and sends back whatever it got."""

from __future__ import annotations

from typing import Any

from sim.conftest import InProcess, Reply

__all__ = ["ADAPTIVE", "BINDING", "CALL", "DROP", "HAIKU", "KEEPING", "LISTED", "OLD", "TOOL", "Conversation",
           "collected", "counted", "text"]  # fmt: skip

HAIKU = "claude-haiku-5-5"
OLD = "claude-haiku-4-5"
"""A model that thinks by budget and strips the thinking of earlier turns."""
KEEPING = "claude-opus-4-8"
"""A model that keeps thinking of earlier turns and checks no prefix."""
LISTED = (
    "claude-fable-5-2", "claude-mythos-5-2", "claude-fable-5-1", "claude-mythos-5-1", "claude-opus-5-5",
    "claude-sonnet-5-5", HAIKU,
)  # fmt: skip
"""Models that check what stood before a thought (claude-api.md §9.10)."""
ADAPTIVE = {"type": "adaptive"}
DROP = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
BINDING = {"anthropic_beta": "thinking-binding-controls-2026-08-01"}
TOOL: dict[str, Any] = {"name": "level", "input_schema": {"type": "object"}}
CALL = "[[sim: tool=level:{}]]"


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


class Conversation:
    """Its turns so far, and the fields that every request of it has.  Tests change both."""

    def __init__(self, sim: InProcess, model: str = HAIKU, thinking: Any = None, **fields: Any) -> None:
        self.sim = sim
        kind = {"type": "enabled", "budget_tokens": 1_024} if model == OLD else ADAPTIVE
        self.fields = {"model": model, "max_tokens": 2_000, "thinking": thinking or kind, "tools": [TOOL], **fields}
        self.messages: list[dict[str, Any]] = []

    def say(self, content: Any, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
        """One user turn; the answer is added to the conversation."""
        self.messages.append({"role": "user", "content": content})
        reply = self.send(headers, **fields)
        assert reply.status == 200, reply.body
        self.messages.append({"role": "assistant", "content": reply.json["content"]})
        return reply

    def answer_call(self, said: str, **fields: Any) -> Reply:
        """The result of the tool that the last answer called; `said` may be a directive for the next answer."""
        call = next(block for block in self.messages[-1]["content"] if block["type"] == "tool_use")
        return self.say([{"type": "tool_result", "tool_use_id": call["id"], "content": "7 m"}, text(said)], **fields)

    def send(self, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
        return self.sim.ask(headers=headers, messages=self.messages, **{**self.fields, **fields})

    def then(self, content: Any = "go on", **fields: Any) -> Reply:
        """What another user turn would be answered, without it staying."""
        self.messages.append({"role": "user", "content": content})
        reply = self.send(**fields)
        self.messages.pop()
        return reply

    def thoughts(self) -> list[dict[str, Any]]:
        turns = [turn["content"] for turn in self.messages if isinstance(turn["content"], list)]
        return [block for content in turns for block in content if block["type"] == "thinking"]


def counted(talk: Conversation) -> Reply:
    """What `count_tokens` says of a conversation with one more turn."""
    body = {**talk.fields, "messages": [*talk.messages, {"role": "user", "content": "go on"}]}
    del body["max_tokens"]
    return talk.sim.call("POST", "/v1/messages/count_tokens", body)


def collected(stream: Reply) -> list[dict[str, Any]]:
    """The blocks that a stream comes to."""
    blocks: list[dict[str, Any]] = []
    for name, event in stream.events:
        if name == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif name == "content_block_delta":
            for field in ("text", "thinking", "signature"):
                if field in event["delta"]:
                    blocks[event["index"]][field] += event["delta"][field]
    return blocks
