"""Log lines: one a line whatever stands in it, as text or JSON, with the number of the request it belongs to."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Literal, TextIO

from copykit.errors import ConfigurationError, MissingExtra, nearest_names
from copykit.server.watch.redaction import Redactor, secrets_of

__all__ = ["FORMATS", "LEVELS", "Writer", "configure", "current", "tell", "writer"]

FORMATS = ("text", "json")
LEVELS = ("critical", "error", "warning", "info", "debug")

current: ContextVar[Mapping[str, Any] | None] = ContextVar("copykit_request", default=None)
"""State of the request that is being served; its ``request_id`` stands on each line written meanwhile."""

_QUIET = (
    *"httpcore httpcore2 httpx httpx2 hpack aiohttp redis sqlalchemy aiosqlite asyncpg sse_starlette urllib3".split(),
)
"""Libraries whose lines tell addresses, headers, statements or values: they speak from WARNING on."""
_OWN = ("copykit", "uvicorn", "_granian", "granian", "asyncio")
"""Loggers whose DEBUG lines are written. No other's: some write whole answers into them, copy and all."""
_OF_REQUEST = ("request_id", "trace_id")
_FIRST = ("timestamp", "level", "logger", "event", "request_id")
"""Fields at the beginning of a line, in this order; the rest follows by name."""
_SECOND_SPELLINGS = frozenset({"color_message", "message", "asctime"})
"""What uvicorn and other handlers' formatters leave on a record: the event and its time once more."""
_PLAIN = re.compile(r"[^\s\"=]+")


