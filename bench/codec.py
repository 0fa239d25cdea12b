"""What encoding and decoding cost, in microseconds: prints one JSON object. `python bench/codec.py [--quick]`.

Each figure is the best of several rounds, for a shared machine only ever adds time.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pydantic import BaseModel

from stent.codec import (
    Signature,
    TypeRegistry,
    decode,
    decode_exception,
    describe,
    encode,
    encode_exception,
    join,
    pack,
    split,
    unpack,
)


@dataclass(frozen=True, slots=True)
class Line:
    sku: str
    count: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Order:
    id: int
    lines: list[Line]
    placed_at: datetime


class Customer(BaseModel):
    id: int
    name: str
    tags: list[str] = []


def charge(order_id: str, amount: int = 1, *, currency: str = "EUR") -> dict[str, Any]:
    return {"id": order_id, "amount": amount, "currency": currency}


def raised() -> ValueError:
    try:
        raise ValueError("card 42 declined")
    except ValueError as error:
        return error


def samples() -> dict[str, Any]:
    rows = [{"id": n, "sku": f"A{n}", "price": n * 1.1, "ok": True, "note": None} for n in range(1000)]
    return {
        "str": "item-17",
        "one_arg": ["item-17"],
        "small_dict": {"id": "x", "processed": True},
        "nested": {"id": 1, "lines": [{"sku": "A", "n": n, "p": 1.5} for n in range(3)], "who": {"name": "x"}},
        "emoji": ["héllo 😀" for _ in range(100)],
        "rows_66kb": rows,
        "tuple": ("x", 1, True),
        "order": Order(1, [Line("A", 2, Decimal("1.50")) for _ in range(3)], datetime(2025, 1, 1, tzinfo=UTC)),
        "model": Customer(id=1, name="Ann", tags=["a"]),
        "model_with_rows": {"who": Customer(id=1, name="Ann"), "rows": rows},
    }


def best_us(run: Callable[[], object], seconds: float) -> float:
    number, best, end = 1, float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        for _ in range(number):
            run()
        now = time.perf_counter()
        if now - start < 0.002:
            number *= 2
            continue
        best = min(best, (now - start) / number)
        if now > end:
            return round(best * 1e6, 3)


def measure(seconds: float) -> dict[str, Any]:
    registry = TypeRegistry()
    registry.allow_module(__name__)
    figures: dict[str, Any] = {}
    for name, value in samples().items():
        payload = encode(value, registry)
        figures[name] = {
            "encode_us": best_us(lambda value=value: encode(value, registry), seconds),  # type: ignore[misc]  # bound now
            "decode_us": best_us(lambda payload=payload: decode(payload, registry), seconds),  # type: ignore[misc]
            "json_dumps_us": None,
            "size_bytes": len(payload.data),
        }
        if payload.codec == 1:
            figures[name]["json_dumps_us"] = best_us(lambda value=value: json.dumps(value), seconds)  # type: ignore[misc]
    signature = Signature.of(charge, registry)
    call = signature.encode(*signature.bind(("x", 2), {}))
    error = raised()
    failure = encode_exception(error, registry)
    rows = encode(samples()["rows_66kb"], registry)
    packed = pack(rows, 4096)
    batch = join([call] * 1000)
    others: dict[str, Callable[[], object]] = {
        "bind_positional_us": lambda: signature.bind(("x", 2), {}),
        "bind_keywords_us": lambda: signature.bind(("x",), {"currency": "USD", "amount": 2}),
        "bind_encode_us": lambda: signature.encode(*signature.bind(("x", 2), {})),
        "decode_arguments_us": lambda: signature.decode(call),
        "encode_exception_us": lambda: encode_exception(error, registry),
        "decode_exception_us": lambda: decode_exception(failure, registry),
        "describe_66kb_us": lambda: describe(rows),
        "pack_66kb_us": lambda: pack(rows, 4096),
        "unpack_66kb_us": lambda: unpack(packed),
        "join_1000_us": lambda: join([call] * 1000),
        "split_1000_us": lambda: split(batch),
    }
    figures.update({name: best_us(run, seconds) for name, run in others.items()})
    figures["packed_66kb_bytes"] = len(packed.data)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the time, for a smoke test")
    seconds = 0.03 if parser.parse_args().quick else 0.3
    figures = measure(seconds)
    print(json.dumps({"python": platform.python_version(), "machine": platform.machine(), **figures}, indent=1))


if __name__ == "__main__":
    main()
