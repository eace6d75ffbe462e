"""What all providers behind an address share: one exchange, its failures, its stream.

A provider's file adds its wire format: how a prompt is put, how an answer, a failure and a stream are read.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

from copykit.accel import json
from copykit.brief.prompt import Prompt, RepairPrompt
from copykit.drafts.parse import parse, parse_texts
from copykit.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ContentRefused,
    MalformedCompletion,
    ModelNotFound,
    ProviderError,
    ProviderProtocolError,
    ProviderQuotaError,
    ProviderUnavailable,
    RateLimited,
    TruncatedStream,
)
from copykit.models import Usage
from copykit.providers.base import BatchJobs, Completion, charge, charge_of
from copykit.providers.facts import ModelFacts, model_facts, provider_facts
from copykit.settings import Secret

if TYPE_CHECKING:
    from copykit.accel.http import HttpClient
    from copykit.providers.events import Event

__all__ = [
    "Call",
    "Headers",
    "HiddenText",
    "ListedModel",
    "Reader",
    "Remote",
    "Repeats",
    "by_status",
    "count",
    "document_of",
    "listed",
    "mapping",
    "presentable",
    "quietly",
    "refuse_unfinished",
    "retirement",
    "retry_after",
    "shown",
    "text_of",
    "well_formed",
    "without_counts",
    "without_keys",
]

Headers = Mapping[str, str]
"""Of an answer, names in lower case."""

T = TypeVar("T")

_MAX_TOLD = 400
"""Characters of a message; it is cut after keys are taken out of it, so that no part of one stays."""
_MAX_READ = 4_000
"""Characters of a provider's own words that are looked at."""
_BYTES_PER_TOKEN = 16
"""Beyond this share of the tokens asked for, a stream is no answer to what was asked."""
_MAX_TOKENS = 10**9
_WRAPPING = 2_048
"""Bytes of a request's body beside prompt and schema, at most."""
_MAX_BEGINNINGS = 256
_LISTING_S = 10.0
_MAX_ANSWER = 4 * 2**20
"""Bytes of one answer."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_KEY = re.compile(r"(?i)\b(?:sk|gsk)-[\w*.-]{4,}|\bAIza[\w*-]{4,}|\bbearer\s+\S+")


class HiddenText(str):
    """Text that does not show itself in the repr of what holds it: a header's value, where tools print variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Call(NamedTuple):
    """One exchange, ready to be sent."""

    model: str
    path: str
    """What follows the base address."""
    body: dict[str, Any]
    max_tokens: int
    """Most tokens of the answer, reasoning included."""


class ListedModel(NamedTuple):
    """A model as its provider lists it; what it does not tell is None."""

    name: str
    context: int | None = None
    """Most tokens it reads."""
    output: int | None = None
    """Most tokens it writes."""
    retires: str | None = None
    """When it ends, in the provider's own form."""


class Reader(Protocol):
    """Collects the events of one stream."""

    done: bool
    """Whether the format's end signal came."""

    def take(self, event: Event) -> str:
        """Take one event; give the text that came with it. Raises `ProviderError` for a failure told in it."""
        ...

    def completion(self) -> Completion:
        """Give the whole answer after the end; raises `ProviderError` as for a whole answer."""
        ...

    def usage(self) -> Usage | None:
        """Give what is known to be billed up to here."""
        ...


