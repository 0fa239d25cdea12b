"""The names of classes in stored bytes: `module:qualname`, the same whether a file is run or imported.

A script that is run calls its module `__main__`; a worker that imports the same file calls it by its name. Stored is
the name that an import would use: that of `__main__.__spec__` (`python -m shop.flow`), else the stem of the file
(`python shop/flow.py` is `flow`, as its directory leads `sys.path`). Where there is no such name (a REPL, a notebook,
`python directory/`), it stays `__main__`.
"""

from __future__ import annotations

import sys
from pathlib import PurePath
from types import ModuleType
from typing import Any

MAIN = "__main__"


def main_name() -> str:
    """The name under which the module that is run as `__main__` would be imported; `__main__` if it has none."""
    main = sys.modules.get(MAIN)
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    stem = PurePath(file).stem if type(file) is str else ""
    return stem if stem and not stem.startswith("<") else MAIN


def stored_module(module: str) -> str:
    """The name under which a module appears in stored bytes."""
    return main_name() if module == MAIN else module


def class_name(cls: type) -> str:
    """`module:qualname` of a class, as it is stored."""
    module = cls.__dict__.get("__module__", "builtins")
    return f"{stored_module(module) if type(module) is str else '?'}:{cls.__qualname__}"


def find_class(module: str, qualname: str) -> type | None:
    """The class of this name in a module that is already imported, or None. `module` is a name in `sys.modules`.

    Looks into the plain dictionaries of the module and its classes: no `__getattr__` of a module, no descriptor and
    no metaclass is asked, so nothing runs and nothing is imported.
    """
    home = sys.modules.get(module)
    if not isinstance(home, ModuleType):
        return None
    space: Any = home.__dict__
    found: object = None
    for part in qualname.split("."):
        found = space.get(part)
        if not isinstance(found, type):
            return None
        space = found.__dict__
    is_itself = isinstance(found, type) and found.__qualname__ == qualname and space.get("__module__") == module
    return found if is_itself and isinstance(found, type) else None
