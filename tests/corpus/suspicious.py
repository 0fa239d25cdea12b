"""Orchestrators that replay although they look as if they did not."""

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
    # time that is not now
    Value("datetime(2026, 1, 1).isoformat()", "from datetime import datetime"),
    Value("str(timedelta(days=3) * 2)", "from datetime import timedelta"),
    Value("datetime.fromisoformat('2026-01-01T00:00:00').year", "from datetime import datetime"),
    Value("datetime.fromtimestamp(0, UTC).isoformat()", "from datetime import datetime, UTC"),
    Value("date(2026, 2, 28).strftime('%A')", "from datetime import date"),
    Value("time.strptime('2026', '%Y').tm_year", "import time"),
    Value("time.strftime('%Y', (2026, 1, 1, 0, 0, 0, 3, 1, 0))", "import time"),
    Value("time.gmtime(0).tm_year", "import time"),
    Value("calendar.monthrange(2026, 2)[1]", "import calendar"),
    Value("now()", "def now():\n    return 'later'"),
    Value("clock['time']()", "clock = {'time': lambda: 5}"),
    Value("datetime.min.isoformat()", "from datetime import datetime"),
    # chance that is none
    Value("random.Random(5).random()", "import random"),
    Value("random.Random('seed').sample(range(100), 3)", "import random"),
    Value("[generator.randint(1, 6) for generator in [random.Random(1)]]", "import random"),
    Value("uuid.uuid5(uuid.NAMESPACE_DNS, 'shop').hex", "import uuid"),
    Value("uuid.UUID(int=7).hex", "import uuid"),
    Value("str(uuid.uuid3(uuid.NAMESPACE_URL, 'x'))", "import uuid"),
    Value("random()", "def random():\n    return 4"),
    Value("hashlib.sha256(b'oak').hexdigest()[:8]", "import hashlib"),
    Value("zlib.crc32(b'oak')", "import zlib"),
    Value("hmac.new(b'key', b'text', 'sha256').hexdigest()[:8]", "import hmac"),
    Value("secrets.compare_digest('a', 'a')", "import secrets"),
    # sets whose order does not matter
    Value("sorted(set(WORDS))"),
    Value("len(set(WORDS))"),
    Value("max(set(WORDS))"),
    Value("min(frozenset(WORDS))"),
    Value("sum(len(word) for word in set(WORDS))"),
    Value("any(word == 'oak' for word in set(WORDS))"),
    Value("all(len(word) > 2 for word in set(WORDS))"),
    Value("'oak' in set(WORDS)"),
    Value("set(WORDS) == {'oak'}"),
    Value("set(WORDS) >= {'oak', 'ash'}"),
    Value("sorted({word[0] for word in WORDS})"),
    Value("sorted(set(WORDS) - {'oak'})"),
    Value("sorted(set(WORDS) | {'box'})"),
    Value("sorted(set(WORDS) & {'oak', 'ash'})"),
    Value("sorted([word for word in set(WORDS)])"),
    Value("sorted(list(set(WORDS)))[0]"),
    Value("list({3, 1, 2})"),
    Value("list(set(range(5)))"),
    Value("[number * 2 for number in {1, 2, 3}]"),
    Value("list({'oak'})"),
    Value("{'oak'}.pop()"),
    Value("next(iter({7}))"),
    Value("list(dict.fromkeys(WORDS))"),
    Value("list({word: 1 for word in WORDS})"),
    Value("[word for word in WORDS if word in {'oak', 'ash'}]"),
    Value("' '.join(sorted({'b', 'a'}))"),
    Value("bool(set(WORDS) - set(WORDS))"),
    Value("list(collections.Counter(WORDS))", "import collections"),
    Value("list(collections.OrderedDict.fromkeys(WORDS))", "import collections"),
    Value("len({word.lower() for word in WORDS})"),
    Value("list(map(len, sorted(set(WORDS))))"),
    # identities and hashes that come out alike
    Value("id(WORDS) == id(WORDS)"),
    Value("(lambda first: first is first)(object())"),
    Value("hash(7)"),
    Value("hash(7) % 3"),
    Value("hash((1, 2, 3)) == hash((1, 2, 3))"),
    Value("hash('a') == hash('a')"),
    Value("id(WORDS) in {id(WORDS)}"),
    Value("copy.deepcopy({'a': [1, 2]})", "import copy"),
    Value("len({id(word): word for word in WORDS})"),
    # names that belong to somebody else
    Value("open('x')", "def open(name):\n    return name"),
    Value("id('x')", "def id(value):\n    return value"),
    Value("os.path.join('a', 'b')", "import os"),
    Value("os.path.basename('/a/b')", "import os"),
    Value("os.sep", "import os"),
    Value("os.fspath('x')", "import os"),
    Value("str(PurePosixPath('/a') / 'b')", "from pathlib import PurePosixPath"),
    Value("Path('a/b.txt').suffix", "from pathlib import Path"),
    Value("Path('a/b.txt').with_suffix('.md').name", "from pathlib import Path"),
    Value("io.StringIO('a\\nb').readline()", "import io"),
    Value("io.BytesIO(b'abc').read().decode()", "import io"),
    Value("socket.AF_INET.value", "import socket"),
    Value("socket.inet_aton('127.0.0.1').hex()", "import socket"),
    Value("urllib.parse.quote('a b')", "import urllib.parse"),
    Value("urllib.parse.urlparse('http://x/y').path", "import urllib.parse"),
    Value("shlex.split('a b')", "import shlex"),
    Value("subprocess.list2cmdline(['a', 'b c'])", "import subprocess"),
    Value("settings.environ['HOME']", "class settings:\n    environ = {'HOME': '/home'}"),
    Value("time(1)", "def time(value):\n    return value"),
    Value("Clock().now()", "class Clock:\n    def now(self):\n        return 'noon'"),
    # libraries with state of their own
    Value("re.sub('[aeiou]', '', 'willow')", "import re"),
    Value("json.loads(json.dumps({'b': 1, 'a': 2}))", "import json"),
    Value("str(decimal.Decimal('1.10') + 1)", "import decimal"),
    Value("str(fractions.Fraction(1, 3))", "import fractions"),
    Value("double(21)", "import functools\n@functools.lru_cache\ndef double(value):\n    return value * 2"),
    Value("list(itertools.islice(itertools.count(), 3))", "import itertools"),
    Value("list(itertools.permutations([1, 2, 3]))[1]", "import itertools"),
    Value("heapq.nsmallest(2, [3, 1, 2])", "import heapq"),
    Value("base64.b64encode(b'oak').decode()", "import base64"),
    Value("textwrap.shorten('a b c', 4)", "import textwrap"),
    Value("collections.deque([1, 2, 3], maxlen=2)[0]", "import collections"),
    Value("email.utils.parseaddr('a <b@c>')[1]", "import email.utils"),
    Value("string.Template('$a').substitute(a=1)", "import string"),
    Value("Colour.RED.name", "import enum\nclass Colour(enum.Enum):\n    RED = 1\n    BLUE = 2"),
    Value(
        "Order(1) == Order(1)", "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Order:\n    id: int"
    ),
    Value("statistics.median([3, 1, 2])", "import statistics"),
    Value("struct.pack('>I', 7).hex()", "import struct"),
    Value("list(difflib.get_close_matches('oka', WORDS))", "import difflib"),
    Value("operator.itemgetter(1)([1, 2])", "import operator"),
    Value("type(WORDS).__name__"),
)

