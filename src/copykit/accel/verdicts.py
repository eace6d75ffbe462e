"""Whether installed libraries really work, found out in a process of their own.

A library that crashes, hangs or exits while it is imported takes only the child with it: the parent
notes it and starts another child for the rest. Run as ``python -m copykit.accel.verdicts TASK...``
it is that child; a task is ``module`` or ``capability:candidate``.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module

from copykit.errors import ConfigurationError

from . import registry

__all__ = ["Verdict", "judge"]

Verdict = tuple[str, str]
"""State (``verified``, ``unusable`` or ``absent``) and reason."""


def judge(tasks: Sequence[str], *, timeout_s: float = 60.0) -> dict[str, Verdict]:
    """Import each module and verify each candidate of *tasks* in child processes; give the verdicts.

    Args:
        tasks: ``module`` or ``capability:candidate``.
        timeout_s: Longest time for one task; a library that takes longer is unusable. Heavy ones need
            several seconds with cold disk caches.
    """
    verdicts: dict[str, Verdict] = {}
    left = list(tasks)
    while left:
        started = None
        for name, state, reason in _child(left, timeout_s):
            if state == "started":
                started = name
            else:
                verdicts[name] = (state, reason)
        if started is None:  # the interpreter itself does not start: nothing more can be learnt
            verdicts.update(dict.fromkeys(left, ("unusable", "no child process could be started")))
        elif started not in verdicts:
            verdicts[started] = ("unusable", f"crashed or took more than {timeout_s:g} s")
        left = [name for name in left if name not in verdicts]
    return verdicts


def _child(tasks: Sequence[str], timeout_s: float) -> Iterator[tuple[str, str, str]]:
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109 -- "" in sys.path means this
    command = [sys.executable, "-P", "-W", "ignore", "-m", "copykit.accel.verdicts", *tasks]
    process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        encoding="utf-8",
    )
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout is not None  # noqa: S101 -- for the type checker
    output = process.stdout

    def read() -> None:
        for line in output:
            lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while (line := lines.get(timeout=timeout_s)) is not None:
            name, state, reason = json.loads(line)
            yield name, state, reason
    except queue.Empty:
        pass
    finally:
        process.kill()
        process.wait()
        reader.join()
        output.close()


def main(tasks: Sequence[str]) -> None:
    """Judge *tasks* in this process and write a line of JSON before and after each."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # some libraries greet on standard output while they are imported
    for task in tasks:
        print(json.dumps([task, "started", ""]), file=answers, flush=True)
        state, reason = _judge(task)
        print(json.dumps([task, state, reason]), file=answers, flush=True)
    answers.flush()
    os._exit(0)  # some libraries crash or wait in their exit handlers


def _judge(task: str) -> Verdict:
    capability, _, candidate = task.rpartition(":")
    try:
        if capability:
            registry.load(capability, candidate)
        elif not registry.is_present(task):
            return "absent", ""
        else:
            import_module(task)
    except ConfigurationError as error:
        return "unusable", str(error).partition(": ")[2].partition(": ")[2] or str(error)
    except BaseException as error:
        return "unusable", f"import failed: {type(error).__name__}: {error}"[:200]
    return "verified", ""


if __name__ == "__main__":
    main(sys.argv[1:])
