"""Streams: typed events in order, fields as they are written, one result, and a connection closed with its reader."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit import CopywritingInput, CopywritingServiceV11, Settings
from copykit.brief.prompt import Prompt, RepairPrompt
from copykit.errors import InternalError, NoProviderSucceeded, ProviderUnavailable, TruncatedStream
from copykit.models import Usage
from copykit.providers.base import Completion
from copykit.providers.registry import register_provider, unregister_provider
from copykit.settings import RoutingSettings
from copykit.streaming import (
    FieldDelta,
    FieldDone,
    FieldMended,
    FieldReader,
    StreamEvent,
    StreamFailed,
    StreamFinished,
    StreamStarted,
    as_mapping,
)
from copykit.testing import FakeProvider

TEXT = "Norr, the oak desk. See it today."
BRIEF = CopywritingInput(product_description="Oak desk", product_name="Norr", target_platform="x.post")


class Streaming(FakeProvider):
    """A fake that gives its next answer in pieces of seven characters; *breaks* after so many of them."""

    def __init__(self, name: str = "streaming", breaks: int | None = None) -> None:
        super().__init__(name, f"{name}-1")
        self.breaks = breaks
        self.closed = False
        self.hold: asyncio.Event | None = None

    async def stream(self, prompt: Prompt) -> AsyncIterator[str | Completion]:
        """Give the pieces, and last the whole."""
        completion = await self.complete(prompt)
        try:
            for number, at in enumerate(range(0, len(completion.text), 7)):
                if number == self.breaks:
                    raise TruncatedStream("cut")
                if self.hold is not None and number == 8:
                    await self.hold.wait()
                yield completion.text[at : at + 7]
            yield completion
        finally:
            self.closed = True


@pytest.fixture
def writer() -> Iterator[Streaming]:
    """A registered provider that streams."""
    provider = Streaming()
    register_provider("streaming", lambda: provider)
    yield provider
    unregister_provider("streaming")


def desk(*targets: str) -> CopywritingServiceV11:
    """Give a service over *targets*."""
    return CopywritingServiceV11(Settings(routing=RoutingSettings(targets)))


def events_of(*targets: str, request: CopywritingInput = BRIEF) -> list[StreamEvent]:
    """Collect one stream."""

    async def story() -> list[StreamEvent]:
        async with aclosing(desk(*targets).stream(request)) as events:
            return [event async for event in events]

    return asyncio.run(story())


def test_fields_come_as_they_are_written(writer: Streaming) -> None:
    """Deltas add up to the text that is told whole with its checks; the result comes last, with its receipt."""
    writer.will_say({"text": TEXT})
    events = events_of("streaming")
    assert events[0] == StreamStarted("x.post", "en")
    deltas = [event for event in events if isinstance(event, FieldDelta)]
    assert len(deltas) > 3
    assert "".join(delta.text for delta in deltas) == TEXT
    done = next(event for event in events if isinstance(event, FieldDone))
    assert (done.variant, done.field, done.text) == (0, "text", TEXT)
    last = events[-1]
    assert isinstance(last, StreamFinished)
    assert last.output.variants[0].fields["text"] == TEXT
    assert last.output.receipt.served_by == "streaming:streaming-1"


def test_copy_out_of_the_cache_is_told_in_the_same_order(writer: Streaming) -> None:
    """It begins and ends as copy that is written does; its texts come whole."""
    writer.will_say({"text": TEXT})

    async def story() -> list[list[StreamEvent]]:
        async with desk("streaming") as service:
            return [[event async for event in service.stream(BRIEF)] for _ in range(2)]

    written, cached = asyncio.run(story())
    assert [type(event) for event in cached] == [StreamStarted, FieldDone, StreamFinished]
    assert cached[0] == written[0]
    assert cached[1] == next(event for event in written if isinstance(event, FieldDone))
    last = cached[-1]
    assert isinstance(last, StreamFinished)
    assert last.output.cached
    assert len(writer.asked) == 1


def test_what_is_mended_afterwards_is_told(writer: Streaming) -> None:
    """A text that failed is shown with its violation, then replaced by the one that was asked for again."""
    writer.will_say({"text": "Norr, the oak desk, only 99 EUR."}, json.dumps({"texts": {"1": TEXT}}))
    events = events_of("streaming")
    done = next(event for event in events if isinstance(event, FieldDone))
    assert [v.rule for v in done.violations if v.severity == "error"] == ["C-03"]
    mended = next(event for event in events if isinstance(event, FieldMended))
    assert (mended.field, mended.text, mended.rule) == ("text", TEXT, "C-03")
    assert isinstance(writer.asked[1], RepairPrompt)


def test_a_repair_is_told_when_it_is_made_by_the_number_that_was_shown(writer: Streaming) -> None:
    """The first of three variants is asked for again and the result puts another first: its mend names the first."""
    texts = ["Norr for 99 EUR.", TEXT, "Norr, the oak desk, oiled by hand. See it today."]
    again = Completion(text=json.dumps({"texts": {"1": "Norr, the oak desk. Take a look."}}))
    writer.will_say(json.dumps({"variants": [{"fields": {"text": text}} for text in texts]}), again)
    events = events_of(
        "streaming", request=BRIEF.model_copy(update={"variants": 3, "key_points": ["Oiled by hand"]})
    )
    assert [(e.variant, e.text) for e in events if isinstance(e, FieldDone)] == list(enumerate(texts))
    (mended,) = (event for event in events if isinstance(event, FieldMended))
    assert (mended.variant, mended.field, mended.text) == (0, "text", "Norr, the oak desk. Take a look.")
    assert (mended.rule, mended.how) == ("C-03", "asked again")
    assert [v.rule for v in mended.violations] == ["M-01"]  # short, as is remarked of it
    shown = [mended.text, *texts[1:]]
    last = events[-1]
    assert isinstance(last, StreamFinished)
    assert sorted(last.order) == [0, 1, 2]
    assert last.order[0] == 2
    assert [variant.fields["text"] for variant in last.output.variants] == [shown[at] for at in last.order]


def test_an_item_that_is_dropped_is_told_as_empty(writer: Streaming) -> None:
    """Of two alike the second goes; what stood behind it moves up, and its old place is empty."""
    fields = {"text": TEXT, "hashtags": ["#Oak", "#Oak", "#Desk"]}
    writer.will_say(fields)
    events = events_of("streaming", request=BRIEF.model_copy(update={"target_platform": "instagram.caption"}))
    mended = {event.field: (event.text, event.rule) for event in events if isinstance(event, FieldMended)}
    assert mended == {"hashtags[1]": ("#Desk", "M-12"), "hashtags[2]": ("", "M-12")}


def test_events_are_json(writer: Streaming) -> None:
    """Each has its kind and its fields; the result is as `generate` gives it, an error has code and message."""
    writer.will_say({"text": "Norr, the oak desk, only 99 EUR."}, json.dumps({"texts": {"1": TEXT}}))
    told = [json.loads(json.dumps(as_mapping(event))) for event in events_of("streaming")]
    assert list(dict.fromkeys(one["event"] for one in told)) == [
        "started",
        "delta",
        "field",
        "mended",
        "finished",
    ]
    assert told[0] == {"event": "started", "placement": "x.post", "language": "en"}
    (done,) = (one for one in told if one["event"] == "field")
    assert [v["rule"] for v in done["violations"] if v["severity"] == "error"] == ["C-03"]
    assert told[-1]["output"]["text"] == TEXT
    failed = as_mapping(StreamFailed(ProviderUnavailable("down")))
    error = {"code": "provider_unavailable", "message": "down", "retryable": True}
    assert failed == {"event": "failed", "error": error}


def test_no_other_model_goes_on_with_what_was_shown(writer: Streaming) -> None:
    """A stream that breaks after its first text ends in an error; the next target is not asked."""
    writer.breaks = 9
    writer.will_say({"text": TEXT})
    events = events_of("streaming", "phrasebank")
    assert any(isinstance(event, FieldDelta) for event in events)
    last = events[-1]
    assert isinstance(last, StreamFailed)
    assert isinstance(last.error, TruncatedStream)
    assert len(writer.asked) == 1


def test_before_the_first_text_the_next_target_is_asked(writer: Streaming) -> None:
    """A target that fails before it gave anything falls back as in any call."""
    writer.will_say(ProviderUnavailable("down", status=503))
    last = events_of("streaming", "phrasebank")[-1]
    assert isinstance(last, StreamFinished)
    assert last.output.receipt.served_by.startswith("phrasebank:")


def test_a_writer_that_cannot_stream_gives_whole_fields() -> None:
    """The phrase bank's texts come at once, each with its checks."""
    events = events_of("phrasebank", request=BRIEF.model_copy(update={"target_platform": "google_ads.rsa"}))
    fields = [event.field for event in events if isinstance(event, FieldDone)]
    assert "headlines[0]" in fields
    assert "descriptions[0]" in fields
    assert isinstance(events[-1], StreamFinished)


