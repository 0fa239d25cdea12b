"""Programs of the corpus as source: a value and the place in an orchestrator where it is made."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

HEAD = """\
import asyncio
from typing import Any
from stent import Stent

WORDS = ["ash", "birch", "cedar", "elder", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "willow"]


@Stent.durable
async def ship(value: Any = None) -> Any:
    return value


"""
LIBRARIES = "site-packages"  # a folder of this name is an installed package's, not the user's


@dataclass(frozen=True)
class Value:
    """A value that an orchestrator records: an expression, and what stands above it in its file."""

    expression: str
    head: str = ""


@dataclass(frozen=True)
class Program:
    """A file with an orchestrator called `program`, and the libraries that it imports."""

    name: str
    text: str
    libraries: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        (folder / f"{self.name}.py").write_text(self.text, encoding="utf-8")
        for name, text in self.libraries.items():
            (folder / LIBRARIES / f"{name}.py").write_text(text, encoding="utf-8")


def whole(name: str, body: str, head: str = "") -> Program:
    """A program that is written as it is."""
    head, body = textwrap.dedent(head), textwrap.dedent(body)
    orchestrator = f"@Stent.durable\nasync def program() -> Any:\n{textwrap.indent(body.strip(), '    ')}\n"
    return Program(name, f"{HEAD}{head}\n\n{orchestrator}")


def direct(name: str, value: Value) -> Program:
    return whole(name, f"await ship(0)\nreturn await ship({value.expression})", value.head)


def in_helper(name: str, value: Value) -> Program:
    helper = f"{value.head}\n\ndef helper() -> Any:\n    return {value.expression}\n"
    return whole(name, "found = helper()\nreturn await ship(found)", helper)


def under_gather(name: str, value: Value) -> Program:
    branch = f"async def branch() -> Any:\n    await ship('branch')\n    return await ship({value.expression})"
    return whole(name, f"{branch}\nreturn await asyncio.gather(ship(0), branch(), ship(1))", value.head)


def after_a_timer(name: str, value: Value) -> Program:
    body = (
        f"await ship(0)\nawait asyncio.sleep(60)\nfound = {value.expression}\nawait ship(1)\nreturn await ship(found)"
    )
    return whole(name, body, value.head)


def in_library(name: str, value: Value) -> Program:
    library = f"lib_{name}"
    text = f"WORDS = {_words()}\n{value.head}\n\ndef value():\n    return {value.expression}\n"
    made = whole(name, f"return await ship({library}.value())", f"import {library}")
    return Program(name, made.text, {library: text})


def in_method(name: str, value: Value) -> Program:
    owner = f"class Order:\n    def total(self) -> Any:\n        return {value.expression}\n"
    return whole(name, "order = Order()\nreturn await ship(order.total())", f"{value.head}\n\n{owner}")


Shape = Callable[[str, Value], Program]


def written(prefix: str, values: Iterable[Value], shapes: Iterable[Shape], count: int) -> list[Program]:
    """Each value in `count` of the shapes, taken in turn."""
    order = list(shapes)
    chosen = [
        (number, value, order[(number + place) % len(order)])
        for number, value in enumerate(values)
        for place in range(count)
    ]
    return [shape(f"{prefix}_{number:03}_{shape.__name__}", value) for number, value, shape in chosen]


def named(prefix: str, programs: Iterable[Program]) -> list[Program]:
    """The same programs under names that no module of a library has."""
    return [replace(program, name=f"{prefix}_{program.name}") for program in programs]


def _words() -> str:
    return HEAD.partition("WORDS = ")[2].partition("\n")[0]
