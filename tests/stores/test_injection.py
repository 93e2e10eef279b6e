"""Text is never read as SQL, wherever it comes from (J10)."""

from __future__ import annotations

import ast
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

import headgate
from headgate.cli.main import app
from headgate.config.schema import AdminConfig
from headgate.errors import HeadgateError
from headgate.secret import Secret
from headgate.stores.sqlite.content import SqliteContent
from headgate.stores.sqlite.queries import spend
from support.dashboard import Served, past_calls, serving
from support.records import rows, spent

SOURCES = Path(headgate.__file__).parent
TOKEN = "operators-token-0001"
CALLS = 20
CORPUS = (
    "'", '"', "' OR '1'='1", "' OR 1=1 --", "'; DROP TABLE calls; --", '"; DROP TABLE attempts; --',
    "x' UNION SELECT sql, 1, 2 FROM sqlite_schema --", "1; ATTACH DATABASE '/tmp/x' AS x", "call_' OR '1'='1", "%", "_",
    "workflow DESC, (SELECT 1)", "cost_pico", "started_ms", "*", "\\", ":text", "?1", "\x00", "NULL", "1e400",
    "/* */", "load_extension('x')",
)  # fmt: skip
BUILT_OF_OUR_WORDS = {
    "budgets._transaction", "content.sample", "content.samples", "database.bring_up_to_date", "panels._lines",
    "call_search.find_calls", "queries.spend", "reconcile.add_corrections", "rows.insert", "spending.hours",
}  # fmt: skip
"""Queries that are put together: of constants, of columns out of a closed list, of question marks, or of files that
ship.  The corpus below goes through each that a caller or an operator can reach."""


# -- how it is written -----------------------------------------------------------------------------------------------


def test_j10_no_query_is_put_together_but_those_that_were_looked_at():
    """A new one has to be looked at too: whatever is not a constant is listed above, or fails here."""
    found = {name for path in SOURCES.rglob("*.py") for name in _put_together(path)}

    assert found == BUILT_OF_OUR_WORDS


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _put_together(path: Path) -> Iterator[str]:
    """Functions that execute what is neither a text that stands in the source nor a constant of the module; or hand it
    to one of the module's that executes what it is given."""
    functions = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, _FUNCTION)]
    executing = {"execute": 0, "executemany": 0}
    for function in functions:
        names = [argument.arg for argument in function.args.args]
        for query in _queries(function, executing):
            if isinstance(query, ast.Name) and query.id in names:
                executing[function.name] = names.index(query.id) - (names[0] == "self")
    for function in functions:
        given = {argument.arg for argument in function.args.args} if function.name in executing else set()
        if not all(_is_constant(query, function, given) for query in _queries(function, executing)):
            yield f"{path.stem}.{function.name}"


_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def _queries(function: _Function, executing: dict[str, int]) -> Iterator[ast.expr]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute | ast.Name):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id
            if name in executing and len(call.args) > executing[name]:
                yield call.args[executing[name]]


def _is_constant(query: ast.expr, function: _Function, given: set[str]) -> bool:
    if isinstance(query, ast.Subscript):  # one of several constants
        query = query.value
    if not isinstance(query, ast.Name):
        return isinstance(query, ast.Constant)
    each_of_constants = {
        loop.target.id
        for loop in ast.walk(function)
        if isinstance(loop, ast.For)
        and isinstance(loop.target, ast.Name)
        and isinstance(loop.iter, ast.Name)
        and loop.iter.id.isupper()
    }
    return query.id.isupper() or query.id in given | each_of_constants


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('def a(db): db.execute("SELECT 1")', []),
        ("def a(db): db.execute(_ALL, (1,))", []),
        ("def a(db, name): db.execute(f'SELECT {name}')", ["x.a"]),
        ("def a(db, name): db.execute('SELECT ' + name)", ["x.a"]),
        ("def a(db, name):\n q = _ALL.format(name)\n db.execute(q)", ["x.a"]),
        ("def rows(db, sql): return db.execute(sql)\ndef a(db, name): rows(db, f'SELECT {name}')", ["x.a"]),
        ("def rows(db, sql): return db.execute(sql)\ndef a(db): rows(db, _ALL)", []),
    ],
)
def test_the_look_at_how_queries_are_written_sees_what_it_looks_for(tmp_path: Path, source: str, found: list[str]):
    path = tmp_path / "x.py"
    path.write_text(source)

    assert list(_put_together(path)) == found


# -- what is asked ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("injection")
    past_calls(folder / "ledger.db", CALLS, days=0.01)
    with serving(folder, admin=AdminConfig(token=Secret(TOKEN))) as gateway:
        yield gateway


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, told)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