def test_a_reader_that_leaves_closes_the_connection(writer: Streaming) -> None:
    """The provider's stream is closed at once, its slot is free, and nothing is stored."""

    async def story() -> dict[str, Any]:
        writer.hold = asyncio.Event()
        service = desk("streaming")
        async with aclosing(service.stream(BRIEF)) as events:
            async for event in events:
                if isinstance(event, FieldDelta):
                    break
        assert writer.closed
        state: dict[str, Any] = service.engine.router.look()["targets"]["streaming"]
        return state

    writer.will_say({"text": TEXT})
    assert asyncio.run(story())["in_progress"] == 0


def test_a_failure_is_the_last_event(writer: Streaming) -> None:
    """Where no target answers, the stream ends with the error that `generate` would raise."""
    writer.will_say(ProviderUnavailable("down", status=503))
    last = events_of("streaming")[-1]
    assert isinstance(last, StreamFailed)
    assert isinstance(last.error, NoProviderSucceeded)


def test_a_defect_ends_a_stream_too(writer: Streaming) -> None:
    """Its reader gets an end as of any failure; it tells the kind alone, and holds the defect as its cause."""
    defect = KeyError("sk-words of a defect")
    writer.will_say(defect)
    last = events_of("streaming")[-1]
    assert isinstance(last, StreamFailed)
    assert isinstance(last.error, InternalError)
    assert last.error.__cause__ is defect
    assert [a.outcome for a in last.error.attempts] == ["internal_error"]
    told = as_mapping(last)["error"]
    assert told == {
        "code": "internal_error",
        "message": "an unexpected error (KeyError)",
        "retryable": False,
    }


