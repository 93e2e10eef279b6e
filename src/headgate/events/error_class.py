"""What goes wrong with an attempt."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ErrorClass"]


class ErrorClass(StrEnum):
    """Why an attempt failed.  The first group is what the API said (claude-api.md §6), the second what the wire did.
    A docstring's second paragraph says what to do; docs/reference/errors.md prints both."""

    INVALID_REQUEST = "invalid_request"
    """The API refuses the request itself (400).

    Read `error.message`: it names the field.  The same request fails again."""
    AUTHENTICATION = "authentication"
    """The API does not take the key (401).

    Check the key that Headgate was given.  Another configured key is tried first; the refused one rests for a
    minute."""
    BILLING = "billing"
    """The account has a payment problem (402).

    Mend the payment in the Claude Console.  Another configured key is tried first; this one rests until the 1st of the
    month (UTC), or until a restart."""
    LINKED_BILLING = "linked_billing"
    """The other organisation that the call is to be billed to cannot pay, or has reached its limit (402 with a
    `linked_organization_…` code).

    That organisation must mend it, or the call must not name it in `billing_policy`.  Our own keys stay in service."""
    PERMISSION = "permission"
    """The key may not do this (403).

    Check what the key's workspace may use."""
    NOT_FOUND = "not_found"
    """There is no such model or object (404).

    Check the name of the model, or the id in the path."""
    REQUEST_TIMEOUT = "request_timeout"
    """The API did not receive the request in time (408).

    If it stays, look at the network between Headgate and the API."""
    CONFLICT = "conflict"
    """The object is in another state than the request needs (409).

    If it stays, read the object's state before the next request."""
    TOO_LARGE = "too_large"
    """The request is larger than the API takes (413).

    Send less, or upload large content through the Files API."""
    CLIENT_ERROR = "client_error"
    """Another 4xx that the API put into words.

    Read `error.message`."""
    RATE_LIMIT = "rate_limit"
    """A rate limit of the account is used up (429).

    If it happens often, look at `headgate limits`: `upstream.tier` may be set too high, or others use the
    same account."""
    RAMP_LIMIT = "ramp_limit"
    """Traffic grew faster than the API allows (429 with `ramp_limit_exceeded`).

    Nothing: for an hour Headgate lets traffic grow more slowly.  If it should from the start, set
    `limits.ramp_growth`."""
    SPEND_LIMIT = "spend_limit"
    """A spend limit of the account is reached: a 429 that says so, or the 400 of a limit the account set itself.

    Raise the limit in the Claude Console, or wait for the 1st of the month (UTC).  Another configured key is tried
    first."""
    API_ERROR = "api_error"
    """The API failed (500, 502, 503, 520 to 527, or an error event that says so).

    If it stays, look at the API's status page; give Anthropic the `request-id`."""
    TIMEOUT_ERROR = "timeout_error"
    """The API took too long and said so (504).

    Stream long answers."""
    OVERLOADED = "overloaded"
    """The API is overloaded (529).

    Nothing is wrong on this side.  Wait, or use another model."""
    HELD_BACK = "held_back"
    """Another Headgate, at `upstream.base_url`, did not send the call and says when to come back.

    Look at its log for why: a full or closed lane, a user's limit.  Other calls are not held back for it."""
    UNKNOWN_STATUS = "unknown_status"
    """A status that has no meaning here.

    Look at `upstream.base_url` and at what stands between Headgate and the API."""

    DNS = "dns"
    """The API's name cannot be resolved, or not within the lane's `connect_timeout_s`.

    Check `upstream.base_url` and this machine's resolver."""
    CONNECT = "connect"
    """No connection to the API.

    Check `upstream.base_url`, the firewall and the API's status page."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection within the lane's `connect_timeout_s`.

    Check the firewall; a slow network needs a larger `connect_timeout_s`."""
    TLS = "tls"
    """The TLS handshake failed, or the certificate is not trusted.

    Behind a proxy that opens TLS, name its certificate in `upstream.ca_file`."""
    EGRESS_DENIED = "egress_denied"
    """The API's name leads to a private address (`upstream.allow_private_addresses`).

    If the address is meant, set `upstream.allow_private_addresses`.  If not, somebody answers for the API's name."""
    UNSENDABLE = "unsendable"
    """A header, the path or the API key holds a line break or a NUL, which would end it or begin another request.

    Look for where the value is made; text that users write does not belong into a header as it is."""
    POOL_TIMEOUT = "pool_timeout"
    """No connection became free before the deadline (`upstream.max_connections`).

    Raise `upstream.max_connections`, or send less at the same time."""
    RESET = "reset"
    """The connection was closed before the answer began.

    If it stays, look at the network and at the API's status page."""
    PROTOCOL = "protocol"
    """What came is not HTTP, or passes a bound.

    Look at what stands between Headgate and the API."""
    REDIRECT = "redirect"
    """A redirect (3xx), which is not followed.

    Set `upstream.base_url` to the address that answers."""
    INTERMEDIARY = "intermediary"
    """A web page: something between here and the API answered in its place.

    Look for a proxy, a login page or a block page on the way to the API."""
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    """No answer within the lane's `first_byte_timeout_s`, or `answer_timeout_s` if not streamed.

    Stream long answers, or raise the timeout of the lane."""
    IDLE_TIMEOUT = "idle_timeout"
    """Nothing came for the lane's `idle_timeout_s` in the middle of an answer.

    If it stays, look at the network: the API sends pings meanwhile."""
    PROGRESS_TIMEOUT = "progress_timeout"
    """Nothing but pings came for the lane's `progress_timeout_s`.

    If it stays, look at the API's status page."""
    DEADLINE = "deadline"
    """The call's deadline passed.

    Give the call more time (`x-headgate-deadline-s`, the lane's `total_timeout_s`) or ask for less."""
    STREAM_CUT = "stream_cut"
    """The answer ended before it was complete.

    A caller that has seen a part of a stream must start it again itself; before that Headgate does."""
    MALFORMED = "malformed"
    """Status 200, but the body is no message.

    Look at what stands between Headgate and the API."""
    CANCELLED = "cancelled"
    """The caller left before the answer was complete.

    Nothing.  If callers leave often, their own timeout is too short."""
