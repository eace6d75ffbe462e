"""Anthropic's messages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from copykit.brief.prompt import Prompt
from copykit.errors import ContentRefused, ContextTooLong, ProviderError, ProviderQuotaError
from copykit.models import Usage
from copykit.providers.base import BatchJobs, Completion, charge
from copykit.providers.facts import ModelFacts
from copykit.providers.remote import (
    Call,
    Headers,
    HiddenText,
    ListedModel,
    Remote,
    Repeats,
    by_status,
    count,
    document_of,
    listed,
    mapping,
    text_of,
    without_counts,
)
from copykit.settings import Secret, Settings

if TYPE_CHECKING:
    from copykit.accel.http import HttpClient
    from copykit.providers.events import Event

__all__ = ["VERSION", "Anthropic", "accepted", "failure", "usage_of"]

VERSION = "2026-10-21"
"""Of the interface; the first in which the key travels as a bearer token."""

_STOPS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that a failure told inside of a stream would have had."""
_SPENT = frozenset({"contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded"})
_OPENINGS: tuple[tuple[str, type[ProviderError]], ...] = (
    ("prompt is too long", ContextTooLong),
    ("input length and `max_tokens` exceed context limit", ContextTooLong),
    ("your credit balance is too low", ProviderQuotaError),
)
"""How messages begin of what has no name but ``invalid_request_error``."""
_CHARACTERS_PER_TOKEN = 4


class Anthropic(Remote):
    """Anthropic's models.

    Args:
        version: of the interface; gateways that know only older ones want one before `VERSION`, and the key as
            ``x-api-key``, which follows from it.
        repeats: which beginnings were sent of late; only those that come again are written to the vendor's cache.
    """

    name = "anthropic"
    facts_name: ClassVar[str] = "anthropic"
    _models_path: ClassVar[str] = "/v1/models?limit=1000"

    def __init__(
        self,
        *,
        key: Secret | None,
        base_url: str | None = None,
        version: str | None = None,
        model: str | None = None,
        client: HttpClient | None = None,
        repeats: Repeats | None = None,
    ) -> None:
        super().__init__(key=key, base_url=base_url, model=model, client=client)
        self._version = version or VERSION
        self._repeats = repeats or Repeats()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make one with the key and address of *settings*; `ConfigurationError` without a key."""
        own = settings.providers
        return cls(key=own.anthropic_key, base_url=own.anthropic_base_url, version=own.anthropic_version)

    def _listed(self, row: dict[str, Any]) -> ListedModel:
        return ListedModel(
            text_of(row.get("id")),
            context=count(row.get("max_input_tokens")),
            output=count(row.get("max_tokens")),
            retires=text_of(row.get("retires_at")) or None,
        )

    def _headers(self) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "anthropic-version": self._version,
        }
        if self._key is None:
            return headers
        if self._version < VERSION:
            return headers | {"x-api-key": HiddenText(self._key.reveal())}
        return headers | {"authorization": HiddenText(f"Bearer {self._key.reveal()}")}

    def _encode(self, prompt: Prompt, model: str, facts: ModelFacts, max_tokens: int, streamed: bool) -> Call:
        temperature = facts.at(prompt.temperature)
        words = prompt.freedom if temperature is None else ""
        beginning: dict[str, Any] = {"type": "text", "text": "\n".join(filter(None, (prompt.rules, words)))}
        long = len(prompt.rules) >= facts.cached_from * _CHARACTERS_PER_TOKEN
        if long and self._repeats.again(model, beginning["text"]):
            beginning["cache_control"] = {"type": "ephemeral"}
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": max_tokens,
            "system": [beginning, {"type": "text", "text": prompt.fence}],
            "messages": [{"role": "user", "content": prompt.user}],
        }
        if temperature is not None:
            body["temperature"] = temperature
        config: dict[str, Any] = {}
        if facts.schema:
            config["format"] = {"type": "json_schema", "schema": accepted(prompt.schema)}
        if facts.effort:
            config["effort"] = facts.effort
        if config:
            body["output_config"] = config
        if streamed:
            body["stream"] = True
        return Call(model, "/v1/messages", body, max_tokens)

    def _read(self, document: dict[str, Any], headers: Headers) -> Completion:
        if document.get("type") == "error":
            raise failure_inside(document, headers)
        blocks = [mapping(block, "a block") for block in listed(document.get("content"), "content")]
        text = "".join(text_of(block.get("text")) for block in blocks if block.get("type") == "text")
        usage = usage_of(document.get("usage"))
        return _ended(
            Completion(
                text=text,
                model=text_of(document.get("model")) or None,
                usage=usage,
                stop=text_of(document.get("stop_reason")) or None,
                request_id=headers.get("request-id") or text_of(document.get("id")) or None,
            ),
            document.get("stop_details"),
        )

    def _reader(self, headers: Headers) -> MessageReader:
        return MessageReader(headers)

    def _failure(self, status: int, headers: Headers, document: Any) -> ProviderError:
        return failure(status, headers, document)

    def batch_jobs(self) -> BatchJobs | None:
        """Give what submits batch jobs."""
        from copykit.providers.anthropic_jobs import AnthropicJobs  # only who submits some pays for it

        return AnthropicJobs(self)


def accepted(schema: dict[str, Any]) -> dict[str, Any]:
    """Rewrite *schema* to the subset that is accepted, as the vendor's own client would: no counts, choices untyped."""
    return _untyped(without_counts(schema))