class Repeats:
    """Remembers which beginnings of prompts were sent of late.

    Writing to a provider's cache costs more than plain reading, so it pays from the second prompt on that begins
    alike, and never for a single one.

    Args:
        within_s: how long a provider keeps what it was given.
        clock: monotonic seconds.
    """

    def __init__(self, within_s: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._within_s, self._clock = within_s, clock
        self._seen: dict[tuple[str, str], float] = {}

    def again(self, model: str, beginning: str) -> bool:
        """Whether *beginning* went to *model* before, recently enough to pay; it is remembered from now on."""
        now, key = self._clock(), (model, beginning)
        before = self._seen.pop(key, None)
        if len(self._seen) >= _MAX_BEGINNINGS:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = now
        return before is not None and now - before < self._within_s


class Remote(ABC):
    """A provider behind an address: one exchange a call, no retry inside.

    Args:
        key: the credential; None where none is needed.
        base_url: the address, if not the provider's own.
        model: asked when a prompt names none; the default of ``data/models.toml`` if not given.
        client: what sends; opened at the first call if not given, and closed with the provider only then.
    """

    name: str
    facts_name: ClassVar[str]
    """Its table in ``data/models.toml``."""
    keeps_time: ClassVar[bool] = True
    """The HTTP client ends an exchange after `timeout_s`, connecting and the last byte included."""

    def __init__(
        self,
        *,
        key: Secret | None,
        base_url: str | None = None,
        model: str | None = None,
        client: HttpClient | None = None,
    ) -> None:
        self.facts = provider_facts(self.facts_name)
        if key is None and self.facts.keys:
            raise ConfigurationError(
                f"{self.name} needs a key: set {' or '.join(self.facts.keys)}, "
                f"or providers.{self.name}_key in copykit.toml"
            )
        self.base_url = (base_url or self.facts.base_url).rstrip("/")
        self._key = key
        secret = key.reveal() if key is not None else ""
        self._secret = secret if len(secret) >= _SHORTEST_SECRET else ""
        """What is looked for in all that comes back; empty for a dummy, which is a word like any other."""
        self._model = model or self.facts.model
        self._given = client
        self._opened: HttpClient | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    async def complete(self, prompt: Prompt) -> Completion:
        """Answer *prompt* in one exchange.

        Raises:
            ProviderError: the class says what went wrong; `charge_of` what it has cost all the same.
            ConfigurationError: no model is named, and the provider has no default and lists none.
        """
        call = await self._call(prompt, streamed=False)
        with self._told(call.model):
            document, headers = await self._document("POST", call.path, call.body)
            return self._finished(self._read(document, headers), prompt, call)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str | Completion]:
        """Give the answer's text as it comes, and last the `Completion`; an answer cut short is never that.

        Raises:
            TruncatedStream: the end signal did not come.
            ProviderError: as `complete` does, also after text was given.
        """
        from copykit.providers.events import EventStream  # only who streams pays for it

        call = await self._call(prompt, streamed=True)
        reader: Reader | None = None
        given = 0
        try:
            with self._told(call.model):
                async with self._client().stream(
                    "POST",
                    self.base_url + call.path,
                    headers=self._headers(),
                    body=json.dumps(call.body),
                    timeout_s=self.facts.timeout_s,
                ) as reply:
                    if reply.status != 200:
                        told = self._without_key(await reply.read())
                        raise self._failure(reply.status, reply.headers, quietly(told))
                    if reply.headers.get("content-type", "").startswith("application/json"):
                        # a failure told before the stream began, or a server that does not stream
                        whole = self._read(document_of(await reply.read(), reply.headers), reply.headers)
                        completion = self._finished(whole, prompt, call)
                        yield completion.text
                    else:
                        reader, events = self._reader(reply.headers), EventStream()
                        half = seen = held = ""
                        async for chunk in reply:
                            for event in events.feed(chunk):
                                if reader.done:  # what follows the end says nothing
                                    break
                                text, half = _cut_between_characters(half + reader.take(event))
                                if text:
                                    given += len(text.encode())
                                    if given > call.max_tokens * _BYTES_PER_TOKEN:
                                        raise ProviderProtocolError(
                                            "the stream is longer than what was asked for"
                                        )
                                    seen = (seen + text)[-_LOOKED_BACK - len(text) :]
                                    if self._holds_key(seen):
                                        raise ProviderProtocolError(_KEY_CAME_BACK)
                                    text, held = self._cut_before_key(held + text)
                                    if text:
                                        yield text
                            if reader.done:
                                break
                        if not reader.done:
                            raise TruncatedStream("the stream ended before its end signal")
                        completion = self._finished(reader.completion(), prompt, call)
                        if rest := held + well_formed(half):
                            yield rest
            yield completion
        except ProviderError as error:
            if reader is not None and charge_of(error) is None:
                # counts before the end are those of the beginning: what was written since is billed as well
                charge(error, reader.usage() if reader.done or not given else Usage())
            raise

    async def models(self) -> tuple[ListedModel, ...]:
        """List the provider's models: a call without cost that shows whether address and key are good.

        Raises:
            ProviderError: as `complete` does.
        """
        with self._told(""):
            document, _ = await self._document("GET", self._models_path, timeout_s=_LISTING_S)
            rows = listed(document.get(self._models_key), self._models_key)
            found = map(self._listed, (row for row in rows if isinstance(row, dict)))
            return tuple(
                row._replace(name=self._hidden(row.name), retires=row.retires and self._hidden(row.retires))
                for row in found
            )

    def batch_jobs(self) -> BatchJobs | None:
        """Give what submits batch jobs; None where this wire format, or who speaks it, has none."""
        return None

    async def aclose(self) -> None:
        """Close the connections, unless they are the caller's own."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    # what a wire format adds

    _models_path: ClassVar[str] = "/models"
    _models_key: ClassVar[str] = "data"

    @abstractmethod
    def _listed(self, row: dict[str, Any]) -> ListedModel:
        """Read one entry of the list of models."""

    @abstractmethod
    def _headers(self) -> dict[str, str]:
        """Give the headers of every call, the credential among them."""

    @abstractmethod
    def _encode(self, prompt: Prompt, model: str, facts: ModelFacts, max_tokens: int, streamed: bool) -> Call:
        """Put *prompt* into the wire format."""

    @abstractmethod
    def _read(self, document: dict[str, Any], headers: Headers) -> Completion:
        """Read a whole answer of status 200, which may tell a failure all the same."""

    @abstractmethod
    def _reader(self, headers: Headers) -> Reader:
        """Give what reads one stream."""

    @abstractmethod
    def _failure(self, status: int, headers: Headers, document: Any) -> ProviderError:
        """Map a failure to the error tree; *document* is its decoded body, or None."""

    # what the router asks before a call

    @property
    def timeout_s(self) -> float:
        """Seconds that one exchange may take."""
        return self.facts.timeout_s

    def model_of(self, prompt: Prompt) -> str:
        """Give the model that will be asked for *prompt*; empty if only the call finds that out."""
        return prompt.model or self._model

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """Give bounds of what a call for *prompt* is charged for: bytes sent, and tokens answered.

        The schema counts twice, since a format may add to it or repeat it; so do escapes of the text.
        """
        facts = model_facts(self.facts_name, self.model_of(prompt))
        text = len(json.dumps(prompt.system)) + len(json.dumps(prompt.user))
        sent = text + 2 * len(json.dumps(prompt.schema)) + _WRAPPING
        return sent, min(prompt.max_output_tokens + facts.room, facts.output)

    # the rest of one exchange

    def _client(self) -> HttpClient:
        if self._given is not None:
            return self._given
        if self._opened is None:
            from copykit.accel.http import open_client  # only who calls a provider pays for it

            self._opened = open_client()
        return self._opened

    async def _document(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        limit: int = _MAX_ANSWER,
    ) -> tuple[dict[str, Any], Headers]:
        """Make one exchange whose answer is a JSON object of at most *limit* bytes; give it and its headers."""
        reply = await self._client().request(
            method,
            self.base_url + path,
            headers=self._headers(),
            body=b"" if body is None else json.dumps(body),
            timeout_s=timeout_s or self.facts.timeout_s,
            limit=limit,
        )
        status, headers, told = reply.status, reply.headers, reply.body
        if status != 200:
            told = self._without_key(told)
            del reply  # some servers repeat the credential in what they say of it
            raise self._failure(status, headers, quietly(told))
        return document_of(told, headers), headers

    async def _call(self, prompt: Prompt, *, streamed: bool) -> Call:
        return self._put(prompt, prompt.model or self._model or await self._only_model(), streamed=streamed)

    def _put(self, prompt: Prompt, model: str, *, streamed: bool) -> Call:
        facts = model_facts(self.facts_name, model)
        # reasoning counts against the same maximum, which no model of its family exceeds
        max_tokens = min(prompt.max_output_tokens + facts.room, facts.output)
        return self._encode(prompt, model, facts, max_tokens, streamed)

    async def _only_model(self) -> str:
        """Give the model of a provider that has no default: the first that it lists."""
        listing = await self.models()
        if not listing:
            raise ConfigurationError(f"{self.name} lists no models: name one, {self.name}:model")
        self._model = listing[0].name
        return self._model

    @contextmanager
    def _told(self, model: str) -> Iterator[None]:
        """Name the target on each failure, and take from its message what may be the key."""
        try:
            yield
        except ProviderError as error:
            error.target = error.target or f"{self.name}:{model}".rstrip(":")
            hidden = self._hidden(error.message)
            if hidden != error.message:
                error.message, error.args = hidden, (hidden,)
            if isinstance(error, ContentRefused) and error.category is not None:
                error.category = self._hidden(error.category)
            raise

    def _without_key(self, body: bytes) -> bytes:
        return body.replace(self._secret.encode(), b"***") if self._secret else body

    def _hidden(self, text: str) -> str:
        if self._secret:
            text = text.replace(self._secret, "***")
        return without_keys(text)

    def _holds_key(self, text: str) -> bool:
        """Whether *text* gives the key back, spelt plainly or by JSON's escapes."""
        return bool(self._secret) and (
            self._secret in text or ("\\" in text and self._secret in _unescaped(text))
        )

    def _cut_before_key(self, text: str) -> tuple[str, str]:
        """Give *text* up to where the key may begin at its end, and the rest, which is not to be shown yet."""
        for size in range(min(len(self._secret) - 1, len(text)), 0, -1):
            if text.endswith(self._secret[:size]):
                return text[:-size], text[-size:]
        return text, ""

    def _finished(self, completion: Completion, prompt: Prompt, call: Call) -> Completion:
        """Refuse what is no whole answer; add what its reader should know."""
        completion = presentable(completion, self._hidden)
        if self._holds_key(completion.text):
            raise charge(ProviderProtocolError(_KEY_CAME_BACK), completion.usage)
        refuse_unfinished(completion, prompt, call.max_tokens)
        remarks = retirement(self.facts_name, call.model, date.today())
        served = completion.model or call.model
        return replace(completion, model=served, info=(*completion.info, *remarks))


