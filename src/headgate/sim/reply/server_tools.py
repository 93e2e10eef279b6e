"""Tools that the API runs inside a request: web search, web fetch, code execution (claude-api.md §5.1, §12).

An answer goes through them pass by pass.  At the limit of the loop it stops with `pause_turn`, and goes on where it was
when the turn is sent back.  A call that was left without its result gets it at the start of the next answer.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from headgate.sim.dates import rfc3339
from headgate.sim.ids import Ids
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply import plausible
from headgate.sim.reply.blocks import DIRECT, Block, Given, ToolUse
from headgate.sim.reply.calls import brings_results, is_server_tool
from headgate.sim.reply.citations import Quote

__all__ = ["ServerTools", "may_serve", "web_quotes"]

CONTAINER_S = 3600
"""How long a container is kept.  The sheet prices its hours and does not say when it ends."""
MOST_SEARCH_RESULTS = 3
CITED_CHARS = 150
"""The documented most that a citation of a search quotes."""
_URL = re.compile(r"https?://[^\s\"'<>)\]]{1,250}")
_CALLS = ("server_tool_use", "mcp_tool_use")


@dataclass(slots=True)
class ServerTools:
    """The server tools of one answer.

    Attributes:
        searches, fetches, runs: how many succeeded; errors are free (§12).
        container: where code ran, as the message tells it.
    """

    body: dict[str, Any]
    asked: Misbehaviour
    ids: Ids
    rng: Random
    now_ms: int
    share: float
    """How likely one of them is called that nobody asked for."""
    searches: int = 0
    fetches: int = 0
    runs: int = 0
    container: dict[str, Any] | None = None
    _tried: dict[str, int] = field(default_factory=dict)

    def results_due(self) -> Iterator[Block]:
        """The results of calls that the last assistant turn was left with."""
        turn = next((one for one in reversed(self.body["messages"]) if one["role"] == "assistant"), None)
        content = turn.get("content") if turn is not None else None
        if not isinstance(content, list):
            return
        answered = {block.get("tool_use_id") for block in content}
        for block in content:
            if block.get("type") == "server_tool_use" and block.get("id") not in answered:
                given = block.get("input") if isinstance(block.get("input"), dict) else {}
                yield self._result(str(block.get("name")), str(block.get("id")), given)

    def wanted(self) -> list[str]:
        """The tools that are still to be called, in order: what was asked for, less what the turn that goes on has."""
        asked = self.asked
        wanted = ["web_search"] * asked.web_searches + ["web_fetch"] * asked.web_fetches
        wanted += [self._code_tool()] * asked.code_runs
        if not wanted and self.share and self._done() == 0 and not brings_results(self.body):
            wanted = self._unasked()
        return wanted[self._done() :]

    def _unasked(self) -> list[str]:
        named = {"web_search": "web_search", "web_fetch": "web_fetch", "code_execution": self._code_tool()}
        offered = [name for kind, name in named.items() if self._tool(kind)]
        return [self.rng.choice(offered)] if offered and self.rng.random() < self.share else []

    def _done(self) -> int:
        last = self.body["messages"][-1]
        if last["role"] != "assistant" or not isinstance(last.get("content"), list):
            return 0
        return sum(block.get("type") in _CALLS for block in last["content"])

    def call(self, name: str) -> ToolUse:
        """A call of one of them."""
        return ToolUse(self.ids.new("srvtoolu"), name, self._input(name), server=True)

    def result(self, call: ToolUse) -> Block:
        """What came of it."""
        return self._result(call.name, call.id, call.input)

    def _tool(self, name: str) -> dict[str, Any]:
        kind = "code_execution" if name.endswith("code_execution") else name
        tools = (tool for tool in self.body.get("tools") or () if str(tool.get("type")).startswith(f"{kind}_"))
        return next(tools, {})

    def _code_tool(self) -> str:
        """The first version ran Python alone; since then it is a shell."""
        old = str(self._tool("code_execution").get("type")) == "code_execution_20250522"
        return "code_execution" if old else "bash_code_execution"

    def _input(self, name: str) -> dict[str, Any]:
        match name:
            case "web_search":
                return {"query": plausible.text("query", self.rng)}
            case "web_fetch":
                return {"url": self._url_of_the_user()}
            case "code_execution":
                return {"code": f"print({self.rng.randint(2, 99)} * {self.rng.randint(2, 99)})"}
        return {"command": f"python3 -c 'print({self.rng.randint(2, 99)} * {self.rng.randint(2, 99)})'"}

    def _url_of_the_user(self) -> str:
        """Only what stands in the conversation may be fetched."""
        for turn in reversed(self.body["messages"]):
            content = turn.get("content")
            texts = [content] if isinstance(content, str) else [str(part.get("text", "")) for part in content or ()]
            for text in texts:
                found = _URL.search(text)
                if found:
                    return found.group()
        return self._site("web_fetch")

    def _site(self, name: str) -> str:
        """An address, within `allowed_domains` if there are any."""
        allowed = self._tool(name).get("allowed_domains")
        domain = str(self.rng.choice(allowed)) if isinstance(allowed, list) and allowed else "example.com"
        path = plausible.text("", self.rng).replace(" ", "-")
        return f"https://{domain}/{path}"

    def _result(self, name: str, call_id: str, given: dict[str, Any]) -> Block:
        self._tried[name] = self._tried.get(name, 0) + 1
        kind = name if name.endswith("code_execution") or name in ("web_search", "web_fetch") else "web_search"
        error = self.asked.server_tool_error or self._over_its_uses(kind)
        if error is not None:
            content: Any = {"type": f"{kind}_tool_result_error", "error_code": error}
        elif kind == "web_search":
            self.searches += 1
            content = [self._found() for _ in range(self.rng.randint(1, MOST_SEARCH_RESULTS))]
        elif kind == "web_fetch":
            self.fetches += 1
            content = self._fetched(given)
        else:
            self.runs += 1
            content = {"type": f"{kind}_result", "stdout": f"{self.rng.randint(4, 9801)}\n", "stderr": "",
                       "return_code": 0, "content": []}  # fmt: skip
            self._open_container()
        block = {"type": f"{kind}_tool_result", "tool_use_id": call_id, "content": content}
        return Given(block if kind.endswith("code_execution") else {**block, "caller": DIRECT})

    def _over_its_uses(self, name: str) -> str | None:
        most = self._tool(name).get("max_uses")
        over = isinstance(most, int) and not isinstance(most, bool) and self._tried[name] > most
        return "max_uses_exceeded" if over else None

    def _sealed(self) -> str:
        """Content that only the API reads."""
        return b64encode(self.rng.randbytes(48)).decode()

    def _found(self) -> dict[str, Any]:
        return {
            "type": "web_search_result",
            "title": plausible.text("title", self.rng),
            "url": self._site("web_search"),
            "encrypted_content": self._sealed(),
            "page_age": None if self.rng.random() < 0.3 else f"{self.rng.randint(1, 28)} days ago",
        }

    def _fetched(self, given: dict[str, Any]) -> dict[str, Any]:
        text = " ".join(plausible.text("content", self.rng) for _ in range(3))
        document: dict[str, Any] = {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": text},
            "title": plausible.text("title", self.rng),
            "citations": None,
        }
        told = self._tool("web_fetch").get("citations")
        if isinstance(told, dict) and told.get("enabled") is True:
            document["citations"] = {"enabled": True}
        return {
            "type": "web_fetch_result",
            "url": str(given.get("url", "")),
            "content": document,
            "retrieved_at": rfc3339(self.now_ms),
        }

    def _open_container(self) -> None:
        """A new one, or the one that the request names."""
        if self.container is not None:
            return
        told = self.body.get("container")
        name = told.get("id") if isinstance(told, dict) else told
        self.container = {
            "id": name if isinstance(name, str) else self.ids.new("container"),
            "expires_at": rfc3339(self.now_ms + CONTAINER_S * 1000),
            "skills": None,
        }


def may_serve(body: dict[str, Any], asked: Misbehaviour) -> bool:
    """Whether an answer may have anything to do with server tools; most do not."""
    if asked.web_searches or asked.web_fetches or asked.code_runs or len(body["messages"]) > 1:
        return True
    return any(is_server_tool(tool) for tool in body.get("tools") or ())


def web_quotes(blocks: list[Block], rng: Random) -> list[Quote]:
    """A sentence about one of the search results among `blocks`, and its citation: a search is always cited."""
    results = [block.opening() for block in blocks if isinstance(block, Given)]
    found = [item for result in results if isinstance(result["content"], list) for item in result["content"]]
    if not found:
        return []
    sentence = plausible.text("content", rng).partition(". ")[0].rstrip(".") + "."
    source = rng.choice(found)
    citation = {
        "type": "web_search_result_location",
        "cited_text": sentence[:CITED_CHARS],
        "url": source["url"],
        "title": source["title"],
        "encrypted_index": b64encode(rng.randbytes(24)).decode(),
    }
    return [Quote(sentence, citation)]