def configure(
    format: Literal["text", "json"] | str = "text",
    level: str = "info",
    *,
    stream: TextIO | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Send every log record of this process, of whatever library, to *stream* as lines of copykit's own form.

    Each line has ``timestamp`` (UTC), ``level``, ``logger``, ``event``, while a request is served its ``request_id``, and
    what else the record tells as fields. Control characters, line breaks and turns of direction are escaped, so that a
    value cannot begin a line; keys, tokens, addresses' passwords and queries, e-mails and telephone numbers become stars,
    and the values of secret variables of *environment* wherever they stand. Doing it again replaces the former setting.

    A server's own setup must not undo it: uvicorn is run with ``log_config=None, access_log=False``.

    Args:
        format: ``text`` for people, ``json`` for collectors: one object a line, ASCII only.
        level: the least that is written: critical, error, warning, info or debug; the last of copykit and its servers
            alone.
        stream: None is standard error.
        environment: None is the process's own.

    Raises:
        ConfigurationError: an unknown format or level.
        MissingExtra: structlog is not installed.
    """
    if problems := [
        f"{name}={value!r}: must be one of {', '.join(known)}; nearest: {', '.join(nearest_names(value, known)) or known[0]}"
        for name, value, known in (("log_format", format, FORMATS), ("log_level", level, LEVELS))
        if value not in known
    ]:
        raise ConfigurationError(problems)
    redactor = Redactor(secrets_of(os.environ if environment is None else environment))
    handler = _Lines(sys.stderr if stream is None else stream)
    handler.setFormatter(_Formatter(format, redactor))
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _Lines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    least = getattr(logging, level.upper())
    root.setLevel(max(logging.INFO, least))
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, least))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "_granian", "granian.access"):
        library = logging.getLogger(name)
        library.handlers.clear()  # it would write each line a second time, in its own form
        library.propagate = True
        library.setLevel(logging.NOTSET)
    for name in _OWN:
        logging.getLogger(name).setLevel(least)


def tell(logger: logging.Logger, event: str, fields: Mapping[str, Any], level: int = logging.INFO) -> None:
    """Log *event* with *fields* whose values copykit itself chose, none of them a client's words.

    A request's number is looked through like any text; the rest is written as it stands, at a third of the price of a
    record that goes through all steps.
    """
    if logger.isEnabledFor(level):
        logger.handle(_Told(logger.name, level, event, fields))


def writer(logger: logging.Logger, level: int) -> Writer | None:
    """Give what writes finished lines of *logger*, if nobody but `configure`'s own handler would hear of them.

    None if the level is not told, or if others listen: then `tell` is the way.
    """
    if not logger.isEnabledFor(level) or logger.handlers or logger.filters:
        return None
    handlers = logging.getLogger().handlers
    if len(handlers) != 1 or not isinstance(handlers[0], _Lines) or not logger.propagate:
        return None
    lines = handlers[0]
    at = (logger.name, level)
    found = lines.writers.get(at)
    if found is None:
        found = lines.writers[at] = Writer(lines, logger.name, level)
    return found


class Writer:
    """Writes lines whose every value copykit itself chose: numbers, and names of letters, digits, dots and dashes.

    What it leaves out are the record, the formatter and their steps, which take ten times as long as the line.
    """

    def __init__(self, lines: _Lines, name: str, level: int) -> None:
        self._lines = lines
        self._json = isinstance(lines.formatter, _Formatter) and lines.formatter.is_json
        word = logging.getLevelName(level).lower()
        self._head = (
            f'","level":"{word}","logger":"{name}","event":"' if self._json else f" {word:<8} {name} "
        )
        self._second, self._when = -1, ""

    def form(self, event: str, same: Mapping[str, str | int | bool], **others: str) -> str:
        """Give a line of *event* to be filled by ``%`` with its *others*, in their order.

        Args:
            same: fields that never change.
            others: how each of the rest is written: ``%s`` for a text, ``%d`` or the like for a number.
        """
        told = [self._field(name, value, isinstance(value, str)) for name, value in same.items()]
        told += [self._field(name, how, how == "%s") for name, how in others.items()]
        return event + ('"' if self._json else " |") + "".join(told)

    def _field(self, name: str, value: str | int | bool, is_text: bool) -> str:
        """Give one field; a text is quoted in JSON."""
        number = ("true" if value else "false") if isinstance(value, bool) else value
        if not self._json:
            return f" {name}={number}"
        return f',"{name}":"{value}"' if is_text else f',"{name}":{number}'

    def write(self, line: str) -> None:
        """Write what `form` gave, filled."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._when = datetime.fromtimestamp(second, UTC).isoformat()[:-6]
        begin, end = ('{"timestamp":"', "}\n") if self._json else ("", "\n")
        parts = int((now - second) * 1e6)
        self._lines.write_line(f"{begin}{self._when}.{parts:06d}Z{self._head}{line}{end}")


class _Told(logging.LogRecord):
    """A record of `tell`; other handlers see its fields as attributes, as those of ``extra``."""

    def __init__(self, name: str, level: int, event: str, fields: Mapping[str, Any]) -> None:
        super().__init__(name, level, __file__, 0, event, None, None)
        self.fields = fields
        self.__dict__.update(fields)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes a line with one call, and says in one line that a record could not be written."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.writers: dict[tuple[str, int], Writer] = {}
        """By logger and level."""
        self._waiting: list[str] = []
        """Finished lines of this turn of the event loop."""
        self._turn_of: asyncio.AbstractEventLoop | None = None

    def write_line(self, line: str) -> None:
        """Write a finished line, in one call with the others of this turn of the event loop: each call costs as much."""
        self.acquire()
        try:
            self._waiting.append(line)
            loop = asyncio.get_running_loop()
            if loop is not self._turn_of:
                self._turn_of = loop
                loop.call_soon(self._end_turn)
        except RuntimeError:  # no loop runs in this thread
            self.flush()
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, after the lines that were before it."""
        if self._waiting:
            self.flush()
        super().emit(record)

    def _end_turn(self) -> None:
        self._turn_of = None
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        self.acquire()
        try:
            waiting, self._waiting = self._waiting, []
            if waiting:
                self.stream.write("".join(waiting))
            super().flush()
        except (OSError, ValueError):  # a closed stream: there is nobody left to tell
            return
        finally:
            self.release()

    def handleError(self, record: logging.LogRecord) -> None:
        """Name the logger and the error's kind only: the library would print the record's arguments."""
        kind = sys.exc_info()[0]
        words = f"a log line could not be written: {kind.__name__ if kind else 'unknown'}"
        plain = logging.LogRecord(
            record.name, logging.ERROR, record.pathname, record.lineno, words, None, None
        )
        with suppress(Exception):  # a closed stream: there is nobody left to tell
            self.stream.write(self.format(plain) + self.terminator)
            self.flush()


class _Formatter(logging.Formatter):
    """Gives a record as one line: structlog's steps for records of any origin, a short way for those of `tell`."""

    def __init__(self, format: str, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self.is_json = format == "json"
        self._render = _as_json if self.is_json else _as_text
        self._steps = self._structlog()

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        if not isinstance(record, _Told):
            return self._steps.format(record)
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line: dict[str, Any] = {
            "timestamp": when.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.msg,
        }
        state = current.get()
        if state is not None:
            line |= {name: state[name] for name in _OF_REQUEST if name in state}
        line |= record.fields
        if "request_id" in line:
            line["request_id"] = self._redactor.text(line["request_id"])
        return self._render(None, "", line)

    def _structlog(self) -> logging.Formatter:
        try:
            structlog: Any = import_module("structlog")
        except ModuleNotFoundError:
            raise MissingExtra("structured logs", "structlog", "server") from None
        std = structlog.stdlib
        of_any_origin = [
            std.add_log_level,
            std.add_logger_name,
            std.ExtraAdder(),
            _add_request,
            structlog.processors.format_exc_info,
        ]
        time = structlog.processors.TimeStamper(fmt="iso", utc=True)
        last = [std.ProcessorFormatter.remove_processors_meta, self._redact, time, _ordered, self._render]
        steps: logging.Formatter = std.ProcessorFormatter(foreign_pre_chain=of_any_origin, processors=last)
        return steps

    def _redact(self, _: Any, __: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
        """Take out what must not be told, and what is too long."""
        return {
            name: self._redactor.end(str(value)) if name == "exception" else self._redactor.field(name, value)
            for name, value in line.items()
            if name not in _SECOND_SPELLINGS
        }


def _add_request(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the request that is being served; an event of the engine has a number of its own, which stays."""
    state = current.get()
    if state is not None:
        for name in _OF_REQUEST:
            if name in state:
                line.setdefault(name, state[name])
    return line


def _ordered(_: Any, __: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    first = {name: line[name] for name in _FIRST if name in line}
    return first | {name: line[name] for name in sorted(line) if name not in first}


def _as_json(_: Any, __: str, line: Mapping[str, Any]) -> str:
    # ASCII only: what a terminal or a collector takes for a line's end (U+2028, U+0085) is escaped as well
    return json.dumps(line, separators=(",", ":"), default=str).replace("\x7f", "\\u007f")


def _as_text(_: Any, __: str, line: Mapping[str, Any]) -> str:
    told = [f"{name}={_quoted(line[name])}" for name in line if name not in _FIRST[:4]]
    head = f"{line.get('timestamp')} {line.get('level', ''):<8} {line.get('logger')} {_escaped(str(line.get('event')))}"
    return _escaped(head) + (" | " + " ".join(told) if told else "")


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if not isinstance(value, str) or _PLAIN.fullmatch(text):
        return _escaped(text)
    return '"' + _escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _escaped(text: str) -> str:
    """Give *text* with everything that has no form of its own as an escape: line breaks, controls, turns of direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
