"""Samples of raising, catching and patching."""

from __future__ import annotations

from tests.tidy.planted import Sample, sample

SAMPLES: list[Sample] = [
    sample(
        "borders",
        "broad handlers without a reason",
        worker__turns="""
            import contextlib
            import builtins
            try: ...
            except:  # !
                ...
            try: ...
            except Exception:  # noqa: BLE001  # !
                ...
            try: ...
            except (ValueError, BaseException) as error:  # !
                ...
            try: ...
            except* Exception:  # !
                ...
            try: ...
            except builtins.Exception:  # !
                ...
            # border:
            try: ...
            except Exception:  # border:  # !
                note = "# border: a string is no comment"
            with contextlib.suppress(Exception):  # !
                ...
            # border: too far away

            try: ...
            except Exception:  # !
                ...
        """,
    ),
    sample(
        "borders",
        "broad handlers with a reason, narrow ones without",
        worker__turns="""
            from contextlib import suppress
            try: ...
            except Exception:  # border: the user's function may raise anything
                ...
            try: ...
            # border: a listener outlives whatever its callbacks do,
            # and says so in the log
            except BaseException:
                ...
            try: ...
            except (ValueError, ExceptionGroup):
                ...
            try: ...
            except errors.Exception:
                ...
            with suppress(KeyError):
                ...
            # border: closing must not hide the first error
            with suppress(Exception):
                ...
        """,
    ),
    sample(
        "raises",
        "errors without a name",
        app="""
            import builtins
            def f(error):
                raise Exception("no")  # !
            def g():
                raise RuntimeError  # !
            def h():
                raise builtins.BaseException() from None  # !
        """,
    ),
    sample(
        "raises",
        "errors with one",
        app="""
            class Stop(RuntimeError): ...
            def f(error):
                if error: raise error
                if isinstance(error, RuntimeError): raise Stop
                raise errors.RuntimeError("ours")
            def g():
                try: ...
                except RuntimeError: raise
                future.set_exception(RuntimeError("asyncio's own words"))
                raise NotImplementedError
        """,
    ),
    sample(
        "patching",
        "setting what others own",
        worker__pool="""
            import asyncio
            import asyncio.tasks as tasks
            import sys
            from datetime import datetime
            from stent import clock
            asyncio.sleep = f  # !
            tasks._GatheringFuture.__hash__ = f  # !
            datetime.now = f  # !
            clock.now = f  # !
            asyncio.events.depth += 1  # !
            del sys.stdout  # !
            setattr(asyncio, "sleep", f)  # !
            delattr(sys, name)  # !
            asyncio.x: int = 1  # !
            def f():
                import json
                json.dumps, other = f, g  # !
                for json.loads in []: ...  # !
        """,
        clock="now = 1\n",
        replay__loop="import asyncio\nasyncio.tasks._GatheringFuture.__eq__ = f  # !\n",
    ),
    sample(
        "patching",
        "setting what is ours, reading what is theirs, the one line that is permitted",
        replay__loop="import asyncio\nasyncio.tasks._GatheringFuture.__hash__ = f\n",
        worker__pool="""
            import asyncio
            import signal
            from stent.registry import default
            default.name = "x"
            sleep = asyncio.sleep
            self.asyncio = asyncio
            asyncio.create_task(f())
            def f(signal, other):
                signal.name = "x"
                setattr(other, "name", "x")
                del other.asyncio
            class Pool:
                asyncio = None
                def g(self):
                    self.asyncio.sleep = f
            loops[asyncio.sleep] = 1
        """,
        registry="class default: ...\n",
    ),
]
