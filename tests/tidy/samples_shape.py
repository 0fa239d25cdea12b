"""Samples of sizes, docstrings, words and the mirror."""

from __future__ import annotations

from tests.tidy.planted import Sample, sample
from tests.tidy.shape import CLASS_METHODS, FILE_LINES, FUNCTION_LINES


def function_of(lines: int, mark: str = "") -> str:
    return f"async def f():{mark}\n" + "    pass\n" * (lines - 1)


def class_of(methods: int, mark: str = "", name: str = "Client") -> str:
    return f"class {name}:{mark}\n" + "".join(f"    def m{number}(self): ...\n" for number in range(methods))


OVERLOADS = "    @property\n    def size(self): ...\n    @size.setter\n    def size(self, value): ...\n"

SAMPLES: list[Sample] = [
    sample("sizes", "a file that is too long", app="x = 1  # !\n" + "\n" * FILE_LINES),
    sample("sizes", "a file that is just not too long", app="x = 1\n" * FILE_LINES),
    sample("sizes", "a function that is too long", app="x = 1\n" + function_of(FUNCTION_LINES + 1, "  # !")),
    sample("sizes", "a function that is just not too long", app="@decorated\n" * 3 + function_of(FUNCTION_LINES)),
    sample("sizes", "a class with too many methods", app=class_of(CLASS_METHODS + 1, "  # !")),
    sample("sizes", "the facade's name elsewhere", client=class_of(CLASS_METHODS + 1, "  # !", "Stent")),
    sample("sizes", "a class with just not too many", client=class_of(CLASS_METHODS - 1) + OVERLOADS + "    x = 1\n"),
    sample("sizes", "the facade", app=class_of(CLASS_METHODS + 1, name="Stent")),
    sample("docstrings", "none", app="import json  # !\n"),
    sample("docstrings", "an empty one", app='"""  """  # !\n'),
    sample("docstrings", "a comment instead", app="# The facade.  # !\n"),
    sample("docstrings", "a docstring after the imports", app='import json  # !\n"""The facade."""\n'),
    sample("docstrings", "a docstring, after a comment too", app='#!/bin/x\n"""The facade."""\n', ids='r"""Ids."""\n'),
    sample(
        "words",
        "in any case, number and place",
        worker__turns="""
            import x as job  # !
            STEPS_A_TURN = 1  # !
            class WorkflowTaskQueue: ...  # !
            class JobID: ...  # !
            def save_checkpoint(): ...  # !
            def f(step_count): ...  # !
            def g(*jobs): ...  # !
            for workflow_task in x: ...  # !
            self.last_step = 1  # !
            try: ...
            except E as step1: ...  # !
        """,
        worker__jobs="x = 1  # !\n",
    ),
    sample(
        "words",
        "words that contain them, words alone, and names that others gave",
        worker__turns="""
            from x import Job
            stepwise = jobless = 1
            def is_lopsided_workflow(): ...
            def task_of(tasks): ...
            class WorkflowRunTask: ...
            connection.checkpoint()
            scheduler(step=2, name="job")
            x = job.step + window.step
            note = "PRAGMA wal_checkpoint"  # a job in a comment
        """,
    ),
    Sample(
        "mirror",
        "tests of modules that do not exist",
        {
            "stent/history/fold.py": "",
            "stent/codec/__init__.py": "",
            "tests/test_gone.py": "x  # !\n",
            "tests/test_fold.py": "x  # !\n",
            "tests/history/test_folds.py": "x  # !\n",
            "tests/codec/test_codec.py": "x  # !\n",
            "tests/crashes/test_kill.py": "x  # !\n",
        },
    ),
    Sample(
        "mirror",
        "tests of modules that exist, and of more than one",
        {
            "stent/history/fold.py": "",
            "stent/codec/__init__.py": "",
            "tests/history/test_fold.py": "",
            "tests/history/test_fold_laws.py": "",
            "tests/test_codec.py": "",
            "tests/test_codec_laws.py": "",
            "tests/test_tidy.py": "",
            "tests/test_mission_examples.py": "",
            "tests/crash/test_kill.py": "",
            "tests/history/conftest.py": "",
            "tests/history/samples.py": "",
            "examples/test_anything.py": "",
        },
    ),
]
