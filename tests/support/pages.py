"""Runs the blocks of a page of docs/ as its reader would, and compares what they print.

A page is one session in an empty folder with an empty home.  By kind of block:

    ```console    `$ command` lines run in one shell; what stands below each is compared; each must succeed
    ```sh         the whole block runs in that shell and must succeed
    ```python     runs as a script of its own and must succeed; a ```text block right below it is what it prints

A comment on the line above a block changes that:

    <!-- file: NAME -->        the block is written to NAME
    <!-- terminal: NAME -->    a terminal of its own, in which the command goes on running; what is shown must appear.
                               An earlier command in the terminal is stopped with Ctrl-C first.
    <!-- fails -->             the last command must fail
    <!-- numbers vary -->      numbers are not compared
    <!-- not run: REASON -->   the block is only read

Two comments that stand anywhere say what the page starts from: `<!-- given: a gateway -->` runs the simulator and a
gateway on it, `<!-- needs: npm -->` skips the page where there is none.

What is shown is compared line by line, with runs of blanks as one.  `...` stands for anything in a line, and alone for
any lines.  Ids, dates, durations and the three ports are not compared; ports are free ones, so that pages can run
beside a real gateway.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.patience import HANG_S
from support.ports import free_port

__all__ = ["Block", "Session", "blocks_of", "needs_of", "run"]

COMMAND_S = 120.0
"""A command that takes longer has hung."""
READ_LEDGER_S = 0.3
"""A row is committed a moment after its call has ended; no reader types as fast."""
RUN = frozenset(("console", "sh", "python", "typescript"))
GATEWAY = (("sim", "$ headgate sim\n...\nNext, put the gateway in front: ..."),
           ("gateway", "$ headgate serve --upstream http://127.0.0.1:8789\n...\nheadgate: next ..."))  # fmt: skip
_FENCE = re.compile(r"^(`{3,})([\w+-]*)\s*$")
_COMMENT = re.compile(r"^<!-- (.*?) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, with the comment above it."""

    kind: str
    text: str
    line: int
    note: str = ""

    @property
    def file(self) -> str | None:
        return self.note.removeprefix("file: ") if self.note.startswith("file: ") else None

    @property
    def terminal(self) -> str | None:
        return self.note.removeprefix("terminal: ") if self.note.startswith("terminal: ") else None

    @property
    def is_run(self) -> bool:
        return self.kind in RUN and not self.note.startswith("not run: ")


def blocks_of(text: str) -> list[Block]:
    """Every fenced block, in order."""
    blocks: list[Block] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence is None:
            at += 1
            continue
        end = next(n for n in range(at + 1, len(lines)) if lines[n] == fence[1])
        comment = _COMMENT.match(lines[at - 1]) if at else None
        blocks.append(Block(fence[2], "\n".join(lines[at + 1 : end]), at + 1, comment[1] if comment else ""))
        at = end + 1
    return blocks


def needs_of(text: str) -> list[str]:
    """What the page cannot do without."""
    return re.findall(r"^<!-- needs: (.*?) -->$", text, re.M)


def run(page: Path, folder: Path) -> None:
    """Run every block of `page` in the empty `folder`.

    Raises:
        AssertionError: names the line of the page, the command, and both outputs.
    """
    text = page.read_text(encoding="utf-8")
    blocks = blocks_of(text)
    with Session(folder) as session:
        if "<!-- given: a gateway -->" in text:
            session.start_gateway()
        for number, block in enumerate(blocks):
            try:
                if block.file is not None:
                    session.write(block.file, block.text)
                elif not block.is_run:
                    continue
                elif block.terminal is not None:
                    session.terminal(block.terminal, block)
                elif block.kind == "console":
                    session.console(block)
                elif block.kind == "sh":
                    session.shell(block.text)
                else:
                    below = blocks[number + 1] if number + 1 < len(blocks) else None
                    session.python(block.text, below.text if below is not None and below.kind == "text" else None)
            except AssertionError as problem:
                raise AssertionError(f"{page.name}:{block.line}: {problem}\n{session.heard()}") from None