_SHORTEST_SECRET = 8
"""Characters of the shortest key that anybody issues; what is shorter is a dummy for a server that wants none."""
_LOOKED_BACK = 2_000
"""Characters of a stream that are looked at again with each piece: longer than any key, also one that is all escapes."""
_KEY_CAME_BACK = "the answer holds the credential it was asked with"
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")


def _unescaped(text: str) -> str:
    """Give *text* with JSON's escapes resolved, whether it is JSON or not: as a reader of it would see it."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)


def without_keys(text: str) -> str:
    """Give a provider's own words with what looks like a credential taken out, fit to be told as `shown` has it."""
    return shown(_KEY.sub("***", text))


def shown(text: str) -> str:
    """Give a provider's own words fit for a log line, a receipt and a terminal.

    At most 400 characters; white space of any kind is a space, and what has no form of its own (control characters,
    turns of direction, halves of surrogate pairs) is U+FFFD.
    """
    text = text[:_MAX_TOLD]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def presentable(completion: Completion, tell: Callable[[str], str] = without_keys) -> Completion:
    """Give *completion* with text that can be encoded, and with what else the provider says as *tell* has it."""
    return replace(
        completion,
        text=well_formed(completion.text),
        model=completion.model and tell(completion.model),
        stop=completion.stop and tell(completion.stop),
        request_id=completion.request_id and tell(completion.request_id),
        info=tuple(map(tell, completion.info)),
    )


