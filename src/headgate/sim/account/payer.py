"""Who is billed: the caller's own organisation, or that of the customer behind a user profile (claude-api.md §3, §6).

A request that asks for the customer to be billed fails where that cannot be; it never falls back to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headgate.sim.account.access import Caller
from headgate.sim.errors import ApiError, invalid
from headgate.sim.settings import Billing

__all__ = ["payer_of"]

_REFUSALS = {
    "user_profile_billing_not_authorized": (403, "The customer has not allowed your organization to bill them."),
    "user_profile_not_billable": (403, "Your organization may not bill this user profile."),
    "linked_organization_billing_unavailable": (402, "The linked organization cannot be billed at the moment."),
    "linked_organization_spend_limit_reached": (402, "The linked organization has reached its spend limit."),
}


def payer_of(body: Any, caller: Caller, headers: Mapping[bytes, bytes], settings: Billing) -> Caller:
    """The caller as the invoice knows it.

    Raises:
        ApiError: 400 for a policy that is none, or names nobody; 402 or 403 where the customer cannot be billed.
    """
    policy = body.get("billing_policy") if isinstance(body, dict) else None
    if policy is None:
        return caller
    if not isinstance(policy, dict) or policy.get("type") != "billing_policy":
        raise invalid("billing_policy.type: Input should be 'billing_policy'")
    bill_to = policy.get("bill_to", "self")
    if bill_to not in ("self", "user_profile") or not policy.keys() <= {"type", "bill_to"}:
        raise invalid("billing_policy.bill_to: Input should be 'self' or 'user_profile'")
    if bill_to == "self":
        return caller
    profile = headers.get(b"anthropic-user-profile-id", b"").decode("latin-1")
    if not profile:
        raise invalid(
            "billing_policy: name the profile to bill in the anthropic-user-profile-id header",
            code="user_profile_required",
        )
    outcome = settings.profiles.get(profile, "user_profile_not_billable")
    if outcome in _REFUSALS:
        status, text = _REFUSALS[outcome]
        raise ApiError(status, text, code=outcome)
    return replace(caller, organisation=outcome)
