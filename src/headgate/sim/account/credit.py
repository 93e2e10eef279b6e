"""Fallback credit: what a refusal gives back to whoever repeats the request on another model (claude-api.md §5.2).

A refusal carries a token; the retry that brings it is billed as if the conversation had been on the new model all
along: what was warm on the model that refused is read on the new one, and not written.  The token holds all there is to
know, under a signature, so nothing is stored.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from msgspec import DecodeError, Struct
from msgspec.json import Decoder, encode

from headgate.sim.account.access import Caller
from headgate.sim.errors import ApiError, invalid

__all__ = ["CREDIT_BETAS", "OBJECT_BETA", "Claim", "Redemption", "redeem", "refused_request"]

OBJECT_BETA = "fallback-credit-2026-07-01"
"""The beta that knows the object form of `fallback_credit_token`."""
CREDIT_BETAS = frozenset((OBJECT_BETA, "fallback-credit-2026-06-01", "server-side-fallback-2026-07-01",
                          "server-side-fallback-2026-06-01"))  # fmt: skip
"""With any of these a refusal carries a token."""
LIFETIME_MS = 300_000
MOST_TOKEN_CHARS = 4_096
_MAC_BYTES = 16
_MUST_MATCH = ("system", "tools", "tool_choice", "thinking", "cache_control", "output_config", "mcp_servers",
               "context_management", "container")  # fmt: skip
"""What has to be the same beside `messages`; the fields of §5.2."""
_EXEMPT = ("server-side-fallback-", "fallback-credit-")
"""Families of betas that may differ between the two requests."""

Body = dict[str, Any]
Reason = Literal[
    "body_mismatch", "continuation_excluded", "continuation_only", "expired", "invalid_target_model", "not_enabled",
    "temporarily_unavailable", "wrong_organization", "wrong_workspace",
]  # fmt: skip
_TEXTS: dict[Reason, str] = {
    "body_mismatch": "the request body or its beta headers do not match the refused request",
    "continuation_excluded": "the refusal cannot be redeemed by continuing its partial response",
    "continuation_only": "the token must be redeemed by continuing the partial response",
    "expired": "the token has expired",
    "invalid_target_model": "the model is not a permitted fallback of the refused model",
    "not_enabled": f"redeeming needs the beta header {OBJECT_BETA}",
    "temporarily_unavailable": "redemption temporarily unavailable",
    "wrong_organization": "the token was given to another organization",
    "wrong_workspace": "the token was given to another workspace",
}


class Claim(Struct, frozen=True):
    """What a token says."""

    organisation: str
    workspace: str
    expires_ms: int
    targets: tuple[str, ...]
    """Models that it can be redeemed on."""
    fields: str
    messages: str
    betas: str
    partial: str | None
    """Digest of the partial answer that the retry may continue."""
    continuation_only: bool
    warm_blocks: int
    """How many blocks of the prompt were in the cache of the model that refused."""

    def signed(self, seed: bytes) -> str:
        told = encode(self)
        return "fbct_" + urlsafe_b64encode(_mac(told, seed) + told).decode()


@dataclass(frozen=True, slots=True)
class Redemption:
    """What came of a token."""

    reason: Reason | None = None
    """Why it was not applied, or None if it was."""
    warm_blocks: int = 0
    continues: bool = False
    """The request ends in the partial answer that was refused, which makes it no ordinary prefill."""

    def told(self) -> dict[str, Any]:
        """`usage.fallback_credit`, as the SDK types it."""
        if self.reason is None:
            return {"status": {"type": "redeemed"}}
        return {"status": {"type": "not_applied", "reason": self.reason}}


def refused_request(
    body: Body, betas: frozenset[str], caller: Caller, now_ms: int, targets: tuple[str, ...], warm_blocks: int,
    partial: list[Body], *, tools_ran: bool,
) -> Claim:  # fmt: skip
    """The claim of a request that was refused after saying `partial`, which may be nothing."""
    return Claim(
        caller.organisation,
        caller.workspace,
        now_ms + LIFETIME_MS,
        targets,
        _digest([body.get(name) for name in _MUST_MATCH]),
        _digest(body["messages"]),
        _betas(betas),
        _digest(_continuable(partial)) if _continuable(partial) and not _forced(body) else None,
        tools_ran,
        warm_blocks,
    )


def redeem(
    body: Body, betas: frozenset[str], caller: Caller, now_ms: int, model_id: str, seed: bytes, *, unavailable: bool
) -> Redemption:
    """Look at the `fallback_credit_token` of a request.

    Raises:
        ApiError: 400 for a token that is none, or beside `fallbacks`; in strict mode, the default, also for one that
            cannot be redeemed here and now.
    """
    token, strict = _presented(body["fallback_credit_token"], betas)
    if body.get("fallbacks") is not None:
        raise invalid("fallback_credit_token: cannot be combined with fallbacks")
    claim = _verified(token, seed)
    continues = _continues(body, claim)
    if unavailable:
        reason: Reason | None = "temporarily_unavailable"
    else:
        reason = _obstacle(claim, body, betas, caller, now_ms, model_id, continues)
    if reason is not None and strict:
        raise invalid(f"fallback_credit_token: {_TEXTS[reason]}")
    return Redemption(reason, claim.warm_blocks if reason is None else 0, continues and reason is None)


def _obstacle(
    claim: Claim, body: Body, betas: frozenset[str], caller: Caller, now_ms: int, model_id: str, continues: bool
) -> Reason | None:
    if betas.isdisjoint(beta for beta in CREDIT_BETAS if beta.startswith("fallback-credit-")):
        return "not_enabled"
    if caller.organisation != claim.organisation:
        return "wrong_organization"
    if caller.workspace != claim.workspace:
        return "wrong_workspace"
    if now_ms >= claim.expires_ms:
        return "expired"
    if model_id not in claim.targets:
        return "invalid_target_model"
    same = _digest(body.get("messages")) == claim.messages
    fields = _digest([body.get(name) for name in _MUST_MATCH])
    if not (same or continues) or fields != claim.fields or _betas(betas) != claim.betas:
        return "body_mismatch"
    if continues and claim.partial is None:
        return "continuation_excluded"
    if same and claim.continuation_only:
        return "continuation_only"
    return None


def _continues(body: Body, claim: Claim) -> bool:
    """Whether the refused conversation stands here with one assistant turn more: what had been said, if it may be."""
    messages = body.get("messages")
    if not isinstance(messages, list) or len(messages) < 2 or _digest(messages[:-1]) != claim.messages:
        return False
    last = messages[-1]
    if not isinstance(last, dict) or last.get("role") != "assistant":
        return False
    content = last.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return False
    return claim.partial is None or _digest(_continuable(blocks)) == claim.partial


def _continuable(blocks: list[Body]) -> list[Body]:
    """The part of a partial answer that can stand in a request: no open tool call, no thinking or white space last."""
    kept = [block for block in blocks if block.get("type") != "tool_use"]
    while kept and kept[-1].get("type") in ("thinking", "redacted_thinking"):
        kept.pop()
    if kept and kept[-1].get("type") == "text":
        kept[-1] = {**kept[-1], "text": str(kept[-1].get("text", "")).rstrip()}
    return kept


def _forced(body: Body) -> bool:
    """A format or a forced tool rules a continuation out."""
    if (body.get("output_config") or {}).get("format") is not None:
        return True
    return (body.get("tool_choice") or {}).get("type") in ("any", "tool")


def _presented(token: Any, betas: frozenset[str]) -> tuple[str, bool]:
    """The token and whether it is strict."""
    if isinstance(token, dict):
        if OBJECT_BETA not in betas:
            raise invalid("fallback_credit_token: Input should be a string")
        mode = token.get("mode", "strict")
        if not token.keys() <= {"token", "mode"} or mode not in ("strict", "best_effort"):
            raise invalid("fallback_credit_token: Input should have a token, and a mode 'strict' or 'best_effort'")
        return _text(token.get("token")), mode == "strict"
    return _text(token), True


def _text(token: Any) -> str:
    if not isinstance(token, str) or len(token) > MOST_TOKEN_CHARS:
        raise invalid("fallback_credit_token: Input should be a token from a refusal")
    return token


def _verified(token: str, seed: bytes) -> Claim:
    malformed: ApiError = invalid("fallback_credit_token: the token is malformed")
    try:
        raw = urlsafe_b64decode(token.removeprefix("fbct_").encode("ascii"))
    except (Base64Error, UnicodeError, ValueError):
        raise malformed from None
    mac, told = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not token.startswith("fbct_") or mac != _mac(told, seed):
        raise malformed
    try:
        return _decode(told)
    except DecodeError:
        raise malformed from None


_decode = Decoder(Claim).decode


def _mac(told: bytes, seed: bytes) -> bytes:
    return blake2b(told, key=seed, digest_size=_MAC_BYTES, person=b"credit").digest()


def _betas(betas: frozenset[str]) -> str:
    return _digest(sorted(beta for beta in betas if not beta.startswith(_EXEMPT)))


def _digest(value: Any) -> str:
    return blake2b(encode(value), digest_size=12).hexdigest()
