"""All groups of faults, imported for what they enter into the catalogue."""

from . import briefs, clients, configuration, content, ends, output, providers, streams

__all__ = ["briefs", "clients", "configuration", "content", "ends", "output", "providers", "streams"]
