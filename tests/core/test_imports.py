"""Imports point one way, and core touches no world: the layers of docs/explanation/architecture.md, walked."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import headgate

ROOT = Path(headgate.__file__).parent
NOUNS = (
    "call",
    "clock",
    "data",
    "errors",
    "event_loop",
    "events",
    "failure",
    "records",
    "secret",
    "toml_file",
    "usage",
    "_version",
)
LAYERS = (
    ("net",),
    NOUNS,
    ("core",),
    ("alerts", "config", "report", "safety", "stores", "telemetry", "upstream"),
    ("engine",),
    ("edge",),
    ("gateway", "client"),
    ("http_get",),
    ("cli", "demo", "load", "replay", "testing", "__main__"),
)
"""What is further down may import what is further up, and its own row; never the other way."""
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
FOR_THE_SIMULATOR = {"cli", "demo", "replay", "testing"}

CORE_MAY_USE = {
    "__future__", "bisect", "collections", "collections.abc", "dataclasses", "datetime", "decimal", "email.utils",
    "enum", "fractions", "hashlib",
    "heapq", "itertools", "json", "math", "operator", "random", "re", "statistics", "tomllib", "typing",
    "msgspec",
}  # fmt: skip


def name_of(file: Path) -> str:
    return ".".join(("headgate", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


FILES = {name_of(file): file for file in sorted(ROOT.rglob("*.py"))}
TREES = {module: ast.parse(file.read_text(encoding="utf-8")) for module, file in FILES.items()}


def room(module: str) -> str:
    """The file or folder of the package that a module is in; `` for the package itself."""
    return module.split(".")[1] if "." in module else ""


def statements(tree: ast.AST, *, only_at_import: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements.  Those under `if TYPE_CHECKING:` never run; those in functions run when they are called."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        elif not (only_at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            yield from statements(node, only_at_import=only_at_import)


def imported(module: str, *, only_at_import: bool = False) -> set[str]:
    """The modules that `module` imports; of a `from a import b`, `a.b` if that is a module and else `a`."""
    found = set()
    for node in statements(TREES[module], only_at_import=only_at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        assert node.level == 0, f"{module}: a relative import hides which room it reaches into"
        assert node.module is not None
        found |= {whole if (whole := f"{node.module}.{alias.name}") in FILES else node.module for alias in node.names}
    return found


def ours(module: str, *, only_at_import: bool = False) -> set[str]:
    return {name for name in imported(module, only_at_import=only_at_import) if name.partition(".")[0] == "headgate"}


def test_every_module_has_a_place_in_the_layers():
    """A new room must be put into the order before anything can import it."""
    known = {*RANK, "sim", ""}

    assert {room(module) for module in FILES} <= known


@pytest.mark.parametrize("module", [module for module in FILES if room(module) in RANK])
def test_imports_point_one_way(module):
    """net <- nouns <- core <- config, safety, stores, upstream, ... <- engine <- edge <- gateway, client <- cli, demo.

    Imports inside functions count: they say the same thing later.
    """
    upwards = {name for name in ours(module) if room(name) in RANK and RANK[room(name)] > RANK[room(module)]}

    assert not upwards


@pytest.mark.parametrize("module", [module for module in FILES if room(module) in NOUNS])
def test_a_noun_imports_nouns_and_the_shape_of_http_only(module):
    """What every layer speaks must not drag a layer in."""
    assert {name for name in ours(module) if room(name) not in NOUNS} <= {"headgate.net.http"}


@pytest.mark.parametrize("module", [module for module in FILES if room(module) == "net"])
def test_net_knows_nothing_of_headgate(module):
    """It is HTTP, and would serve anybody."""
    assert {room(name) for name in ours(module)} <= {"net"}


@pytest.mark.parametrize("module", [module for module in FILES if room(module) == "sim"])
def test_the_simulator_stands_apart(module):
    """It must be wrong on its own: an error of ours that it shared could not be seen."""
    assert {room(name) for name in ours(module)} <= {"sim", "net", "clock", "toml_file"}


@pytest.mark.parametrize("module", [module for module in FILES if room(module) not in {"sim", *FOR_THE_SIMULATOR}])
def test_nothing_that_serves_knows_the_simulator(module):
    """Only the commands that start one, the demo and `headgate.testing` do."""
    assert "sim" not in {room(name) for name in ours(module)}


def test_no_module_imports_itself_in_a_circle():
    """Imports that run when a module is loaded.  Left out are those under `if TYPE_CHECKING:`, which never run, and the
    package `headgate` itself, which every import passes and which imports lazily (test_public_names.py)."""
    after = {module: ours(module, only_at_import=True) & FILES.keys() - {"headgate"} for module in FILES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for name in sorted(after[module]):
                visit(name, (*path, module))
            done.add(module)

    for module in FILES:
        visit(module, ())


def test_one_place_chooses_the_event_loop():
    """Or the gateway, the library and the simulator would run on different ones one day."""
    assert [module for module in FILES if "uvloop" in imported(module)] == ["headgate.event_loop"]


# -- core is pure ----------------------------------------------------------------------------------------------------

CORE = [module for module in FILES if room(module) == "core"]


@pytest.mark.parametrize("module", CORE)
def test_core_imports_core_nouns_and_arithmetic(module):
    """No clock, no chance of its own, no log, no I/O: what is not in the list has to be argued for here."""
    strangers = imported(module) - CORE_MAY_USE
    strangers -= {name for name in strangers if room(name) in {"core", *NOUNS}}

    assert not strangers


@pytest.mark.parametrize("module", CORE)
def test_core_is_not_async(module):
    """Core decides; whoever asks it waits."""
    waits = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)

    assert not [node.lineno for node in ast.walk(TREES[module]) if isinstance(node, waits)]


@pytest.mark.parametrize("module", CORE)
def test_core_takes_chance_only_as_an_argument(module):
    """`Random` may be named as a type; nothing of the module that holds the process-wide state, and no new one."""
    tree = TREES[module]
    named = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "random"
        for alias in node.names
    }
    made = [call for call in calls(tree) if call in ("Random", "random.Random")]

    assert named <= {"Random"}
    assert not made
    assert "random" not in {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}


def calls(tree: ast.AST) -> list[str]:
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("module", CORE)
def test_core_asks_nobody_for_the_time_and_touches_no_file(module):
    """The calls that a list of modules cannot keep out."""
    impure = {"open", "print", "input", "exec", "eval", "__import__"}
    clocks = ("now", "utcnow", "today")

    assert not [call for call in calls(TREES[module]) if call in impure or call.rpartition(".")[2] in clocks]


# -- what the data path drags in -------------------------------------------------------------------------------------


def loaded_by(module: str) -> set[str]:
    """What a fresh interpreter has in memory after importing `module`."""
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["headgate.gateway.serve", "headgate.engine.engine"])
def test_the_data_path_holds_no_framework(module):
    """No HTTP client library, no SDK, no model classes: they would cost more than everything Headgate does."""
    assert not loaded_by(module) & {"httpx", "httpx2", "httpcore", "anthropic", "pydantic", "aiohttp", "starlette"}


def test_only_the_command_line_draws_tables():
    """A gateway holds 60 MB idle at most; rich and typer belong to commands."""
    assert not loaded_by("headgate.gateway.app") & {"rich", "typer", "click"}


@pytest.mark.parametrize("file", sorted(p for p in ROOT.rglob("*") if p.suffix in {".py", ".toml", ".sql", ".json"}))
def test_nothing_reads_beside_the_project(file):
    """The project stands alone: what it needs of outside data is copied into it."""
    assert ("shared" + "/") not in file.read_text(encoding="utf-8")