QUESTIONS = (
    "/api/calls?q={}", "/api/calls?workflow={}", "/api/calls?model={}", "/api/calls?outcome={}", "/api/calls?before={}",
    "/api/calls?span={}", "/api/calls?{}=1", "/api/calls/{}", "/api/limits?call={}", "/api/spend?by={}",
    "/api/spend?days={}", "/api/workflows?span={}", "/api/lanes?span={}", "/api/advice?span={}", "/api/outlook?{}=1",
    "/api/runbooks/{}",
)  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_j10_an_operator_s_question_finds_nothing_by_sql(served: Served, question: str):
    """Neither rows that it does not name nor a failure of the database: it names nothing, or is refused."""
    for text in CORPUS:
        url = served.admin_url + question.format(quote(text, safe=""))
        status, body = ask(url, authorization=f"Bearer {TOKEN}")

        assert status in (200, 400, 404), (text, status)
        assert b"sqlite" not in body.lower()
        if status == 200 and question.startswith("/api/calls?"):
            assert json.loads(body)["calls"] == [], text


HEADERS = (
    "authorization", "x_api_key", "x_headgate_workflow", "x_headgate_user", "x_headgate_session", "x_headgate_team",
    "x_headgate_tags", "x_headgate_lane", "x_correlation_id", "traceparent", "cookie",
)  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_j10_a_caller_s_header_is_written_down_as_text(served: Served, header: str):
    """On the way that succeeds and on the way that fails; every row there was is there afterwards."""
    body = json.dumps({"model": "claude-haiku-5-5", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]})
    before = len(rows(served.ledger, "calls"))
    answered = 0
    for text in (one for one in CORPUS if one.isprintable()):
        told = {"x_api_key": "any", "anthropic_version": "2023-06-01", "content_type": "application/json"}
        status, _ = ask(f"{served.url}/v1/messages", body.encode(), **(told | {header: text}))
        ask(f"{served.admin_url}/api/calls", **{header: text})
        assert status in (200, 400, 401), (text, status)
        answered += status == 200
    served.flush()

    calls = rows(served.ledger, "calls")
    assert len(calls) == before + answered
    assert answered > 0 or header == "x_headgate_lane"


def test_j08_an_id_that_nobody_has_is_the_same_404_whatever_it_looks_like(served: Served):
    told = {
        ask(f"{served.admin_url}/api/calls/{quote(text, safe='')}", authorization=f"Bearer {TOKEN}")
        for text in ("call_0000000000000000000000000000", "call_x", "x", "\x00", "../call_1", "a" * 300)
    }

    assert len(told) == 1
    assert next(iter(told))[0] == 404


def test_j10_an_id_in_a_path_is_written_down_as_text(served: Served):
    for text in CORPUS:
        status, _ = ask(f"{served.url}/v1/messages/batches/{quote(text, safe='')}", x_api_key="any")

        assert status in (400, 404), (text, status)


@pytest.mark.parametrize("tag", ['"', '","x', "\\", "a]", "\x00"])
def test_j10_a_tag_that_would_end_a_json_text_is_a_tag(tmp_path: Path, tag: str):
    """Tags are told apart as JSON; one call's tag must not spoil the sums of all."""
    path = spent(tmp_path / "ledger.db", {"tags": f"{tag};one", "cost_pico": 1}, {"tags": "one,two", "cost_pico": 1})

    assert {row.name.partition("\x00")[0] for row in spend(path, "tag")} >= {"one", "two"}


COMMANDS = (
    ("content", "{}"), ("forget", "--user", "{}"), ("samples", "list", "--workflow", "{}"),
    ("samples", "export", "--workflow", "{}"), ("cost", "--by", "{}"), ("cost", "--since", "{}"),
    ("cache", "advise", "--since", "{}"), ("report", "--day", "{}"), ("budget", "unset", "{}"),
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command).replace("-{}", ""))
def test_j10_what_a_command_is_told_finds_nothing_by_sql(
    tmp_path: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    """It names nothing, or is called wrongly; no row is changed."""
    path = past_calls(tmp_path / "ledger.db", CALLS, days=0.01)
    before = rows(path, "calls")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HEADGATE_LEDGER__PATH", str(path))
    with closing(SqliteContent(tmp_path / "content.db")):
        pass

    for text in (one for one in CORPUS if "\x00" not in one):
        result = CliRunner().invoke(app, [part.format(text) for part in command])
        assert result.exit_code in (0, 1, 2), (text, result.output)
        assert result.exception is None or isinstance(result.exception, (HeadgateError, SystemExit)), (text, result)

    assert rows(path, "calls") == before