def well_formed(text: str) -> str:
    """Join surrogate pairs that came as two escapes; a half alone, which no encoding can hold, becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _cut_between_characters(text: str) -> tuple[str, str]:
    """Give *text* well formed, and apart from it the first half of a surrogate pair whose other half is to come."""
    end = len(text) - 1 if text and "\ud800" <= text[-1] <= "\udbff" else len(text)
    return well_formed(text[:end]), text[end:]


def refuse_unfinished(completion: Completion, prompt: Prompt, max_tokens: int) -> None:
    """Raise `MalformedCompletion` for an answer with nothing in it, or one cut in the middle at *max_tokens*."""
    if not completion.text.strip():
        why = f"reasoning took all {max_tokens} tokens" if completion.stop == "length" else "no text"
        raise charge(MalformedCompletion(f"the answer is empty: {why}", empty=True), completion.usage)
    if completion.stop == "length":
        whole = completion.text.rstrip().endswith(("}", "]", "```"))
        text = completion.text if whole else ""
        try:
            if isinstance(prompt, RepairPrompt):
                parse_texts(text, prompt.brief, len(prompt.wanted))
            else:
                parse(text, prompt.brief)
        except MalformedCompletion:
            cut = MalformedCompletion(f"the answer was cut at {max_tokens} tokens", excerpt=completion.text)
            raise charge(cut, completion.usage) from None


def retirement(provider: str, model: str, today: date) -> tuple[str, ...]:
    """Say of a model that is announced to go when it goes, from 90 days before on."""
    retires = model_facts(provider, model).retires
    if retires is None or (retires - today).days > 90:
        return ()
    return (f"{provider}:{model} is announced to end on {retires.isoformat()}",)


def by_status(
    status: int, told: str, headers: Headers, *, retry_after_s: float | None = None
) -> ProviderError:
    """Map an HTTP status, where the body said nothing more exact; *told* is the provider's own words.

    ``x-should-retry`` overrides what the status says of trying again, as in the vendors' own clients.
    """
    words = _CONTROL.sub(" ", told[:_MAX_READ]).strip()
    message = f"status {status}{f': {words}' if words else ''}"
    after = retry_after_s if retry_after_s is not None else retry_after(headers)
    error: ProviderError
    if status == 429:
        error = RateLimited(message, status=status, retry_after_s=after)
    elif status in (401, 403):
        error = AuthenticationFailed(message, status=status)
    elif status == 402:
        error = ProviderQuotaError(message, status=status)
    elif status == 404:
        error = ModelNotFound(message, status=status)
    elif status in (408, 409) or (status >= 500 and status != 501):
        error = ProviderUnavailable(message, status=status, retry_after_s=after)
    elif status >= 400:
        error = ProviderError(message, status=status, retryable=False)
    else:
        error = ProviderProtocolError(f"no answer but a status of {status}", status=status)
    wish = headers.get("x-should-retry")
    if wish in ("true", "false"):
        error.retryable = wish == "true"
    return error


def retry_after(headers: Headers) -> float | None:
    """Read how many seconds to wait: ``retry-after-ms``, else ``retry-after`` in seconds or as a date.

    A date is held against the answer's own ``date`` where it has one, since clocks differ. None for what is
    absent, unreadable or no time to come.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        told = headers.get(name, "").strip()[:64]
        if not told:
            continue
        try:
            seconds = float(told) * scale
        except ValueError:
            seconds = _seconds_until(told, headers.get("date", ""))
        if isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _seconds_until(told: str, now: str) -> float:
    end = _moment(told)
    if end is None:
        return -1.0
    return (end - (_moment(now[:64]) or datetime.now(UTC))).total_seconds()