@dataclass
class Session:
    """One reader: a folder, a shell, and terminals in which commands go on running."""

    folder: Path
    _ports: dict[str, str] = field(default_factory=dict)
    _shell: _Process | None = None
    _terminals: dict[str, _Process] = field(default_factory=dict)

    def __enter__(self) -> Session:
        self._ports = {known: str(free_port()) for known in ("8787", "8788", "8789")}
        self._shell = _Process("exec bash --norc --noprofile", self.folder, self._environ())
        return self

    def __exit__(self, *exc: object) -> None:
        for process in (*reversed(self._terminals.values()), self._shell):
            if process is not None:
                process.stop()

    def start_gateway(self) -> None:
        """The simulator, and a gateway on it."""
        for name, transcript in GATEWAY:
            self.terminal(name, Block("console", transcript, 0))

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._here(text) + "\n", encoding="utf-8")

    def console(self, block: Block) -> None:
        steps = _steps(block.text)
        for command, shown in steps:
            is_last = (command, shown) == steps[-1]
            if "ledger.db" in command:
                time.sleep(READ_LEDGER_S)
            said = self.shell(command, fails=is_last and block.note == "fails")
            self._compare(command, shown, said, numbers=block.note != "numbers vary")

    def shell(self, command: str, *, fails: bool = False) -> str:
        assert self._shell is not None
        self._shell.say(f"{{ {self._here(command)}\n}} </dev/null; printf '\\n--%s--%d\\n' done $?\n")
        out, code = self._shell.until_done(command)
        assert (code != 0) == fails, f"$ {command}\nended with exit code {code}:\n{out}"
        return out

    def python(self, text: str, shown: str | None) -> None:
        name = ".block.py"
        self.write(name, text)
        out = self.shell(f"python {name}")
        if shown is not None:
            self._compare("python", shown, out)

    def terminal(self, name: str, block: Block) -> None:
        """Start the one command of `block` and wait for what it shows."""
        ((command, shown),) = _steps(block.text)
        if name in self._terminals:
            self._terminals.pop(name).stop()
        process = self._terminals[name] = _Process(f"exec {self._here(command)}", self.folder, self._environ())
        pattern = _pattern(shown)
        deadline_s = time.monotonic() + COMMAND_S
        while not re.match(pattern, self._plain(process.heard)):
            if time.monotonic() > deadline_s or not process.is_alive():
                raise AssertionError(f"$ {command}\nshould show:\n{shown}\n\nbut shows:\n{process.heard}")
            process.listen(0.05)

    def heard(self) -> str:
        """What the terminals said, for a failure."""
        for process in self._terminals.values():
            process.listen(0.0)
        return "\n".join(f"-- terminal {name}:\n{process.heard[-3000:]}" for name, process in self._terminals.items())

    def _compare(self, command: str, shown: str, said: str, *, numbers: bool = True) -> None:
        plain = self._plain(said)
        if not numbers:
            shown, plain = _NUMBER.sub("#", _masked(shown)), _NUMBER.sub("#", plain)
        assert re.fullmatch(_pattern(shown), plain), f"$ {command}\nshould print:\n{shown}\n\nbut prints:\n{said}"

    def _here(self, text: str) -> str:
        """With the ports of this session."""
        text = re.sub(r"\bheadgate sim(?=\s|$)(?!.*--port)", f"headgate sim --port {self._ports['8789']}", text)
        return re.sub(r"\b878[789]\b", lambda port: self._ports[port[0]], text)

    def _plain(self, said: str) -> str:
        for known, free in self._ports.items():
            said = re.sub(rf"\b{free}\b", known, said)
        lines = said.replace(str(self.folder), "/home/you").splitlines()
        # The ports are set from the environment, which no reader's is.
        plain = _masked("\n".join(line for line in lines if "__PORT" not in line))
        return plain + "\n" if plain else ""

    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "HEADGATE_"))}
        npmrc = Path.home() / ".npmrc"
        return {
            **kept,
            **({"NPM_CONFIG_USERCONFIG": str(npmrc)} if npmrc.exists() else {}),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "TERM": "dumb",
            "NO_COLOR": "1",
            "COLUMNS": "120",
            "HEADGATE_GATEWAY__PORT": self._ports["8787"],
            "HEADGATE_ADMIN__PORT": self._ports["8788"],
        }