def test_a_stream_of_something_else_is_the_providers_failure(writer: Streaming) -> None:
    """What is neither text nor a completion is told by its type, and the next target is asked."""

    async def numbers(prompt: Prompt) -> AsyncIterator[Any]:
        yield 7

    writer.stream = numbers  # type: ignore[method-assign,assignment]
    last = events_of("streaming", "phrasebank")[-1]
    assert isinstance(last, StreamFinished)
    first = last.output.receipt.attempts[0]
    assert first.outcome == "provider_protocol"
    assert "gave a int instead of text" in (first.reason or "")


def test_usage_of_a_stream_is_in_its_receipt(writer: Streaming) -> None:
    """Tokens come with the last piece."""
    usage = Usage(input_tokens=5, output_tokens=6)
    text = json.dumps({"variants": [{"fields": {"text": TEXT}}]})
    writer.will_say(Completion(text=text, model="streaming-1", usage=usage))
    last = events_of("streaming")[-1]
    assert isinstance(last, StreamFinished)
    assert last.output.usage.output_tokens == 6


VALUES = st.text(max_size=30)


@given(
    st.lists(st.tuples(VALUES, st.lists(VALUES, max_size=4)), min_size=1, max_size=3),
    st.integers(min_value=1, max_value=9),
    st.booleans(),
    st.sampled_from(["", "Here it is:\n```json\n"]),
)
def test_any_answer_is_read_alike_however_it_is_cut(
    variants: list[tuple[str, list[str]]], size: int, ascii_only: bool, before: str
) -> None:
    """Texts, deltas and labels are those of the whole answer, whatever the pieces and the escapes."""
    answer = {
        "variants": [{"fields": {"text": t, "tags": tags, "odd": "x"}, "parts": []} for t, tags in variants]
    }
    raw = before + json.dumps(answer, ensure_ascii=ascii_only)
    if any("\ud800" <= c <= "\udfff" for c in raw):
        return
    reader = FieldReader(frozenset({"text", "tags"}))
    whole: dict[tuple[int, str], str] = {}
    parts: dict[tuple[int, str], str] = {}
    for at in range(0, len(raw), size):
        for variant, label, text, done in reader.feed(raw[at : at + size]):
            if done:
                whole[variant, label] = text
            else:
                parts[variant, label] = parts.get((variant, label), "") + text
    expected = {(n, "text"): t for n, (t, _) in enumerate(variants)}
    expected |= {
        (n, f"tags[{at}]"): tag for n, (_, tags) in enumerate(variants) for at, tag in enumerate(tags)
    }
    assert whole == expected
    assert {key: text for key, text in expected.items() if text} == parts


def test_a_single_text_of_a_list_field_is_its_first(writer: Streaming) -> None:
    """Models give one text where a list is wanted: it is told under the name that the result has."""
    writer.will_say({"text": TEXT, "hashtags": "#Oak"})
    request = BRIEF.model_copy(update={"target_platform": "instagram.caption"})
    events = events_of("streaming", request=request)
    assert [e.field for e in events if isinstance(e, FieldDone)] == ["text", "hashtags[0]"]
    assert not [e for e in events if isinstance(e, FieldMended) and e.field == "hashtags"]


def test_a_reader_that_takes_nothing_stops_the_reading_of_its_provider() -> None:
    """What is not taken is bounded, and once it is taken the rest comes, whole and in order."""

    class Long(FakeProvider):
        given = 0

        async def stream(self, prompt: Prompt) -> AsyncIterator[str | Completion]:
            text = "Oak desk. " * 20_000
            yield '{"variants": [{"fields": {"text": "'
            for at in range(0, len(text), 1_000):
                self.given += 1_000
                yield text[at : at + 1_000]
            yield '"}}]}'
            yield Completion(text=json.dumps({"variants": [{"fields": {"text": text}}]}), model="long-1")

    provider = Long("long", "long-1")
    register_provider("long", lambda: provider)

    async def story() -> tuple[int, str]:
        said = []
        async with aclosing(desk("long").stream(BRIEF)) as events:
            async for event in events:
                if isinstance(event, FieldDelta):
                    said.append(event.text)
                    if len(said) == 1:
                        await asyncio.sleep(0.05)
                        held = provider.given
        return held, "".join(said)

    try:
        held, said = asyncio.run(story())
    finally:
        unregister_provider("long")
    assert held <= 2 * 32 * 1024
    assert said == "Oak desk. " * 20_000
