"""The schema is data: frozen, documented, with the unit in the name."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from headgate.config import schema

CLASSES = [
    value for value in vars(schema).values() if is_dataclass(value) and value.__module__.startswith(schema.__name__)
]
SECTIONS = {cls.__name__ for cls in CLASSES}


def documented(cls: type) -> set[str]:
    """The fields that have a docstring under them, inherited ones included."""
    inherited = set[str]().union(*(documented(base) for base in cls.__bases__ if base is not object))
    (tree,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(tree, ast.ClassDef)
    return inherited | {
        before.target.id
        for before, after in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }


@pytest.mark.parametrize("cls", CLASSES)
def test_every_setting_has_a_docstring(cls):
    """`headgate config explain` and the reference print it.  A section is documented by its class."""
    sections = {item.name for item in fields(cls) if item.type in SECTIONS}

    assert {item.name for item in fields(cls)} - sections == documented(cls) - sections
    assert inspect.getdoc(cls)


@pytest.mark.parametrize("cls", CLASSES)
def test_settings_cannot_be_changed_after_loading(cls):
    """A call sees one configuration, whole."""
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(item.kw_only for item in fields(cls))


def test_a_loaded_configuration_is_frozen(load):
    """All the way down."""
    config = load().config

    with pytest.raises(FrozenInstanceError):
        config.retry = None  # type: ignore[misc,assignment]
    with pytest.raises(FrozenInstanceError):
        config.retry.max_attempts = 9  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        config.lanes["bulk"].weight = 9  # type: ignore[misc]


@pytest.mark.parametrize("cls", CLASSES)
def test_a_unit_stands_last_in_the_name(cls):
    """`max_wait_s`, `buffered_mb`; whole and bare numbers count something, or are a share."""
    bare = {"port", "weight", "max_attempts", "max_queue", "max_connections", "max_connections_per_address", "rpm",
            "itpm", "otpm", "headroom", "max_concurrency", "join_max", "ramp_growth", "warn_at", "slow_at",
            "refuse_at", "max_requests", "max_tokens_ceiling", "history_max_turns", "max_series", "like", "threshold",
            "minimum", "keep_samples"}  # fmt: skip
    numbers = {item.name for item in fields(cls) if item.type in ("int", "float", "int | None", "float | None")}

    assert all(
        name in bare or name.endswith(("_s", "_mb", "_days", "_chars", "_per_s", "_rpm", "_tokens")) for name in numbers
    )


def test_every_field_without_a_default_must_be_set():
    """They are names, digests and kinds only: everything else starts without a file."""
    needed = {
        (cls.__name__, item.name)
        for cls in CLASSES
        for item in fields(cls)
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }

    assert needed == {
        ("CredentialConfig", "name"), ("CallerKey", "name"), ("CallerKey", "sha256"), ("BudgetConfig", "usd"),
        ("AlertSenderConfig", "kind"),
    }  # fmt: skip
