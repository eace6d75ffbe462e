"""copykit: a brief in, publishable marketing copy out.

>>> from copykit import sync
>>> result = sync.generate(product_description="Oak desk, 120x60 cm", target_platform="x")

The names below always exist; what they need is imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from copykit.accel.registry import register_candidate
    from copykit.errors import CopykitError, InvalidRequest, MissingExtra
    from copykit.models import Brand, CopyVariant, CopywritingInput, CopywritingOutput, FieldOverride
    from copykit.performance import PerformanceConfig
    from copykit.providers.registry import register_provider
    from copykit.service import CopywritingService, CopywritingServiceV11
    from copykit.settings import Settings
    from copykit.stats import PerformanceTracker

__all__ = [
    "Brand",
    "CopyVariant",
    "CopykitError",
    "CopywritingInput",
    "CopywritingOutput",
    "CopywritingService",
    "CopywritingServiceV11",
    "FieldOverride",
    "InvalidRequest",
    "MissingExtra",
    "PerformanceConfig",
    "PerformanceTracker",
    "Settings",
    "register_candidate",
    "register_provider",
]

_HOME = {
    "Brand": "models",
    "CopyVariant": "models",
    "CopykitError": "errors",
    "CopywritingInput": "models",
    "CopywritingOutput": "models",
    "CopywritingService": "service",
    "CopywritingServiceV11": "service",
    "FieldOverride": "models",
    "InvalidRequest": "errors",
    "MissingExtra": "errors",
    "PerformanceConfig": "performance",
    "PerformanceTracker": "stats",
    "Settings": "settings",
    "register_candidate": "accel.registry",
    "register_provider": "providers.registry",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("copykit")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'copykit' has no attribute {name!r}")
    value = getattr(import_module(f"copykit.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
