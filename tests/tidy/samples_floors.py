"""Samples of imports: up, down, round, and to modules that have no floor."""

from __future__ import annotations

from tests.tidy.planted import Sample, sample

SAMPLES: list[Sample] = [
    sample("syntax", "a file that does not parse", app="x = 1\ndef f(:  # !\n"),
    sample("syntax", "a file that does", app="x = 1\n"),
    sample(
        "floors",
        "every form of an import that goes up",
        history__fold="""
            from __future__ import annotations
            import json
            import stent.errors
            import stent.worker.leases  # !
            from stent.app import Stent  # !
            from stent import Stent  # !
            from stent import errors, replay  # !
            from ..replay import commands  # !
            from . import events
            from .. import clock
            if TYPE_CHECKING:
                from stent.client import Client  # !
            def late():
                from stent import inspect  # !
                from stent.codec import Payload
        """,
    ),
    sample(
        "floors",
        "imports by a literal name",
        codec__types="""
            import importlib
            import pkgutil
            from importlib import import_module as load
            load("stent.history.wire")  # !
            importlib.import_module("..worker", __package__)  # !
            pkgutil.resolve_name("stent.app:Stent")  # !
            __import__("stent.cli")  # !
            importlib.import_module("stent.errors")
            importlib.import_module("stentorian.app")
            loader.import_module("stent.app")
            load(name)
        """,
    ),
    sample(
        "floors",
        "down and across",
        app="""
            import stentorian
            from stent import errors, durable
            from stent.client import Client
            from stent.history.sql import sqlite
            from stent.inspect import why
        """,
        cli__main="from stent import Stent\nfrom stent.dashboard import serve\n",
        history__="from . import fold\nfrom .wire import EventRow\n",
    ),
    sample("floors", "a module without a floor", novelty="import json  # !\n", app="from stent import errors\n"),
    sample("floors", "an import of a module without a floor", app="import json\nimport stent.novelty  # !\n"),
    sample("floors", "strangers on one floor", history__fold="from stent.registry import Registry  # !\n"),
    sample("floors", "a name within the codec", replay__loop="from stent.codec import history\n"),
    sample(
        "testing",
        "others import it",
        app="from stent.testing import fixtures  # !\n",
        cli__main="def f():\n    from .. import testing  # !\n",
        __="import stent.testing.plugin  # !\n",
    ),
    sample(
        "testing",
        "it imports itself and others",
        testing__plugin="from stent.testing import clock\nfrom . import histories\nfrom stent.app import Stent\n",
        app="import unittest\nfrom stent import test_ing\nfrom stent.inspect import testing\n",
    ),
    sample(
        "cycles",
        "two modules, the one in a function",
        worker__turns="import json\nfrom stent.worker import leases\n",
        worker__leases="def f():\n    from stent.worker.turns import A  # !\n    from stent.worker.turns import B\n",
    ),
    sample(
        "cycles",
        "three modules, the one for types only",
        replay__a="from stent.replay.b import B  # !\n",
        replay__b="from .c import C\n",
        replay__c="if TYPE_CHECKING:\n    from stent.replay import a\n",
    ),
    sample("cycles", "a module with itself", ids="import stent.ids  # !\n"),
    sample(
        "cycles",
        "a package and its part",
        codec__="from stent.codec.plain import encode  # !\n",
        codec__plain="from stent.codec import Payload\n",
    ),
    sample(
        "cycles",
        "a package that only re-exports, a diamond, a module of the same name elsewhere",
        codec__="from stent.codec.plain import encode\nfrom stent.codec.walk import walk\n",
        codec__plain="from stent.codec import walk\nfrom stent import errors\nimport json\n",
        codec__walk="from stent import errors\n",
        errors="import codec\n",
    ),
]
