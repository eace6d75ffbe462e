"""The result file while it is being written: one JSON object a line, resumable after any kind of death.

Lines are written in the order of the jobs, so what a killed run left is a prefix of the whole. Resuming
checks that the run is the same one (same input, same parameters), cuts off a line that was half written, and
goes on after the rest. Finished lines whose turn has not come, and calls in the air, stand beside it (`Underway`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from copykit.errors import InvalidRequest
from copykit.feeds.underway import Losses, Underway, Worst
from copykit.models import BatchLine

__all__ = ["Journal", "differences", "read_lines", "replace_file", "whole_lines"]


class Journal:
    """An append-only file of `BatchLine` and the sidecar that says which run it belongs to."""

    def __init__(self, path: Path, parameters: Mapping[str, Any]) -> None:
        self.path = path
        self.sidecar = path.with_name(path.name + ".run.json")
        self.underway = Underway(path.with_name(path.name + ".underway.jsonl"))
        """What is begun and not yet written; there while the run is unfinished."""
        self.done = 0
        """Lines in the file."""
        self._parameters = json.loads(json.dumps(parameters))
        self._stream: Any = None

    def start(self, *, overwrite: bool = False) -> None:
        """Begin a new file.

        Raises:
            InvalidRequest: a run lies there and *overwrite* is false, or a run is writing it now.
        """
        if not overwrite and self.path.exists() and self.path.stat().st_size:
            raise self.refusal(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open()
        # in this order, so that dying in between never leaves old lines beside a new note or the reverse
        self.sidecar.unlink(missing_ok=True)
        self.underway.remove()
        self._stream.truncate(0)
        self._note(finished=False)
        self.underway.open()

    def refusal(self, path: Path) -> InvalidRequest:
        """Say why *path*, this file or one that was made from it, is not written over."""
        if not self.sidecar.exists():
            reason = "exists, and no run is noted beside it; --overwrite replaces it, another --out keeps it"
        elif self._finished():
            reason = "holds a finished run; --resume exports it again, --overwrite writes it anew"
        else:
            reason = "holds an unfinished run; --resume goes on with it, --overwrite starts anew"
        return InvalidRequest("out", str(path), reason)

    def resume(self, worst: Worst = lambda place, target: None) -> bool:
        """Go on with the file, or start a new one where there is none; True if the run was already finished.

        Args:
            worst: asked for calls that were in the air when the run was killed and to which nothing was promised.

        Raises:
            InvalidRequest: the run that left it had another input or other parameters (all are named), its
                note is missing, or a run is writing it now.
        """
        empty = not self.path.exists() or self.path.stat().st_size == 0
        if empty and not self.sidecar.exists():
            self.start()
            return False
        note = self._read_note()
        if different := differences(note.get("parameters", {}), self._parameters):
            raise InvalidRequest("resume", str(self.path), "not the same run: " + "; ".join(different))
        finished = bool(note.get("finished"))
        if not self.path.exists():
            raise InvalidRequest(
                "resume", str(self.path), "its run is noted, but the file is gone; --overwrite starts anew"
            )
        self._open()
        keep = 0
        with self.path.open("rb") as stream:
            for raw in stream:
                if not raw.endswith(b"\n"):
                    break
                self.done += 1
                keep += len(raw)
        if keep < self.path.stat().st_size:
            self._stream.truncate(keep)
            finished = False
        self.underway.read(self.done, worst, Losses.of(note.get("lost", {})))
        if finished:
            self.underway.remove()
        else:
            self.underway.open()
        return finished

    def look(self, done: int, worst: Worst) -> None:
        """Take in what is under way beside a file of *done* whole lines; nothing is written, a run may be at it now.

        Raises:
            InvalidRequest: the run's note is damaged.
        """
        note = self._read_note() if self.sidecar.exists() else {}
        self.underway.read(done, worst, Losses.of(note.get("lost", {})))

    def last(self) -> BatchLine | None:
        """Give the last whole line, None in an empty file."""
        size = self.path.stat().st_size
        if not size:
            return None
        with self.path.open("rb") as stream:
            step = 1 << 16
            while True:
                stream.seek(max(0, size - step))
                tail = stream.read().rstrip(b"\n")
                if b"\n" in tail or step >= size:
                    break
                step *= 4
        return _parse(tail.rpartition(b"\n")[2], self.done)

    def write(self, line: BatchLine) -> BatchLine:
        """Append *line* and give what was written; once this returns, killing the process does not lose it.

        A line that was kept is written as it was then, byte for byte. A result that cannot be written as JSON (half a
        surrogate pair out of a model) becomes a failed line.
        """
        text = self.underway.ahead.get(self.done)
        if text is None:
            line, text = _written(line)
        rest = memoryview(text + b"\n")
        while rest:
            rest = rest[self._stream.write(rest) :]
        self.done += 1
        self.underway.written()
        return line

    def begin(self, place: int) -> BatchLine | None:
        """Note that the task that asks works on the line at *place*, counted from 0; give that line if it is kept."""
        return self.underway.begin(place)

    def keep(self, place: int, line: BatchLine) -> BatchLine:
        """Keep a line whose turn has not come and give it as it will be written; killing the process does not lose it."""
        line, text = _written(line)
        self.underway.keep(place, text)
        return line

    def finish(self) -> None:
        """Bring everything to the disk and note that the run is complete."""
        os.fsync(self._stream.fileno())
        self._note(finished=True)
        self.underway.remove()

    def close(self) -> None:
        """Close the file; what was written stays."""
        self.underway.close()
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        # unbuffered: one write per line, so a kill can tear only the last one
        self._stream = self.path.open("ab", buffering=0)
        try:
            import fcntl
        except ImportError:  # a system without file locks: two runs on one file are the user's to avoid
            return
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process, however it ends
        except OSError:
            self.close()
            raise InvalidRequest("out", str(self.path), "another run is writing it now") from None

    def _read_note(self) -> dict[str, Any]:
        try:
            note = json.loads(self.sidecar.read_text(encoding="utf-8"))
        except FileNotFoundError:
            reason = f"{self.sidecar.name} is missing: which run left it is unknown; --overwrite starts anew"
            raise InvalidRequest("resume", str(self.path), reason) from None
        except ValueError as error:
            raise InvalidRequest("resume", str(self.sidecar), f"is damaged: {error}") from None
        return note if isinstance(note, dict) else {}

    def _finished(self) -> bool:
        try:
            return bool(self._read_note().get("finished"))
        except InvalidRequest:
            return False

    def _note(self, *, finished: bool) -> None:
        note = {"finished": finished, "parameters": self._parameters}
        if self.underway.lost.calls:
            note["lost"] = self.underway.lost.as_dict()
        text = json.dumps(note, ensure_ascii=False, indent=1)
        with replace_file(self.sidecar) as stream:
            stream.write(text.encode() + b"\n")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what differs between two runs' parameters, with both values."""

    def shown(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    return [
        f"{name} was {shown(before.get(name))}, now {shown(now.get(name))}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


def read_lines(path: Path) -> Iterator[BatchLine]:
    """Give the lines of a result file in order.

    Raises:
        InvalidRequest: a line is not a `BatchLine`.
    """
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            yield _parse(raw, number)


def whole_lines(path: Path) -> Iterator[BatchLine]:
    """Give the lines of a result file that a run may be writing: half a line at its end, or no file, is none.

    Raises:
        InvalidRequest: a line is not a `BatchLine`.
    """
    if not path.exists():
        return
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            if raw.endswith(b"\n"):
                yield _parse(raw, number)


def _written(line: BatchLine) -> tuple[BatchLine, bytes]:
    """Give *line* as it can be written, and its JSON."""
    try:
        return line, line.model_dump_json().encode()
    except ValueError as problem:
        reason = f"the result cannot be written: {problem}"
        error = {"code": "output_invalid", "message": reason, "reason": "the result cannot be written"}
        line = line.model_copy(update={"status": "failed", "error": error, "output": None})
        return line, line.model_dump_json().encode()


def _parse(raw: bytes, number: int) -> BatchLine:
    try:
        return BatchLine.model_validate_json(raw)
    except ValueError as error:
        raise InvalidRequest(
            "out", raw[:60].decode(errors="replace"), f"line {number} is not a result line"
        ) from error


class replace_file:
    """Write a file so that its name never shows half of it: ``with replace_file(path) as stream``.

    The bytes go to a neighbour of *path* and take its name at the end; on an error the neighbour goes.
    A name that ends in ``.gz`` is packed, without a time stamp, so equal content gives equal files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._streams: list[Any] = []

    def __enter__(self) -> Any:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        raw = self._part.open("wb")
        self._streams = [raw]
        if self._path.suffix == ".gz":
            import gzip

            self._streams.append(gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))
        return self._streams[-1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raw = self._streams[0]
        for stream in reversed(self._streams[1:]):
            stream.close()
        if kind is None:
            raw.flush()
            os.fsync(raw.fileno())
        raw.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)