def _untyped(schema: dict[str, Any]) -> dict[str, Any]:
    changed = {key: value for key, value in schema.items() if key != "type" or "enum" not in schema}
    if "items" in schema:
        changed["items"] = _untyped(schema["items"])
    if "properties" in schema:
        changed["properties"] = {name: _untyped(part) for name, part in schema["properties"].items()}
    return changed


class MessageReader:
    """Collects the events of a streamed message, whose end is ``message_stop``."""

    def __init__(self, headers: Headers) -> None:
        self.done = False
        self._headers = headers
        self._texts: list[str] = []
        self._usage: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._delta: dict[str, Any] = {}

    def take(self, event: Event) -> str:
        """Take one event; give its text."""
        told = document_of(event.data.encode(), self._headers)
        kind = told.get("type")
        if kind == "error":
            raise failure_inside(told, self._headers)
        if kind == "message_start":
            self._message = mapping(told.get("message"), "the message")
            self._count(self._message.get("usage"))
        elif kind == "content_block_delta":
            delta = mapping(told.get("delta"), "the delta")
            if delta.get("type") == "text_delta":
                self._texts.append(text_of(delta.get("text")))
                return self._texts[-1]
        elif kind == "message_delta":
            self._delta |= mapping(told.get("delta"), "the delta")
            self._count(told.get("usage"))
        elif kind == "message_stop":
            self.done = True
        return ""

    def _count(self, told: Any) -> None:
        # counts are totals up to here, and an end that leaves some out does not take them back
        if isinstance(told, dict):
            self._usage |= {name: value for name, value in told.items() if value is not None}

    def usage(self) -> Usage | None:
        """Give what was told of the cost up to here."""
        return usage_of(self._usage) if self._usage else None

    def completion(self) -> Completion:
        """Give the whole answer."""
        return _ended(
            Completion(
                text="".join(self._texts),
                model=text_of(self._message.get("model")) or None,
                usage=self.usage(),
                stop=text_of(self._delta.get("stop_reason")) or None,
                request_id=self._headers.get("request-id") or text_of(self._message.get("id")) or None,
            ),
            self._delta.get("stop_details"),
        )


def _ended(completion: Completion, details: Any) -> Completion:
    """Refuse what ended in a refusal or at the end of the context; name the other ends as everywhere."""
    if completion.stop == "refusal":
        category = text_of(details.get("category")) if isinstance(details, dict) else ""
        refused = ContentRefused("the model declined to write", category=category or "refusal")
        raise charge(refused, completion.usage)
    if completion.stop == "model_context_window_exceeded":
        raise charge(ContextTooLong("prompt and answer exceed what the model reads"), completion.usage)
    return replace(completion, stop=_STOPS.get(completion.stop or "", completion.stop))


def usage_of(value: Any) -> Usage | None:
    """Read a ``usage`` object; its input leaves out what the cache held or took, so all three are added up."""
    if not isinstance(value, dict):
        return None
    plain = count(value.get("input_tokens"))
    written = count(value.get("cache_creation_input_tokens"))
    read = count(value.get("cache_read_input_tokens"))
    details = value.get("output_tokens_details")
    return Usage.model_construct(
        input_tokens=None if plain is None else plain + (written or 0) + (read or 0),
        output_tokens=count(value.get("output_tokens")),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count(details.get("thinking_tokens")) if isinstance(details, dict) else None,
        cost_usd=None,
    )


def failure_inside(document: dict[str, Any], headers: Headers) -> ProviderError:
    """Map a failure told inside of a 200, by the status it would have had."""
    error = document.get("error")
    kind = text_of(error.get("type")) if isinstance(error, dict) else ""
    return failure(_STATUS.get(kind, 502), headers, document)


def failure(status: int, headers: Headers, document: Any) -> ProviderError:
    """Map a failure of this wire format to the error tree."""
    error = document.get("error") if isinstance(document, dict) else None
    told = error if isinstance(error, dict) else {}
    kind, message = text_of(told.get("type")), text_of(told.get("message"))
    details = told.get("details")
    code = text_of(details.get("error_code")) if isinstance(details, dict) else ""
    found = by_status(status, " ".join(filter(None, (code or kind, message))), headers)
    if status == 404 and not kind:
        return ProviderError(found.message + " (no such address?)", status=status, retryable=False)
    if kind == "billing_error" or code in _SPENT:
        return ProviderQuotaError(found.message, status=status)
    if kind == "invalid_request_error":
        for opening, better in _OPENINGS:
            if message.lower().startswith(opening):
                return better(found.message, status=status)
    return found