def _moment(told: str) -> datetime | None:
    try:
        return parsedate_to_datetime(told).astimezone(UTC)
    except (ValueError, OverflowError):  # no date, or one that no calendar has
        return None


def document_of(body: bytes, headers: Headers) -> dict[str, Any]:
    """Decode an answer that has to be a JSON object; `ProviderProtocolError` for anything else."""
    try:
        value = json.loads(body)
    except ValueError:
        kind = _CONTROL.sub(" ", headers.get("content-type", ""))[:60]
        raise ProviderProtocolError(
            f"the answer is no JSON ({len(body)} bytes{f' of {kind}' if kind else ''})"
        ) from None
    return mapping(value, "the answer")


def quietly(body: bytes) -> Any:
    """Decode the body of a failure, which may be anything."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Give *value* if it is a JSON object, else raise `ProviderProtocolError`."""
    if not isinstance(value, dict):
        raise ProviderProtocolError(f"{what} is no object")
    return value


def listed(value: Any, what: str) -> list[Any]:
    """Give *value* if it is a list, else raise `ProviderProtocolError`."""
    if not isinstance(value, list):
        raise ProviderProtocolError(f"{what} is no list")
    return value


def without_counts(schema: dict[str, Any]) -> dict[str, Any]:
    """Give *schema* without bounds on the number of items, which not every provider knows; the prompt states them."""
    kept = {key: value for key, value in schema.items() if key not in ("minItems", "maxItems")}
    if "items" in kept:
        kept["items"] = without_counts(kept["items"])
    if "properties" in kept:
        kept["properties"] = {name: without_counts(inner) for name, inner in kept["properties"].items()}
    return kept


def text_of(value: Any) -> str:
    """Give *value* if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int | None:
    """Give a number of tokens, or None for what cannot be one: absent, negative, a text, beyond all measure."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_TOKENS:
        return value
    return None
