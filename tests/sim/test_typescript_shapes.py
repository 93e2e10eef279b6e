"""Every answer has exactly the shape that the TypeScript SDK has declared.  Skipped, with the reason, where there
is no node, no npm or no registry."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Batches, Workspace
from support.node import install
from support.sim_answers import WORKSPACE, Answer, answers

NODE = Path(__file__).parent / "node"
SHAPES = {
    "message": "Anthropic.Message",
    "beta_message": "Anthropic.Beta.Messages.BetaMessage",
    "event": "Anthropic.RawMessageStreamEvent",
    "beta_event": "Anthropic.Beta.Messages.BetaRawMessageStreamEvent",
    "error": "Anthropic.ErrorResponse",
    "error_details": "Anthropic.ErrorDetails",
    "count": "Anthropic.MessageTokensCount",
    "beta_count": "Anthropic.Beta.Messages.BetaMessageTokensCount",
    "batch": "Anthropic.Messages.MessageBatch",
    "batch_line": "Anthropic.Messages.MessageBatchIndividualResponse",
    "deleted_batch": "Anthropic.Messages.DeletedMessageBatch",
    "file": "Anthropic.FileMetadata",
    "deleted_file": "Anthropic.DeletedFile",
    "model": "Anthropic.ModelInfo",
}
"""Pages are checked by the SDK itself, which has no type for their JSON."""


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where `answers.ts` can be compiled."""
    return install(NODE, tmp_path_factory.mktemp("shapes"))


def complaints(folder: Path, told: dict[str, Answer]) -> list[str]:
    """What the compiler says of the answers as literals of their types."""
    lines = [
        f'const a{number} = {json.dumps(answer.data)} satisfies Told<{SHAPES[answer.shape]}>; // {answer.name}'
        for number, answer in enumerate(told.values())
    ]  # fmt: skip
    head = 'import Anthropic from "@anthropic-ai/sdk";\nimport type { Told } from "./told.js";\n'
    (folder / "answers.ts").write_text(head + "\n".join(lines) + "\n")
    command = ["node", "node_modules/typescript/bin/tsc", "-p", "."]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    names = list(told)
    return [
        re.sub(r"answers\.ts\((\d+),\d+\)", lambda found: names[int(found[1]) - 3], line)
        for line in ended.stdout.splitlines()
    ]


def different(told: Iterator[Answer]) -> dict[str, Answer]:
    """One answer of each skeleton: a thousand deltas say no more than one."""
    return {f"{answer.name} [{number}]": answer for number, answer in enumerate({
        (answer.shape, skeleton(answer.data)): answer for answer in told if answer.shape in SHAPES
    }.values())}  # fmt: skip


def skeleton(value: Any) -> Any:
    """What matters of a value to its type: words that could be one of a few stay, other text and numbers do not."""
    if isinstance(value, dict):
        return tuple((name, skeleton(item)) for name, item in sorted(value.items()))
    if isinstance(value, list):
        return ("list", *dict.fromkeys(map(skeleton, value)))
    if isinstance(value, str):
        return value if re.fullmatch(r"[a-z]+_[a-z_]+", value) else "text"
    return type(value).__name__


def test_every_answer_has_the_shape_of_the_typescript_type(compiler, make_sim):
    """`satisfies` reports what is missing, what is wrong, and what the type does not have."""
    access = Access(workspaces=(Workspace(id=WORKSPACE),))
    told = different(answers(make_sim(SimSettings(batches=Batches(processing_s=60), access=access))))

    assert {answer.shape for answer in told.values()} == SHAPES.keys()
    assert complaints(compiler, told) == []


def test_the_compiler_sees_what_is_missing_and_what_is_too_much(compiler, sim):
    """Or the test above would prove nothing."""
    message = sim.ask().json
    without = {name: value for name, value in message.items() if name != "content"}
    told = {
        "missing": Answer("missing", "message", without),
        "unknown": Answer("unknown", "message", {**message, "weather": "fine"}),
        "wrong": Answer("wrong", "message", {**message, "stop_reason": "tired"}),
    }

    found = complaints(compiler, told)
    assert list(dict.fromkeys(line.partition(":")[0] for line in found if not line.startswith(" "))) == list(told)
