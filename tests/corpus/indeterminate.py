"""Orchestrators that do not replay: each kind of source, in each kind of place."""

from __future__ import annotations

from tests.corpus.writing import (
    Program,
    Value,
    after_a_timer,
    direct,
    in_helper,
    in_library,
    in_method,
    named,
    under_gather,
    whole,
    written,
)

VALUES = (
    Value("time.time()", "import time"),
    Value("time.time_ns()", "import time"),
    Value("monotonic()", "from time import monotonic"),
    Value("tick()", "from time import perf_counter as tick"),
    Value("time.localtime().tm_sec", "import time"),
    Value("time.strftime('%H:%M:%S')", "import time"),
    Value("time.ctime()", "import time"),
    Value("datetime.now().isoformat()", "from datetime import datetime"),
    Value("datetime.datetime.now(datetime.UTC).isoformat()", "import datetime"),
    Value("datetime.utcnow().isoformat()", "from datetime import datetime"),
    Value("date.today().isoformat()", "from datetime import date"),
    Value("os.times().elapsed", "import os"),
    Value("random.random()", "import random"),
    Value("randint(1, 10**9)", "from random import randint"),
    Value("random.choice(range(10**9))", "import random"),
    Value("random.sample(range(10**6), 3)", "import random"),
    Value("random.Random().random()", "import random"),
    Value("random.SystemRandom().random()", "import random"),
    Value("uuid.uuid4().hex", "import uuid"),
    Value("uuid1().hex", "from uuid import uuid1"),
    Value("os.urandom(4).hex()", "import os"),
    Value("secrets.token_hex()", "import secrets"),
    Value("secrets.randbelow(10**9)", "import secrets"),
    Value("os.environ.get('PYTHONHASHSEED')", "import os"),
    Value("os.getenv('PYTHONHASHSEED')", "import os"),
    Value("os.environ['PYTHONHASHSEED']", "import os"),
    Value("os.getpid()", "import os"),
    Value("os.getcwd()", "import os"),
    Value("socket.gethostname()", "import socket"),
    Value("platform.node()", "import platform"),
    Value("threading.get_ident()", "import threading"),
    Value("open(__file__).read(5)"),
    Value("Path(__file__).stat().st_mtime_ns", "from pathlib import Path"),
    Value("Path(__file__).read_text()[:5]", "from pathlib import Path"),
    Value("len(os.listdir('.'))", "import os"),
    Value("glob.glob('*')", "import glob"),
    Value("shutil.disk_usage('/').free", "import shutil"),
    Value("tempfile.mkdtemp()", "import tempfile"),
    Value("subprocess.check_output(['true']).decode()", "import subprocess"),
    Value("sqlite3.connect(':memory:').execute('select random()').fetchone()[0]", "import sqlite3"),
    Value("urllib.request.urlopen('http://127.0.0.1:9/').read()", "import urllib.request"),
    Value("email.utils.make_msgid()", "import email.utils"),
    Value("id(object())"),
    Value("hash('text')"),
    Value("hash(('a', 1))"),
    Value("repr(object())"),
    Value("list(set(WORDS))"),
    Value("next(iter(set(WORDS)))"),
    Value("set(WORDS).pop()"),
    Value("'-'.join(set(WORDS))"),
    Value("[word.upper() for word in frozenset(WORDS)]"),
    Value("str(set(WORDS))"),
    Value("sorted(WORDS, key=hash)"),
    Value("max(WORDS, key=hash)"),
    Value("logging.makeLogRecord({}).created", "import logging"),
)

_HIDDEN = """\
    import time, random, uuid, threading
    def hidden(owner, name):
        return getattr(owner, name)
"""

