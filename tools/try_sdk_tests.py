"""Run the tests that come with the official Python SDK, of messages, batches, models, files, limits, on the simulator.

    python tools/try_sdk_tests.py                  needs a package index; exit 1 if a test fails for a reason of ours

They were generated to run against a mock that takes anything: they name objects that nobody made (`file_id`) and send
values that no API takes (`inference_geo: "inference_geo"`).  So an object of that name is made before it is asked for,
and a test whose own value was refused, in words that are expected here, is told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
import venv
from collections import Counter
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import anthropic
from msgspec.json import decode, encode

from headgate.clock import SystemClock
from headgate.net.app import BodyPlan, Request, Response
from headgate.net.server import Server
from headgate.sim import SimSettings, SimulatedClaude
from headgate.sim.settings import Batches, Limits

WANTED = ("test_messages.py", "test_models.py", "test_files.py", "messages/test_batches.py",
          "organization/test_rate_limits.py", "organization/workspaces/test_rate_limits.py")  # fmt: skip
NEEDED = ("pytest", "pytest-asyncio", "respx", "dirty-equals>=0.6.0", "inline-snapshot>=0.28.0",
          "http-snapshot[httpx]==0.1.9", "time-machine", "rich")  # fmt: skip
"""What the tests import beside the SDK, as its pyproject.toml has it."""
REFUSED = (
    "Rate limit not found.", "before_id: there is no such object", "inference_geo: Input should be",
    "model: no such model", "page: this is no cursor", "thread: Extra inputs", "billing_policy: Extra inputs",
    "tools.0.cache_control: a tool with defer_loading",
)  # fmt: skip
"""What the API says to values that were made up for a mock, or that need a beta which the test does not send."""
HEADERS = [(b"x-api-key", b"key"), (b"anthropic-version", b"2026-10-21"), (b"host", b"localhost")]
PARAMS = {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
FORM = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nseven\r\n--b--\r\n'


NO_MOCK = """
def pytest_collection_modifyitems(config, items):
    '''Leave out the tests that answer themselves.'''
    config.hook.pytest_deselected(items=[item for item in items if "respx_mock" in item.fixturenames])
    items[:] = [item for item in items if "respx_mock" not in item.fixturenames]
"""


class WithPlaceholders:
    """The simulator, with an object made anew for every request that names one by its placeholder."""

    def __init__(self, claude: SimulatedClaude) -> None:
        self._claude = claude
        self.refuse = claude.refuse

    def begin(self, request: Request) -> BodyPlan:
        return self._claude.begin(request)

    async def handle(self, request: Request) -> Response:
        if "/message_batch_id" in request.path:
            requests = [{"custom_id": "a", "params": PARAMS}]
            batch = await self._make(request, "/v1/messages/batches", encode({"requests": requests}))
            request.path = request.path.replace("message_batch_id", batch)
        elif "/file_id" in request.path:
            request.path = request.path.replace("file_id", await self._make(request, "/v1/files", FORM))
        elif request.path.endswith("/model_id"):
            request.path = request.path.replace("model_id", "claude-haiku-5-5")
        elif request.path.startswith("/v1/organizations/"):
            request.by_name[b"authorization"] = b"Bearer sk-ant-admin01-x"
        return await self._claude.handle(request)

    async def _make(self, asking: Request, path: str, body: bytes) -> str:
        workspace = [(name, value) for name, value in asking.headers if name == b"anthropic-workspace-id"]
        headers = [*HEADERS, *workspace, (b"content-type", b"multipart/form-data; boundary=b")]
        response = await self._claude.handle(Request("POST", path, "", headers, dict(headers), "127.0.0.1", body=body))
        made: str = decode(response.body)["id"]
        return made


def served() -> int:
    """The port of a simulator on a loop of its own, for as long as this process lives."""
    settings = SimSettings(batches=Batches(processing_s=0), limits=Limits(tier="scale"))
    ports: list[int] = []
    ready = threading.Event()

    async def serve() -> None:
        server = Server(WithPlaceholders(SimulatedClaude(settings, SystemClock(), Random(0))))
        ports.append(await server.start("127.0.0.1", 0))
        ready.set()
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    ready.wait()
    return ports[0]


def prepared(folder: Path, version: str) -> tuple[Path, Path]:
    """A Python with what the tests need, and the folder of the SDK's sources."""
    print(f"fetching the sources and the test tools of anthropic {version} ...", file=sys.stderr)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", f"anthropic[aiohttp]=={version}", *NEEDED], check=True)
    exact = [f"anthropic=={version}", "--no-deps", "--no-binary", "anthropic"]
    subprocess.run([*pip, "download", *exact, "--dest", folder], check=True)
    with tarfile.open(folder / f"anthropic-{version}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return python, folder / f"anthropic-{version}"


def run(python: Path, sources: Path, folder: Path) -> list[ElementTree.Element]:
    """Every test case, as pytest tells it in XML."""
    found = [sources / "tests" / "api_resources" / beta / name for beta in ("", "beta") for name in WANTED]
    files = [str(path.relative_to(sources)) for path in found if path.is_file()]
    report = folder / "report.xml"
    (folder / "no_mock.py").write_text(NO_MOCK)
    environ = os.environ | {"TEST_API_BASE_URL": f"http://127.0.0.1:{served()}", "PYTHONPATH": str(folder)}
    # Their own installed copy is what is tested: the sources beside the tests would come first.
    subprocess.run(["mv", "src", "unused"], cwd=sources, check=True)
    command = [python, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no_mock", f"--junit-xml={report}", *files]
    subprocess.run(command, cwd=sources, env=environ, check=False, stdout=subprocess.DEVNULL)
    return list(ElementTree.parse(report).iter("testcase"))


def _words(said: str) -> str:
    """What the API said, out of the exception's text."""
    found = re.search(r"""'message': (["'])(.*?)\1[,}]""", said)
    return found[2] if found else said[:200]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", default=anthropic.__version__, help="of the SDK; default: the installed one")
    version = parser.parse_args().version
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = run(*prepared(folder, version), folder)
    passed: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    failed: list[str] = []
    for case in cases:
        where = str(case.get("classname"))
        problem = next((child for kind in ("failure", "error") if (child := case.find(kind)) is not None), None)
        said = "" if problem is None else str(problem.get("message"))
        if problem is None:
            passed[where] += case.find("skipped") is None
        elif _words(said).startswith(REFUSED):
            refused[_words(said)] += 1
        else:
            failed.append(f"{where}.{case.get('name')}: {said[:300]}")
    told = (f"{passed.total()} passed", f"{refused.total()} sent what no API takes", f"{len(failed)} failed")
    print(f"{len(cases)} tests of anthropic {version}: {', '.join(told)}")
    for where, count in sorted(passed.items()):
        print(f"  {count:4} passed  {where}")
    for said, count in refused.most_common():
        print(f"  {count:4} refused {said}")
    for line in failed:
        print(f"  FAILED {line}")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
