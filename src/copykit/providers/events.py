"""Server-sent events from bytes, by the rules of the HTML standard (section 9.2.6, "Interpreting an event stream").

Pure and incremental: the same events come out however the bytes are cut. Fields that a provider's stream has no use
for (``id``, ``retry``) and comments are passed over; what is not UTF-8 becomes U+FFFD.
"""

from __future__ import annotations

from typing import NamedTuple

from copykit.errors import ProviderProtocolError, TruncatedStream

__all__ = ["MAX_EVENT_BYTES", "Event", "EventStream"]

MAX_EVENT_BYTES = 262_144
"""Largest event unless said otherwise."""

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event."""

    name: str
    """``message`` unless the stream says otherwise."""
    data: str
    """Its data lines, joined by line feeds."""


class EventStream:
    """Takes bytes as they come and gives the events that they complete.

    Args:
        max_event: Most bytes kept for one event; a line that has not ended counts too.
    """

    def __init__(self, max_event: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event
        self._line = bytearray()
        self._after_cr = False
        self._begun = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Give the events that end in *chunk*.

        Raises:
            ProviderProtocolError: an event is larger than allowed.
        """
        if not chunk:
            return []
        if self._after_cr:  # a line feed right behind belongs to the line that has ended
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        events: list[Event] = []
        for piece in chunk.splitlines(keepends=True):
            ended = piece.endswith((b"\n", b"\r"))
            self._line += piece.rstrip(b"\r\n") if ended else piece
            if len(self._line) + self._size > self._max:
                raise ProviderProtocolError(f"an event of the stream is larger than {self._max} bytes")
            if ended:
                self._take(events)
        self._after_cr = chunk.endswith(b"\r")
        return events

    def end(self) -> None:
        """Say that the bytes are over.

        Raises:
            TruncatedStream: they end within an event, whose part is dropped.
        """
        if self._line or self._data:
            raise TruncatedStream("the stream ended within an event")

    def _take(self, events: list[Event]) -> None:
        line = bytes(self._line)
        self._line.clear()
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                events.append(Event(self._name or "message", "\n".join(self._data)))
            self._name, self._data, self._size = "", [], 0
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value.decode(errors="replace"))
            self._size += len(value) + 1
        elif field == b"event":
            self._name = value.decode(errors="replace")
