"""Runs the code of a page of the documentation, as a reader would who types it in from top to bottom.

A block of Python is executed; all blocks of a page share one module, and may await at their top level, as in
`python -m asyncio`. An HTML comment on the line before a block says what else is to be done with it:

    <!-- not run: REASON -->         nothing, for this reason; the only way to leave Python out
    <!-- file: shop.py -->           it is written to this file, in the folder that the page runs in
    <!-- raises: ArgumentError -->   it must end with this error
    <!-- run -->                     a block of sh is run; `<!-- run: 137 -->` must end with this status
    <!-- prints -->                  a block of text is what the block before it prints

Other languages without a comment are left alone. Tracebacks name the line of the page.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import functools
import inspect
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from stent import Stent
from stent.registry import default_registry

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\s*$")
DIRECTIVE = re.compile(r"^\s*<!-- (?P<verb>not run|file|raises|run|prints)(?:: (?P<value>.+?))? -->\s*$")
SHELL_TIMEOUT_S = 60


@dataclass(frozen=True)
class Block:
    """A block of code: `line` is where its first line stands in the page, from 1."""

    language: str
    code: str
    line: int
    verb: str = ""
    value: str = ""


class PageError(Exception):
    """A page that does not do what it says, with the place."""


def blocks_of(text: str) -> Iterator[Block]:
    """The blocks of a page in order. Raises PageError for a fence that is never closed."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if fence is None:
            at += 1
            continue
        end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == "```"), None)
        if end is None:
            raise PageError(f"line {at + 1}: a block that is never closed")
        before = next((line for line in reversed(lines[:at]) if line.strip()), "")
        said = DIRECTIVE.match(before)
        verb, value = (said["verb"], said["value"] or "") if said else ("", "")
        code = inspect.cleandoc("\n".join(lines[at + 1 : end])) if fence["indent"] else "\n".join(lines[at + 1 : end])
        yield Block(fence["language"], code + "\n", at + 2, verb, value)
        at = end + 1


def run_page(path: Path, folder: Path) -> int:
    """Run a page in an empty folder, which is the current one; how many blocks were run. Raises what a block raises."""
    name = path.relative_to(ROOT).as_posix()
    page = _Page(name, folder)
    with _clean_up(page.module, folder), asyncio.Runner() as runner:
        page.runner = runner
        for block in blocks_of(path.read_text(encoding="utf-8")):
            page.take(block)
    return page.count


class _Page:
    """One page while it runs."""

    runner: asyncio.Runner

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.count = 0
        self.module = ModuleType(re.sub(r"\W", "_", name.removesuffix(".md")))
        self._printed = ""

    def take(self, block: Block) -> None:
        """Do with a block what it asks for."""
        if block.verb == "prints":
            self._compare(block)
        elif block.verb == "file":
            (self.folder / block.value).write_text(block.code, encoding="utf-8")
        elif block.verb == "run":
            self._run_shell(block)
        elif block.language == "python" and block.verb != "not run":
            self._run_python(block)

    def _run_python(self, block: Block) -> None:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                self._execute(block)
        except BaseException as error:  # border: a page may show any error
            if type(error).__name__ != block.value:
                raise
            print(error, file=printed)
        else:
            if block.verb == "raises":
                raise self._failure(block, f"it should end with {block.value}")
        self._printed = printed.getvalue()
        self.count += 1

    def _execute(self, block: Block) -> None:
        padded = "\n" * (block.line - 1) + block.code
        code = compile(padded, str(ROOT / self.name), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            self.runner.run(eval(code, self.module.__dict__))
        else:
            exec(code, self.module.__dict__)

    def _run_shell(self, block: Block) -> None:
        """`python` and `stent` are those of this environment."""
        settings = {**os.environ, **_bytecode(), "PYTHONPATH": _python_path()}
        settings["PATH"] = f"{_commands(self.folder)}{os.pathsep}{os.environ['PATH']}"
        settings["PYTHONHASHSEED"] = "0"  # else a worker starts itself again to fix it
        done = subprocess.run(
            ["sh", "-c", block.code],
            cwd=self.folder,
            env=settings,
            text=True,
            capture_output=True,
            check=False,
            timeout=SHELL_TIMEOUT_S,
        )
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode  # as a shell reports a signal
        if status != int(block.value or 0):
            raise self._failure(block, f"it ended with {status}\n{done.stdout}{done.stderr}")
        self._printed = done.stdout
        self.count += 1

    def _compare(self, block: Block) -> None:
        """`...` stands for anything."""
        wanted = re.escape(block.code.strip()).replace(re.escape("..."), ".*?")
        if re.fullmatch(wanted, self._printed.strip(), re.DOTALL) is None:
            raise self._failure(block, f"this is not what was printed:\n{self._printed}")

    def _failure(self, block: Block, what: str) -> PageError:
        return PageError(f"{self.name}:{block.line}: {what}")


@contextlib.contextmanager
def _clean_up(module: ModuleType, folder: Path) -> Iterator[None]:
    """The page and the files of its folder can be imported while it runs; afterwards all is as if it never had been."""
    functions = dict(default_registry._functions)
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        Stent.reset()
        sys.path.remove(str(folder))
        for name, each in list(sys.modules.items()):
            if each is module or Path(getattr(each, "__file__", None) or ".").parent == folder:
                del sys.modules[name]
        default_registry._functions.clear()
        default_registry._functions.update(functions)


def _commands(folder: Path) -> Path:
    commands = folder / ".commands"
    if not commands.exists():
        commands.mkdir()
        for name, call in (("python", sys.executable), ("stent", f"{sys.executable} -m stent")):
            (commands / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n', encoding="utf-8")
            (commands / name).chmod(0o755)
    return commands


@functools.cache
def _bytecode() -> dict[str, str]:
    """Where none may be written beside the sources, it goes elsewhere: compiling everything takes a process seconds."""
    if not sys.dont_write_bytecode:
        return {}
    cache = Path(__file__).resolve().parents[2] / ".dev" / "cache"
    folder = cache / "bytecode" if os.access(cache, os.W_OK) else tempfile.mkdtemp(prefix="stent-docs-")
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(dict.fromkeys([".", str(ROOT), *inherited.split(os.pathsep)]))
