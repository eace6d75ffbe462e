"""What NVIDIA's management library says of this machine's GPUs; nothing where there is none.

Asked through the driver's own library: importing an array library for it would take hundreds of megabytes of the GPU.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

__all__ = ["Gpu", "gpus"]

_LIBRARY = "libnvidia-ml.so.1"
_OK = 0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment."""

    index: int
    """As the driver counts them, from 0."""
    utilization: float | None
    """Share of the last moments in which it computed, 0 to 1; None where the driver does not tell."""
    used_bytes: int
    size_bytes: int


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def gpus() -> tuple[Gpu, ...]:
    """Give all GPUs that can be asked; the first time loads the driver's library, which may take a second."""
    library = _library()
    if library is None:
        return ()
    count = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _OK:
        return ()
    return tuple(gpu for index in range(count.value) if (gpu := _gpu(library, index)) is not None)


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(_LIBRARY)
        return library if library.nvmlInit_v2() == _OK else None
    except (OSError, AttributeError):  # no driver, or one from before 2012
        return None


def _gpu(library: Any, index: int) -> Gpu | None:
    device, memory, busy = ctypes.c_void_p(), _Memory(), _Utilization()
    if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device)) != _OK:
        return None
    if library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) != _OK:
        return None
    told = library.nvmlDeviceGetUtilizationRates(device, ctypes.byref(busy)) == _OK
    return Gpu(index, busy.gpu / 100 if told else None, memory.used, memory.total)
