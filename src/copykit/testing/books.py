"""A provider that keeps its own books: what it answers, and what it charges for it, seen from its side of the wire.

::

    books = Books({"well": 0.9, "silent": 0.1}, input_usd=100.0, output_usd=400.0)
    async with ScriptedServer(books) as server:
        ...                                  # calls in OpenAI's format to server.url + "/v1"
    assert books.usd == what_the_receipts_add_up_to
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from copykit.testing.servers import Received, Step, answer, chunked, reset

__all__ = ["FATES", "Books", "Entry"]

FATES = ("well", "wrong", "babble", "fails", "silent", "cut")
"""What may become of a call: copy that passes; copy that breaks a rule; no copy at all; status 500, which is not
charged; an answer that does not tell its tokens; an answer that breaks off, charged all the same."""

_PICO = 10**12
_GOOD = "Norr. Oak desk, 120x60 cm. Take a look at the details today."
_LOT = re.compile(rb"[Ll]ot (\d+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One call in the books."""

    lot: int | None
    """The number that the brief names as ``lot N``; None if it names none."""
    fate: str
    input_tokens: int
    output_tokens: int
    pico_usd: int
    """Charged, in trillionths of a dollar."""

    @property
    def told(self) -> bool:
        """Whether the caller is told what the call cost, or that it costs nothing."""
        return self.fate not in ("silent", "cut")


class Books:
    """Answers in OpenAI's format and writes down each call when it arrives: give it to a `ScriptedServer`.

    Args:
        fates: of `FATES` to how often each is met; all ``well`` if not given.
        input_usd: dollars a million tokens of the prompt; a token is four bytes of the body.
        output_usd: dollars a million tokens of the answer.
        late_s: seconds that an answer takes: any between these two.
        seed: another number, other fates.
    """

    def __init__(
        self,
        fates: Mapping[str, float] | None = None,
        *,
        input_usd: float = 100.0,
        output_usd: float = 400.0,
        late_s: tuple[float, float] = (0.0, 0.0),
        seed: int = 0,
    ) -> None:
        self.entries: list[Entry] = []
        self._fates = dict(fates or {"well": 1.0})
        self._rates = round(input_usd * 10**6), round(output_usd * 10**6)
        self._late_s = late_s
        self._dice = random.Random(seed)  # noqa: S311 -- fates of a test

    def __call__(self, received: Received) -> Step:
        """Write *received* down and give its answer."""
        if not received.path.endswith("/chat/completions"):
            return answer(404, json={"error": {"message": "no such page"}})
        (fate,) = self._dice.choices(list(self._fates), list(self._fates.values()))
        found = _LOT.search(received.body)
        read, written = len(received.body) // 4, self._dice.randrange(20, 60)
        charged = 0 if fate == "fails" else read * self._rates[0] + written * self._rates[1]
        self.entries.append(Entry(int(found[1]) if found else None, fate, read, written, charged))
        late_s = self._dice.uniform(*self._late_s)
        repair = b"variants" not in received.body  # a repair asks for single texts
        usage = {"prompt_tokens": read, "completion_tokens": written}
        step = _step(fate, usage, repair=repair, streamed=bool(received.json().get("stream")))
        return Step((late_s, *step.acts), step.then) if late_s else step

    @property
    def usd(self) -> float:
        """What all calls were charged."""
        return sum(entry.pico_usd for entry in self.entries) / _PICO

    @property
    def calls(self) -> int:
        """How many calls arrived."""
        return len(self.entries)

    def of_lots(self) -> Counter[int]:
        """Give how many calls arrived for each lot."""
        return Counter(entry.lot for entry in self.entries if entry.lot is not None)


def _step(fate: str, usage: dict[str, int], *, repair: bool, streamed: bool) -> Step:
    if fate == "fails":
        return answer(500, json={"error": {"message": "it failed"}})
    said = _said(fate, repair=repair)
    told = None if fate == "silent" else usage
    whole = _streamed(said, told) if streamed else answer(json=_document(said, told))
    return reset(whole, after=200) if fate == "cut" else whole


def _said(fate: str, *, repair: bool) -> str:
    if fate == "babble":
        return json.dumps({"texts" if repair else "variants": []})
    text = f"{_GOOD} Only 9.99 USD!!!" if fate == "wrong" else _GOOD
    return json.dumps({"texts": {"1": text}} if repair else {"variants": [{"fields": {"text": text}}]})


def _document(said: str, usage: dict[str, int] | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": said}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "model": "books-1", "choices": [choice], "usage": usage}


def _streamed(said: str, usage: dict[str, int] | None) -> Step:
    pieces = [said[at : at + 24] for at in range(0, len(said), 24)]
    deltas: list[dict[str, Any]] = [{"delta": {"content": piece}, "finish_reason": None} for piece in pieces]
    deltas.append({"delta": {}, "finish_reason": "stop"})
    chunks: list[dict[str, Any]] = [
        {"id": "c1", "model": "books-1", "choices": [{"index": 0, **delta}]} for delta in deltas
    ]
    if usage is not None:
        chunks.append({"id": "c1", "model": "books-1", "choices": [], "usage": usage})
    lines = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return chunked(*lines, b"data: [DONE]\n\n")
