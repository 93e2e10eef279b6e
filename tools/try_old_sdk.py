"""Try the library with the last 0.x release of the anthropic SDK, which stands on httpx instead of httpx2.

    python tools/try_old_sdk.py [VERSION ...]       needs a package index; exit 1 if anything differs

Makes a virtual environment in a temporary folder for each version, installs the SDK and this project into it, and
makes calls through both transports against the simulator: whole, streamed, raw, failing, timed out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAST_0 = "0.125.0"

PROGRAM = """
import asyncio
import anthropic, headgate
from headgate.testing import simulated_claude


def ask(text="How much water?"):
    return {"model": "claude-haiku-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": text}]}


def caught(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except anthropic.APIError as error:
        return type(error).__name__


with simulated_claude() as claude:
    told = {"base_url": claude.base_url, "api_key": "any", "max_retries": 0}
    http = anthropic.DefaultHttpxClient(transport=headgate.Transport())
    client = anthropic.Anthropic(http_client=http, **told)
    assert client.messages.create(**ask()).stop_reason == "end_turn"
    with client.messages.stream(**ask()) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"
    raw = client.messages.with_raw_response.create(**ask("[[sim: flaky=1:529]]"))
    assert raw.headers["x-headgate-attempts"] == "2"
    assert client.messages.count_tokens(model="claude-haiku-5-5", messages=ask()["messages"]).input_tokens
    assert caught(client.messages.create, **ask("[[sim: error=400]]")) == "BadRequestError"
    assert caught(client.messages.create, **ask("[[sim: reset]]")) == "APIConnectionError"
    hurried = client.with_options(timeout=0.3)
    assert caught(hurried.messages.create, **ask("[[sim: hang]]")) == "APITimeoutError"

    async def main():
        http = anthropic.DefaultAsyncHttpxClient(transport=headgate.AsyncTransport())
        async with anthropic.AsyncAnthropic(http_client=http, **told) as client:
            assert (await client.messages.create(**ask())).stop_reason == "end_turn"
            async with client.messages.stream(**ask()) as stream:
                assert (await stream.get_final_message()).stop_reason == "end_turn"

    asyncio.run(main())
    headgate.shutdown()
print("anthropic", anthropic.__version__, "works")
"""


def attempt(version: str) -> int:
    """The exit code of the program above with that SDK."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, f"anthropic=={version}", str(ROOT)], check=True)
        environ = os.environ | {"HEADGATE_LEDGER__PATH": f"{folder}/ledger.db", "HEADGATE_LOG__PATH": "off"}
        return subprocess.run([python, "-W", "error", "-c", PROGRAM], env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(max([attempt(version) for version in sys.argv[1:] or [LAST_0]]))
