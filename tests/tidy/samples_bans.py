"""Samples of names that one place alone may use."""

from __future__ import annotations

from tests.tidy.planted import Sample, sample

SAMPLES: list[Sample] = [
    sample(
        "clock",
        "the wall clock and the monotonic one, under any name",
        worker__leases="""
            import time  # !
            import time as t  # !
            import datetime as dt
            from datetime import UTC, date, datetime
            from time import monotonic  # !
            started = t.monotonic()  # !
            now = datetime.now(UTC)  # !
            then = dt.datetime.utcnow()  # !
            today = date.today()  # !
            field(default_factory=datetime.now)  # !
            def f():
                from time import perf_counter as clock  # !
                return clock()  # !
        """,
    ),
    sample(
        "clock",
        "the clock that is handed in, times that are data, names that only look alike",
        clock="import time\nimport datetime\nnow = datetime.datetime.now(datetime.UTC)\nstarted = time.monotonic()\n",
        worker__leases="""
            from datetime import datetime, time
            import timeit
            from stent import clock
            started = clock.now()
            when = datetime.fromtimestamp(0, tz=None)
            noon = time(12)
            def f(time, datetime):
                return time.monotonic() + datetime.now() + self.time.time() + loop.time()
            note = "time.time()"
        """,
    ),
    sample(
        "chance",
        "generators, tokens and ids",
        worker__pool="""
            import random  # !
            import os, uuid
            from secrets import token_hex  # !
            from uuid import UUID, uuid4  # !
            worker_id = uuid.uuid1()  # !
            key = os.urandom(16)  # !
            ids = map(uuid4, names)  # !
        """,
        replay__context="""
            import random
            from random import Random
            a = random.Random(seed)
            b = Random(seed)
            c = random.random()  # !
            d = random.SystemRandom()  # !
        """,
    ),
    sample(
        "chance",
        "its own place, ids that are data, a random that is handed in",
        ids="import random\nimport secrets\nimport uuid\nfresh = uuid.uuid4\n",
        worker__pool="""
            import os
            import uuid
            from stent.ids import Chance
            parsed = uuid.UUID("0" * 32)
            named = uuid.uuid5(parsed, "x")
            def f(random):
                return random.random() + self.random.uniform(0, 1) + os.getpid()
        """,
    ),
    sample("seeds", "a generator without a seed", replay__context="import random\nrng = random.Random()  # !\n"),
    sample(
        "seeds",
        "a generator with one, and the place of chance",
        replay__context="from random import Random\nrng = Random(7)\nother = Random(x=seed)\nrandom = Maker.Random()\n",
        ids="import random\nrng = random.Random()\n",
    ),
    sample(
        "databases",
        "drivers and SQLAlchemy outside their folder",
        history__store="""
            import sqlite3  # !
            import sqlalchemy as sa  # !
            from sqlalchemy.orm import Session  # !
            def f():
                import psycopg.rows  # !
                return sa.select()  # !
            if TYPE_CHECKING:
                from sqlalchemy import Engine  # !
        """,
        app="import importlib\nimportlib.import_module('sqlalchemy')  # !\n",
    ),
    sample(
        "databases",
        "inside their folder, and names that only look alike",
        history__sql__schema="import sqlalchemy as sa\nimport sqlite3\nt = sa.Table()\n",
        history__store="from stent.history.sql import sqlite\nimport sqlite_utils_like\nnote = 'sqlalchemy'\n",
    ),
    sample(
        "pickle",
        "loading code from data",
        codec__plain="""
            import marshal
            import pickle  # !
            from shelve import open as keep  # !
            from marshal import loads  # !
            import cloudpickle as cp  # !
            value = eval(text)  # !
            exec(text)  # !
            code = marshal.loads(data)  # !
            evaluate = eval  # !
            def f():
                return __builtins__, cp.dumps(f)  # !
        """,
        worker__pool="import marshal  # !\nprint_ = marshal.dumps(1)  # !\n",
    ),
    sample(
        "pickle",
        "a fingerprint in the codec, methods and parameters of the same name",
        codec__plain="""
            import marshal
            from marshal import dumps
            mark = marshal.dumps(1) + dumps(2)
            frame.eval("1")
            cursor.exec(statement)
            def f(exec):
                return exec(1)
            def pickle():
                return pickle()
        """,
    ),
    sample("print", "outside the command line", app="def f():\n    print(1)  # !\n    show(print)  # !\n"),
    sample(
        "print",
        "in the command line, and what is no print",
        cli__main="print(1)\n",
        app="console.print(1)\nfrom rich import print\nprint(1)\npprint(1)\nnote = 'print(1)'\n",
        worker__pool="def f(print):\n    print(1)\n",
    ),
    sample(
        "replay",
        "threads, sockets, processes and logs in the core",
        replay__loop="""
            import asyncio
            import threading  # !
            import logging.handlers  # !
            from socket import socket as connect  # !
            def f():
                import subprocess  # !
                connect()  # !
                return asyncio.to_thread(f)  # !
            from asyncio import to_thread  # !
        """,
    ),
    sample(
        "replay",
        "the same one floor up, and names that are only spoken of",
        worker__pool="import threading\nimport socket\nimport asyncio\nasyncio.to_thread(f)\n",
        replay__guard="""
            import asyncio
            from stent.replay import threading_words
            REFUSED = {"socket.socket", "threading.Thread", "asyncio.to_thread"}
            class Loop:
                def to_thread(self):
                    return self.to_thread()
        """,
    ),
]