class _Process:
    """A command, and what it has said so far."""

    def __init__(self, command: str, folder: Path, environ: dict[str, str]) -> None:
        self.heard = ""
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-c", command], cwd=folder, env=environ, text=True, encoding="utf-8",
            errors="replace", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def listen(self, wait_s: float) -> None:
        """Take in what was said, waiting for at most one line."""
        try:
            while (line := self._lines.get(timeout=wait_s) if wait_s else self._lines.get_nowait()) is not None:
                self.heard += line
                wait_s = 0.0
        except queue.Empty:
            return

    def until_done(self, command: str) -> tuple[str, int]:
        """What the shell printed for one command, and its exit code."""
        out: list[str] = []
        try:
            while (line := self._lines.get(timeout=COMMAND_S)) is not None:
                if done := re.fullmatch(r"--done--(\d+)\n", line):
                    return "".join(out).removesuffix("\n"), int(done[1])
                out.append(line)
        except queue.Empty:
            raise AssertionError(f"$ {command}\nhangs after:\n{''.join(out)}") from None
        raise AssertionError(f"$ {command}\nended the shell:\n{''.join(out)}")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """As Ctrl-C does; if that is not enough, by force, and so whatever it left in the background."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
                try:
                    self._process.wait(HANG_S)
                except subprocess.TimeoutExpired:
                    continue
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._listener.join(timeout=HANG_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def has_npm() -> str | None:
    """Why npm packages cannot be had here, or None."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    try:
        subprocess.run(["npm", "view", "@anthropic-ai/sdk", "version"], check=True, capture_output=True, timeout=30)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return "the npm registry does not answer"
    return None


def _steps(transcript: str) -> list[tuple[str, str]]:
    """Commands, each with what is shown below it."""
    steps: list[tuple[list[str], list[str]]] = []
    goes_on = False
    for line in transcript.splitlines():
        if goes_on:
            steps[-1][0].append(line)
        elif line.startswith("$ "):
            steps.append(([line[2:]], []))
        else:
            assert steps, f"a console block starts with a command, not with {line!r}"
            steps[-1][1].append(line)
        in_quotes = "\n".join(steps[-1][0]).count('"') % 2 == 1
        goes_on = not steps[-1][1] and (line.endswith("\\") or in_quotes)
    return [("\n".join(command), "\n".join(shown)) for command, shown in steps]


_MASKS = [
    (re.compile(r"\b(call|req|msg|msgbatch|file|headgate)_[A-Za-z0-9_-]{16,}"), r"\1_#"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "sha256#"),
    (re.compile(r"\b20\d\d-\d\d-\d\d(T[0-9:.]+Z?)?"), "day#"),
    (re.compile(r"\b\d+(\.\d+)? ?(s|min)\b"), "# s"),
    (re.compile(r'("\w+_(?:ms|s)": ?)[0-9.]+'), r"\1#"),
    (re.compile(r"(-ms: )[0-9.]+"), r"\1#"),
]


_NUMBER = re.compile(r"\d[\d,.]*")


def _masked(text: str) -> str:
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()


def _pattern(shown: str) -> str:
    """A regular expression for what is shown: `...` alone is any lines, in a line any text."""
    parts = []
    for line in _masked(shown).splitlines():
        if line == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            parts.append(re.escape(line).replace(re.escape("..."), r"[^\n]*") + r"\n")
    return "".join(parts)