PROGRAMS = (
    whole("global_counter", "global COUNT\nCOUNT += 1\nreturn await ship(COUNT)", "COUNT = 0"),
    whole("global_list", "SEEN.append(1)\nreturn await ship(len(SEEN))", "SEEN = []"),
    whole("global_iterator", "return await ship(next(IDS))", "import itertools\nIDS = itertools.count()"),
    whole(
        "global_cache", "if 1 not in CACHE:\n    CACHE[1] = await ship(1)\nreturn await ship(CACHE[1])", "CACHE = {}"
    ),
    whole("class_attribute", "Shop.orders += 1\nreturn await ship(Shop.orders)", "class Shop:\n    orders = 0"),
    whole(
        "default_argument",
        "return await ship(seen(1))",
        "def seen(value, found=[]):\n    found.append(value)\n    return len(found)",
    ),
    whole("runs_once", "if not DONE:\n    DONE.add(1)\n    await ship('first')\nreturn await ship(2)", "DONE = set()"),
    whole("in_thread", "await ship(0)\nreturn await asyncio.to_thread(sum, [1, 2])"),
    whole("in_executor", "await ship(0)\nreturn await asyncio.get_running_loop().run_in_executor(None, sum, [1])"),
    whole("connection", "await ship(0)\nawait asyncio.open_connection('127.0.0.1', 9)"),
    whole("async_subprocess", "await ship(0)\nawait asyncio.create_subprocess_exec('true')"),
    whole("blocks", "time.sleep(0.001)\nreturn await ship(1)", "import time"),
    whole("thread", "threading.Thread(target=print).start()\nreturn await ship(1)", "import threading"),
    whole("hidden_thread", "hidden(threading, 'Thread')(target=print).start()\nreturn await ship(1)", _HIDDEN),
    whole("hidden_clock", "return await ship(hidden(time, 'time')())", _HIDDEN),
    whole("hidden_chance", "return await ship(hidden(random, 'random')())", _HIDDEN),
    whole("hidden_id", "return await ship(hidden(uuid, 'uuid4')().hex)", _HIDDEN),
    whole("swallowed", "try:\n    hidden(time, 'time')()\nexcept Exception:\n    pass\nreturn await ship(1)", _HIDDEN),
    whole("loop_over_set", "for word in set(WORDS):\n    await ship(word)"),
    whole("gather_over_set", "return await asyncio.gather(*[ship(word) for word in set(WORDS)])"),
    whole("map_over_set", "return await Stent.map(ship, list(set(WORDS)))"),
    whole(
        "group_over_set",
        "async with asyncio.TaskGroup() as group:\n    for word in set(WORDS):\n        group.create_task(ship(word))",
    ),
    whole("dict_from_set", "return await ship(list({word: 1 for word in set(WORDS)}))"),
    whole("set_difference", "for word in set(WORDS) - {'ash'}:\n    await ship(word)"),
    whole("returned_set_order", "await ship(1)\nreturn list(set(WORDS))"),
    whole("returned_address", "await ship(1)\nreturn id(object())"),
    whole(
        "hash_decides_how_often",
        "for number in range(hash('oak') % 997 % 90):\n    await ship(number)\nreturn await ship('end')",
    ),
    whole("clock_decides", "if time.time() > 0:\n    return await ship(1)\nreturn await ship(2)", "import time"),
    whole(
        "environment_decides",
        "if os.environ.get('PYTHONHASHSEED') == '1':\n    await ship(1)\nreturn await ship(2)",
        "import os",
    ),
    whole(
        "default_factory",
        "return await ship(Order().id)",
        "import uuid\nfrom dataclasses import dataclass, field\n"
        "@dataclass\nclass Order:\n    id: str = field(default_factory=lambda: uuid.uuid4().hex)",
    ),
    whole(
        "property_with_clock",
        "return await ship(Order().age)",
        "import time\nclass Order:\n    @property\n    def age(self):\n        return time.time()",
    ),
    whole(
        "context_manager",
        "with measured() as began:\n    return await ship(began)",
        "import time, contextlib\n@contextlib.contextmanager\ndef measured():\n    yield time.perf_counter()",
    ),
    whole(
        "measuring_decorator",
        "return await ship(price(1))",
        "import time, functools\ndef measured(function):\n    @functools.wraps(function)\n    def inner(*args):\n"
        "        began = time.perf_counter()\n        function(*args)\n        return time.perf_counter() - began\n"
        "    return inner\n@measured\ndef price(value):\n    return value",
    ),
    whole(
        "async_generator",
        "async for value in values():\n    await ship(value)",
        "import random\nasync def values():\n    yield random.random()",
    ),
    whole("error_text", "await ship(1)\nraise ValueError(f'late at {time.time()}')", "import time"),
    whole("in_finally", "try:\n    await ship(1)\nfinally:\n    await ship(random.random())", "import random"),
    whole("partial", "return await ship(now())", "import time, functools\nnow = functools.partial(time.time)"),
    whole("key_function", "return await ship(sorted(WORDS, key=lambda _word: random.random()))", "import random"),
    whole("as_callback", "return await ship(list(map(lambda _word: uuid.uuid4().hex, WORDS)))", "import uuid"),
    whole(
        "subclass_of_datetime",
        "return await ship(str(Moment.now()))",
        "import datetime\nclass Moment(datetime.datetime): pass",
    ),
    whole("address_of_a_function", "return await ship(str(lambda: 0))"),
    whole("shuffled", "words = list(WORDS)\nrandom.shuffle(words)\nreturn await ship(words)", "import random"),
)

ALL: list[Program] = [
    *written("bad", VALUES, (direct, in_helper, in_library, under_gather, after_a_timer, in_method), 2),
    *named("bad", PROGRAMS),
]
