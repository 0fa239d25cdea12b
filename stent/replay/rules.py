"""What an orchestrator may not use: one table of rules for the guard, the watch and `stent check`.

Rules of this file:
- a code never changes its meaning and is never used again; each has a section in docs/check.md;
- a name in a table is the object's own ("time.time"), not the one that a program gives it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that would not replay: why, and what to write instead."""

    code: str
    title: str
    why: str
    fix: str


_APART = "put it into a durable function of its own"

CLOCK = Rule("DET101", "wall clock", "reads the clock", "use Stent.now(): the same on every replay")
SLEEP = Rule("DET102", "blocking sleep", "blocks the worker", 'use await Stent.sleep("1s") or asyncio.sleep()')
CHANCE = Rule(
    "DET103",
    "chance",
    "is different on every replay",
    "use Stent.random() or Stent.uuid4(): the same on every replay",
)
ENVIRONMENT = Rule(
    "DET104",
    "environment",
    "reads the environment, which may be another one on replay",
    "read it in a durable function of its own",
)
FILES = Rule("DET105", "files", "does I/O, which a replay would do again", _APART)
NETWORK = Rule("DET106", "network and databases", "does I/O, which a replay would do again", _APART)
PROCESSES = Rule("DET107", "processes", "starts a process, which a replay would do again", _APART)
THREADS = Rule("DET108", "threads", "starts work that replay cannot see", _APART)
LOOP = Rule("DET109", "real I/O awaited", "waits for the outside world, which a replay would ask again", _APART)
SET_ORDER = Rule(
    "DET201",
    "order of a set",
    "comes in another order in another process",
    "sort it first: for name in sorted(names)",
)
IDENTITY = Rule(
    "DET202",
    "id() and hash()",
    "is another number in another process",
    "use a value of the program's own: a name, a counter, hashlib",
)
GLOBALS = Rule(
    "DET203",
    "mutable global",
    "is shared by all runs of the process and empty in the next one",
    "keep it in a local variable, or pass it as an argument",
)
UNAWAITED = Rule(
    "DET301",
    "unawaited durable call",
    "is started and nobody waits for it: its error is lost, and the run may end before it",
    "await it, gather it, or keep what it returns",
)

RULES: tuple[Rule, ...] = (
    *(CLOCK, SLEEP, CHANCE, ENVIRONMENT, FILES, NETWORK, PROCESSES, THREADS, LOOP),
    *(SET_ORDER, IDENTITY, GLOBALS, UNAWAITED),
)


def _names(module: str, names: str, rule: Rule) -> dict[str, Rule]:
    return {f"{module}.{name}": rule for name in names.split()}


FORBIDDEN: dict[str, Rule] = {
    **_names("time", "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time", CLOCK),
    **_names("time", "process_time_ns thread_time thread_time_ns localtime clock_gettime", CLOCK),
    **_names("time", "clock_gettime_ns", CLOCK),
    **_names("datetime", "datetime.now datetime.utcnow datetime.today date.today", CLOCK),
    **_names("os", "times", CLOCK),
    "time.sleep": SLEEP,
    **_names("random", "random randint randrange choice choices sample shuffle uniform triangular gauss", CHANCE),
    **_names("random", "betavariate expovariate gammavariate lognormvariate normalvariate vonmisesvariate", CHANCE),
    **_names("random", "paretovariate weibullvariate getrandbits randbytes seed SystemRandom", CHANCE),
    **_names("uuid", "uuid1 uuid4 getnode", CHANCE),
    **_names("os", "urandom getrandom", CHANCE),
    **_names("secrets", "token_bytes token_hex token_urlsafe randbelow randbits choice SystemRandom", CHANCE),
    **_names("os", "environ environb getenv getenvb getcwd getcwdb getpid getppid getlogin getuid uname", ENVIRONMENT),
    **_names("os", "cpu_count getloadavg", ENVIRONMENT),
    **_names("socket", "gethostname getfqdn", ENVIRONMENT),
    **_names("threading", "get_ident get_native_id", ENVIRONMENT),
    **_names("platform", "node uname platform", ENVIRONMENT),
    **_names("getpass", "getuser", ENVIRONMENT),
    **_names("builtins", "open input", FILES),
    **_names("io", "open open_code", FILES),
    **_names("os", "open read write listdir scandir walk stat lstat mkdir makedirs remove unlink rename", FILES),
    **_names("os", "replace rmdir truncate access", FILES),
    **_names("os.path", "exists isfile isdir getsize getmtime", FILES),
    **_names("shutil", "copy copyfile copytree rmtree move disk_usage which", FILES),
    **_names("tempfile", "mkstemp mkdtemp NamedTemporaryFile TemporaryFile TemporaryDirectory", FILES),
    **_names("pathlib", "Path.open Path.read_text Path.read_bytes Path.write_text Path.write_bytes", FILES),
    **_names("pathlib", "Path.exists Path.is_file Path.is_dir Path.iterdir Path.glob Path.rglob Path.stat", FILES),
    **_names("pathlib", "Path.mkdir Path.unlink Path.touch Path.cwd Path.home", FILES),
    **_names("glob", "glob iglob", FILES),
    **_names("socket", "socket create_connection getaddrinfo gethostbyname socketpair", NETWORK),
    **_names("urllib.request", "urlopen urlretrieve", NETWORK),
    **_names("http.client", "HTTPConnection HTTPSConnection", NETWORK),
    **_names("smtplib", "SMTP SMTP_SSL", NETWORK),
    **_names("ftplib", "FTP", NETWORK),
    **_names("sqlite3", "connect Connection", NETWORK),
    **_names("asyncio", "open_connection open_unix_connection start_server", LOOP),
    **_names("select", "select poll epoll", NETWORK),
    **_names("subprocess", "run Popen call check_call check_output getoutput getstatusoutput", PROCESSES),
    **_names("os", "system popen fork posix_spawn execv execve kill", PROCESSES),
    **_names("asyncio", "create_subprocess_exec create_subprocess_shell", PROCESSES),
    **_names("multiprocessing", "Process Pool", PROCESSES),
    **_names("threading", "Thread Timer", THREADS),
    **_names("_thread", "start_new_thread start_joinable_thread", THREADS),
    **_names("asyncio", "to_thread run_coroutine_threadsafe", THREADS),
    **_names("concurrent.futures", "ThreadPoolExecutor ProcessPoolExecutor", THREADS),
}
"""Dotted name of an object -> the rule that its use breaks."""

NOW_WITHOUT_ARGUMENTS: dict[str, int] = {"time.gmtime": 1, "time.ctime": 1, "time.strftime": 2, "time.asctime": 1}
"""Functions that read the clock unless they are given a time: with how many arguments they do not."""

FORBIDDEN_PACKAGES: dict[str, Rule] = dict.fromkeys(
    (
        *("requests", "httpx", "aiohttp", "urllib3", "psycopg", "psycopg2", "asyncpg", "redis", "boto3", "botocore"),
        *("pymongo", "motor", "aiofiles", "grpc", "websockets", "aiosqlite"),
    ),
    NETWORK,
)
"""Installed packages that exist to talk to the outside world."""
