"""Where the figures of several workers meet: a folder of files, made before the first and taken away after the last."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["FOLDER_VARIABLE", "figure_files"]

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def figure_files() -> Iterator[str]:
    """Have the workers that are started within add their figures up, and give the folder they do it in.

    It is passed on in the environment, which a worker must have before it imports `copykit.server`. A folder that the
    variable names already is used as it is and left alone; what dead workers of an earlier service counted would be
    added to it, so it should be empty.

    Raises:
        OSError: there is no room for temporary files (``TMPDIR`` says where).
    """
    if told := os.environ.get(FOLDER_VARIABLE):
        yield told
        return
    folder = tempfile.mkdtemp(prefix="copykit-figures-")
    os.environ[FOLDER_VARIABLE] = folder
    try:
        yield folder
    finally:
        os.environ.pop(FOLDER_VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)
