"""All groups of faults, imported for what they enter into the catalogue."""

from . import briefs, content, ends, output, providers, streams

__all__ = ["briefs", "content", "ends", "output", "providers", "streams"]
