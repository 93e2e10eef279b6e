"""Every answer has exactly the shape that the official SDKs' types have: nothing missing, wrong or beyond them."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic import types
from anthropic.pagination import SyncPage, SyncPageCursor
from anthropic.types import beta as beta_types
from anthropic.types import messages as batch_types
from anthropic.types.beta.organization import BetaOrganizationRateLimit
from anthropic.types.beta.organization.workspaces import BetaWorkspaceRateLimit
from anthropic.types.shared.error_details import ErrorDetails
from pydantic import BaseModel

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Batches, Workspace
from support.shapes import misfits
from support.sim_answers import TYPED_CODES, WORKSPACE, answers

SHAPES: dict[str, Any] = {
    "message": types.Message,
    "beta_message": beta_types.BetaMessage,
    "event": types.RawMessageStreamEvent,
    "beta_event": beta_types.BetaRawMessageStreamEvent,
    "error": types.ErrorResponse,
    "error_details": ErrorDetails,
    "count": types.MessageTokensCount,
    "beta_count": beta_types.BetaMessageTokensCount,
    "batch": batch_types.MessageBatch,
    "batch_line": batch_types.MessageBatchIndividualResponse,
    "batch_page": SyncPage[batch_types.MessageBatch],
    "deleted_batch": batch_types.DeletedMessageBatch,
    "file": types.FileMetadata,
    "file_page": SyncPageCursor[types.FileMetadata],
    "deleted_file": types.DeletedFile,
    "model": types.ModelInfo,
    "model_page": SyncPage[types.ModelInfo],
    "limit_page": SyncPageCursor[BetaOrganizationRateLimit],
    "workspace_limit_page": SyncPageCursor[BetaWorkspaceRateLimit],
}
ON_PURPOSE = {
    "file_page": ("has_more", "first_id", "last_id"),
}
"""Fields beyond the SDK's newest type, and why: older clients follow `last_id` in a list of files, newer ones
`next_page`."""


@pytest.fixture
def told(make_sim):
    """One answer of each kind."""
    workspaces = (Workspace(id=WORKSPACE, limits={"haiku-5.5": {"input_tokens_per_minute": 9_000}}),)
    return list(answers(make_sim(SimSettings(batches=Batches(processing_s=60), access=Access(workspaces=workspaces)))))


def test_every_answer_has_the_shape_of_the_sdks_type(told):
    """Of the Python SDK, strictly."""
    wrong = {
        answer.name: lines
        for answer in told
        if (lines := [
            line
            for line in misfits(SHAPES[answer.shape], answer.data)
            if not any(line.startswith(f"$.{name}:") for name in ON_PURPOSE.get(answer.shape, ()))
        ])
    }  # fmt: skip

    assert wrong == {}


def test_there_is_an_answer_of_every_shape(told):
    """Or the test above would prove less than it says."""
    assert {answer.shape for answer in told} == SHAPES.keys()


@pytest.mark.parametrize(
    ("status", "code"), [(status, code) for status, codes in TYPED_CODES.items() for code in codes.split()]
)
def test_every_typed_error_code_can_be_asked_for(sim, status, code):
    """§6: also those that no request can cause here, such as a hold on an organisation; the SDK knows them all."""
    reply = sim.ask(f"[[sim: error={status}:{code}]]")

    assert (reply.status, reply.error["details"]["error_code"]) == (status, code)
    assert misfits(ErrorDetails, reply.error["details"]) == []


class _Inner(BaseModel):
    type: str
    count: int


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [(_Inner, {"type": "a", "count": 1}, True), (_Inner, {"type": "a"}, False),
     (_Inner, {"type": "a", "count": True}, False), (_Inner, {"type": "a", "count": "1"}, False),
     (_Inner, {"type": "a", "count": 1, "more": 0}, False), (list[int], [1, None], False), (int | None, None, True)],
    ids=str,
)  # fmt: skip
def test_the_measure_is_strict(kind, value, fits):
    """Missing, wrong, converted and unknown all count."""
    assert (not misfits(kind, value)) is fits