_LOG = "import logging\nlog = logging.getLogger('corpus')"

PROGRAMS = (
    whole("tool_now", "return await ship(Stent.now().isoformat())"),
    whole("tool_random", "return await ship(Stent.random().random())"),
    whole("tool_choice", "return await ship(Stent.random().choice(WORDS))"),
    whole("tool_shuffle", "words = list(WORDS)\nStent.random().shuffle(words)\nreturn await ship(words)"),
    whole("tool_uuid", "return await ship(Stent.uuid4().hex)"),
    whole("tool_sleep", "await Stent.sleep('1h')\nreturn await ship(1)"),
    whole("tool_map", "return await Stent.map(ship, sorted(set(WORDS)))"),
    whole("tool_gather", "return await Stent.gather(*[ship(word) for word in sorted(set(WORDS))])"),
    whole("tool_patched", "if Stent.patched('a'):\n    await ship(1)\nreturn await ship(2)"),
    whole("loop_time", "return await ship(asyncio.get_running_loop().time())"),
    whole("logs", "log.warning('the time of a log line')\nreturn await ship(1)", _LOG),
    whole(
        "logs_an_error",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('no')\nreturn await ship(1)",
        _LOG,
    ),
    whole("warns", "warnings.simplefilter('ignore')\nwarnings.warn('old')\nreturn await ship(1)", "import warnings"),
    whole("prints", "print(end='')\nreturn await ship(1)"),
    whole("imports_inside", "import wave\nreturn await ship(wave.WAVE_FORMAT_PCM)"),
    whole(
        "traceback_text",
        "try:\n"
        "    1 / 0\n"
        "except ZeroDivisionError:\n"
        "    found = traceback.format_exc()\n"
        "return await ship(len(found) > 10)",
        "import traceback",
    ),
    whole(
        "set_of_tasks",
        "tasks = {asyncio.ensure_future(ship(word)) for word in WORDS}\n"
        "await asyncio.wait(tasks)\n"
        "return await ship(len(tasks))",
    ),
    whole(
        "first_completed",
        "tasks = {asyncio.create_task(ship(word)) for word in WORDS}\n"
        "done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)\n"
        "for each in pending:\n"
        "    each.cancel()\n"
        "return len(done)",
    ),
    whole(
        "as_completed",
        "found = []\n"
        "for each in asyncio.as_completed([ship(word) for word in WORDS]):\n"
        "    found.append(await each)\n"
        "return found",
    ),
    whole(
        "group",
        "async with asyncio.TaskGroup() as group:\n"
        "    for word in WORDS:\n"
        "        group.create_task(ship(word))\n"
        "return 1",
    ),
    whole("timeout", "async with asyncio.timeout(5):\n    return await ship(1)"),
    whole("wait_for", "return await asyncio.wait_for(ship(1), 5)"),
    whole("shield", "return await asyncio.shield(ship(1))"),
    whole("lock", "lock = asyncio.Lock()\nasync with lock:\n    return await ship(1)"),
    whole(
        "event",
        "event = asyncio.Event()\n"
        "async def set_it():\n"
        "    await ship(0)\n"
        "    event.set()\n"
        "async def wait():\n"
        "    await event.wait()\n"
        "    return await ship(1)\n"
        "return await asyncio.gather(wait(), set_it())",
    ),
    whole("queue", "queue = asyncio.Queue()\nqueue.put_nowait(3)\nreturn await ship(await queue.get())"),
    whole(
        "semaphore",
        "gate = asyncio.Semaphore(2)\n"
        "async def one(word):\n"
        "    async with gate:\n"
        "        return await ship(word)\n"
        "return await asyncio.gather(*map(one, WORDS))",
    ),
    whole(
        "barrier",
        "barrier = asyncio.Barrier(2)\n"
        "async def one(number):\n"
        "    await barrier.wait()\n"
        "    return await ship(number)\n"
        "return await asyncio.gather(one(1), one(2))",
    ),
    whole("sleep_zero", "await asyncio.sleep(0)\nreturn await ship(1)"),
    whole(
        "race_with_timer",
        "call = ship(1)\n"
        "timer = asyncio.create_task(asyncio.sleep(1))\n"
        "done, _ = await asyncio.wait([call, timer], return_when=asyncio.FIRST_COMPLETED)\n"
        "return len(done)",
    ),
    whole(
        "cancels", "call = asyncio.create_task(ship(1))\nawait asyncio.sleep(0)\ncall.cancel()\nreturn await ship(2)"
    ),
    whole(
        "context_variable",
        "current.set(3)\nreturn await ship(current.get())",
        "import contextvars\ncurrent = contextvars.ContextVar('current')",
    ),
    whole("generator", "def numbers():\n    yield from range(3)\nreturn [await ship(number) for number in numbers()]"),
    whole(
        "async_generator",
        "async def numbers():\n"
        "    for number in range(3):\n"
        "        yield await ship(number)\n"
        "return [number async for number in numbers()]",
    ),
    whole(
        "async_context",
        "import contextlib\n"
        "@contextlib.asynccontextmanager\n"
        "async def held():\n"
        "    yield await ship(1)\n"
        "async with held() as value:\n"
        "    return await ship(value)",
    ),
    whole(
        "exception_group",
        "try:\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        group.create_task(ship(1))\n"
        "        raise ValueError('x')\n"
        "except* ValueError:\n"
        "    pass\n"
        "return await ship(2)",
    ),
    whole("dispatch_table", "return await HANDLERS['a'](1)", "HANDLERS = {'a': ship, 'b': ship}"),
    whole(
        "registered_handlers",
        "return await ship(sorted(KNOWN))",
        "KNOWN = {}\n"
        "def register(function):\n"
        "    KNOWN[function.__name__] = function\n"
        "    return function\n"
        "@register\n"
        "def one(): ...\n"
        "@register\n"
        "def two(): ...",
    ),
    whole("constant_table", "return await ship(PRICES['oak'])", "PRICES = {word: len(word) for word in WORDS}"),
    whole("local_list", "found = []\nfor word in WORDS:\n    found.append(await ship(word))\nreturn found"),
    whole("shadowed_global", "COUNT = 3\nCOUNT += 1\nreturn await ship(COUNT)", "COUNT = 0"),
    whole(
        "own_object",
        "order = Order()\norder.lines.append(1)\norder.total = 7\nreturn await ship(order.total)",
        "class Order:\n    def __init__(self):\n        self.lines = []\n        self.total = 0",
    ),
    whole(
        "catches_os_error",
        "try:\n    return await ship(1)\nexcept (OSError, TimeoutError, subprocess.CalledProcessError):\n    return 2",
        "import subprocess",
    ),
    whole("only_mentions", "return await ship(time.__name__)", "import time"),
    whole(
        "annotated",
        "def late(since: datetime.datetime, lock: threading.Event | None = None) -> bool:\n"
        "    return since.year > 2000\n"
        "return await ship(late(datetime.datetime(2026, 1, 1)))",
        "import datetime\nimport threading",
    ),
    whole(
        "new_type",
        "return await weigh(Parcel(3))",
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Parcel:\n    weight: int\n"
        "@Stent.durable\nasync def weigh(parcel: Parcel) -> int:\n    return parcel.weight",
    ),
    whole("own_lock", "with threading.Lock():\n    value = 1\nreturn await ship(value)", "import threading"),
    whole("loop_over_numbers", "for number in {3, 1, 2}:\n    await ship(number)"),
    whole("loop_over_sorted", "for word in sorted(set(WORDS)):\n    await ship(word)"),
    whole("counts_over_set", "count = 0\nfor word in set(WORDS):\n    count += len(word)\nreturn await ship(count)"),
    whole(
        "set_to_set",
        "found = set()\nfor word in set(WORDS):\n    found.add(word.upper())\nreturn await ship(sorted(found))",
    ),
    whole(
        "waived",
        "log.info(time.time())  # stent: ok[DET101] for the log alone\nreturn await ship(1)",
        f"import time\n{_LOG}",
    ),
)

ALL: list[Program] = [
    *written("good", VALUES, (direct, in_helper, under_gather, in_library, after_a_timer, in_method), 2),
    *named("good", PROGRAMS),
]
