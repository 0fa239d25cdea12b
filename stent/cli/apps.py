"""The user's modules and the durable functions in them."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from stent.durable.function import Durable
from stent.errors import OptionError, StentError, UnregisteredFunctionError, UsageError
from stent.registry import Function, default_registry


def load(modules: Iterable[str]) -> None:
    """Import modules, looked for in the current folder first, as `python -m` would."""
    for name in modules:
        load_module(name)


def load_module(name: str) -> ModuleType:
    """Import one module; errors name the user's line, not ours."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    name = name.removesuffix(".py").replace("/", ".")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise _import_failed(name, error) from error
        near = get_close_matches(name, [path.stem for path in Path(here).glob("*.py")], n=1)
        fix = f"did you mean {near[0]}?" if near else f"name it as in `import {name}`, from the folder it is found in"
        raise UnregisteredFunctionError(f"there is no module {name!r}", fix=fix, name=name) from error
    except StentError:
        raise
    except Exception as error:  # border: importing runs the user's code
        raise _import_failed(name, error) from error


def find_function(target: str) -> Function:
    """The durable function behind `module:name`."""
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise OptionError(f"{target!r} names no function", fix="write it as module:function, such as app:order")
    module = load_module(module_name)
    function = default_registry.get(f"{module.__name__}:{attribute}")
    if function is not None:
        return function
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Durable):
        return found.__stent_function__
    names = {each.name.partition(":")[2]: each for each in default_registry if each.body.__module__ == module.__name__}
    near = get_close_matches(attribute, names, n=1)
    if found is not None and callable(found):
        fix = f"decorate it: @Stent.durable above {attribute}"
    elif near:
        fix = f"did you mean {module_name}:{near[0]}?"
    else:
        fix = f"it has: {', '.join(sorted(names)) or 'no durable function'}"
    raise UnregisteredFunctionError(f"{module_name} has no durable function {attribute!r}", fix=fix, name=target)


def _import_failed(name: str, error: Exception) -> UsageError:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    last = frames[-1] if len(frames) > 1 else None
    place = f" at {last.filename}:{last.lineno}" if last is not None else ""
    if isinstance(error, SyntaxError):
        place = f" at {error.filename}:{error.lineno}"
    return UsageError(
        f"importing {name} failed{place}: {type(error).__name__}: {error}",
        fix=f"python -c 'import {name}' shows the whole traceback",
    )
