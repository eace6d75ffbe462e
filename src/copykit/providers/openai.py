"""OpenAI's chat completions: the wire format that OpenRouter and local servers speak as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Self

from copykit.brief.prompt import Prompt
from copykit.errors import (
    AuthenticationFailed,
    ContentRefused,
    ContextTooLong,
    ModelNotFound,
    ProviderError,
    ProviderProtocolError,
    ProviderQuotaError,
    ProviderUnavailable,
    TruncatedStream,
)
from copykit.models import Usage
from copykit.providers.base import BatchJobs, Completion, charge
from copykit.providers.embedding import EmbeddingRemote, Page, vector
from copykit.providers.facts import ModelFacts
from copykit.providers.remote import (
    Call,
    Headers,
    HiddenText,
    ListedModel,
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

__all__ = ["ChatReader", "OpenAI", "chat_body", "failure", "response_format", "strict", "usage_of"]

_NAMES: dict[str, type[ProviderError]] = {
    "insufficient_quota": ProviderQuotaError,
    "billing_hard_limit_reached": ProviderQuotaError,
    "payment_required": ProviderQuotaError,
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,  # llama.cpp's
    "token_limit_exceeded": ContextTooLong,
    "model_not_found": ModelNotFound,
    "invalid_api_key": AuthenticationFailed,
    "content_policy_violation": ContentRefused,
    "content_filter": ContentRefused,
    "refusal": ContentRefused,
}
"""What an error's ``code``, ``type`` or ``error_type`` says more exactly than its status."""
_STATUS = {
    "invalid_request_error": 400,
    "invalid_request": 400,
    "invalid_prompt": 400,
    "authentication_error": 401,
    "authentication": 401,
    "permission_denied": 403,
    "not_found": 404,
    "not_found_error": 404,
    "payload_too_large": 413,
    "unprocessable": 422,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "server": 500,
    "provider_unavailable": 503,
    "timeout": 504,
    "provider_overloaded": 529,
}
"""The status that a failure told inside of a 200 would have had."""


class OpenAI(EmbeddingRemote):
    """OpenAI's chat models.

    Args:
        organization: the organisation that is billed, if the key belongs to several.
        project: the same of projects.
    """

    name = "openai"
    facts_name: ClassVar[str] = "openai"

    def __init__(
        self,
        *,
        key: Secret | None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        model: str | None = None,
        client: HttpClient | None = None,
    ) -> None:
        super().__init__(key=key, base_url=base_url, model=model, client=client)
        self._scope = {"openai-organization": organization, "openai-project": project}

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make one with the key and address of *settings*; `ConfigurationError` without a key."""
        own = settings.providers
        return cls(
            key=own.openai_key,
            base_url=own.openai_base_url,
            organization=own.openai_organization,
            project=own.openai_project,
        )

    def _listed(self, row: dict[str, Any]) -> ListedModel:
        # the length and the second date are OpenRouter's own
        return ListedModel(
            text_of(row.get("id")),
            context=count(row.get("context_length")),
            retires=next(
                (str(row[key]) for key in ("shutdown_date", "expiration_date") if row.get(key)), None
            ),
        )

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if self._key is not None:
            headers["authorization"] = HiddenText(f"Bearer {self._key.reveal()}")
        return headers | {name: value for name, value in self._scope.items() if value}

    def _encode(self, prompt: Prompt, model: str, facts: ModelFacts, max_tokens: int, streamed: bool) -> Call:
        body = chat_body(prompt, model, facts, streamed)
        body["max_completion_tokens"] = max_tokens
        # sends requests with one beginning to one machine, which has it read already
        body["prompt_cache_key"] = sha256(prompt.rules.encode()).hexdigest()[:32]
        if facts.schema:
            body["response_format"] = response_format(strict(prompt.schema))
        if facts.effort:
            body["reasoning_effort"] = facts.effort
        if streamed:  # padding against onlookers that measure packets, several times the text
            body["stream_options"]["include_obfuscation"] = False
        return Call(model, "/chat/completions", body, max_tokens)

    def _read(self, document: dict[str, Any], headers: Headers) -> Completion:
        return read_answer(document, headers, self._failure)

    def _reader(self, headers: Headers) -> ChatReader:
        return ChatReader(headers, self._failure)

    def _failure(self, status: int, headers: Headers, document: Any) -> ProviderError:
        return failure(status, headers, document)

    def batch_jobs(self) -> BatchJobs | None:
        """Give what submits batch jobs."""
        from copykit.providers.openai_jobs import OpenAIJobs  # only who submits some pays for it

        return OpenAIJobs(self)

    def _embedding_call(self, texts: Sequence[str], model: str) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {"model": model, "input": list(texts)}
        if self._packed_vectors:
            body["encoding_format"] = "base64"
        return "/embeddings", body

    def _read_vectors(self, document: dict[str, Any]) -> Page:
        _refuse_failure(document, {}, self._failure)
        rows = [mapping(row, "an entry") for row in listed(document.get("data"), "data")]
        places = [row.get("index", place) for place, row in enumerate(rows)]
        if sorted(map(str, places)) != sorted(map(str, range(len(rows)))):
            raise ProviderProtocolError("the vectors are not numbered by their texts")
        vectors = [
            vector(row.get("embedding")) for _, row in sorted(zip(places, rows, strict=True), key=_place)
        ]
        return Page(vectors, text_of(document.get("model")), usage_of(document.get("usage")))

    _packed_vectors: ClassVar[bool] = True
    """Whether vectors are asked for in their short form, which not all servers of this format know."""


def _place(numbered: tuple[Any, Any]) -> int:
    return int(numbered[0])


def chat_body(prompt: Prompt, model: str, facts: ModelFacts, streamed: bool) -> dict[str, Any]:
    """Put what all servers of this format understand; the constant part stands first, which caches key on."""
    temperature = facts.at(prompt.temperature)
    words = prompt.freedom if temperature is None else ""
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "\n".join(filter(None, (prompt.rules, words, prompt.fence)))},
            {"role": "user", "content": prompt.user},
        ],
    }
    if temperature is not None:
        body["temperature"] = temperature
    if prompt.brief.request.seed:
        body["seed"] = prompt.brief.request.seed
    if streamed:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """Ask for an answer that *schema* describes."""
    return {"type": "json_schema", "json_schema": {"name": "copy", "strict": True, "schema": schema}}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Rewrite *schema* for the strict mode: every property required, optional ones nullable, no counts of items."""
    return _all_required(without_counts(schema))


def _all_required(schema: dict[str, Any]) -> dict[str, Any]:
    changed = dict(schema)
    if "items" in schema:
        changed["items"] = _all_required(schema["items"])
    if "properties" in schema:
        inner = {name: _all_required(part) for name, part in schema["properties"].items()}
        needed = schema["required"]
        changed["properties"] = {
            name: part if name in needed else _nullable(part) for name, part in inner.items()
        }
        changed["required"] = list(inner)
    return changed


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    nullable = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


def failure(status: int, headers: Headers, document: Any) -> ProviderError:
    """Map a failure of this wire format to the error tree: by the name it has, else by its status."""
    error = document.get("error") if isinstance(document, dict) else None
    told = error if isinstance(error, dict) else {"message": error}
    names = _names(told)
    words = " ".join(filter(None, (*names[:1], text_of(told.get("message")))))
    found = by_status(status, words, headers)
    if status == 404 and not told.get("message"):
        return ProviderError(found.message + " (no such address?)", status=status, retryable=False)
    kind = next((_NAMES[name] for name in names if name in _NAMES), None)
    if kind is ContentRefused:
        category = next(name for name in names if _NAMES.get(name) is ContentRefused)
        return ContentRefused(found.message, status=status, category=category)
    return kind(found.message, status=status) if kind is not None else found


def _names(told: dict[str, Any]) -> list[str]:
    """List what *told* calls itself, the most exact first."""
    metadata = told.get("metadata")
    inner = metadata.get("error_type") if isinstance(metadata, dict) else None
    return [name for name in (told.get("code"), inner, told.get("type")) if isinstance(name, str)]


Mapped = Callable[[int, Headers, Any], ProviderError]
"""What `failure` is: status, headers and decoded body to an error."""


def failure_inside(error: Any, headers: Headers, mapped: Mapped) -> ProviderError:
    """Map a failure told inside of a 200, by the status it would have had."""
    told = error if isinstance(error, dict) else {"message": error}
    code = told.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    if status is None and isinstance(code, str) and code.isdecimal() and 400 <= int(code[:4]) < 600:
        status = int(code)
    if status is None:
        status = next((_STATUS[name] for name in _names(told) if name in _STATUS), 502)
    return mapped(status, headers, {"error": told})


def read_answer(document: dict[str, Any], headers: Headers, mapped: Mapped) -> Completion:
    """Read a whole answer; a failure may be told inside of it, at the top or in its only choice."""
    _refuse_failure(document, headers, mapped)
    choices = listed(document.get("choices"), "choices")
    if not choices:
        raise ProviderProtocolError("the answer has no choices")
    choice = mapping(choices[0], "the choice")
    usage = usage_of(document.get("usage"))
    if choice.get("error"):
        raise charge(failure_inside(choice["error"], headers, mapped), usage)
    message = mapping(choice.get("message"), "the message")
    reason = text_of(choice.get("finish_reason"))
    _refuse_end(reason, text_of(message.get("refusal")), usage)
    return Completion(
        text=_content(message.get("content")),
        model=text_of(document.get("model")) or None,
        usage=usage,
        stop=reason or None,
        request_id=headers.get("x-request-id") or text_of(document.get("id")) or None,
    )


class ChatReader:
    """Collects a stream of chat completion chunks, whose end is ``[DONE]`` after a finish reason."""

    def __init__(self, headers: Headers, mapped: Mapped) -> None:
        self.done = False
        self._headers = headers
        self._mapped = mapped
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._reason = ""
        self._model = ""
        self._id = ""
        self._usage: Usage | None = None

    def take(self, event: Event) -> str:
        """Take one chunk; give its text."""
        if event.data.strip() == "[DONE]":
            if not self._reason:
                raise TruncatedStream("the stream ended without a finish reason")
            self.done = True
            return ""
        return self.add(document_of(event.data.encode(), self._headers))

    def add(self, chunk: dict[str, Any]) -> str:
        """Take one decoded chunk; give its text."""
        _refuse_failure(chunk, self._headers, self._mapped)
        self._model = text_of(chunk.get("model")) or self._model
        self._id = text_of(chunk.get("id")) or self._id
        if chunk.get("usage") is not None:
            self._usage = usage_of(chunk["usage"])
        choices = listed(chunk.get("choices") or [], "choices")
        if not choices:
            return ""
        choice = mapping(choices[0], "the choice")
        if choice.get("error"):
            raise failure_inside(choice["error"], self._headers, self._mapped)
        # the first reason counts: a second one, and text after it, follow the end
        if self._reason:
            return ""
        delta = mapping(choice.get("delta") or {}, "the delta")
        text = _content(delta.get("content"))
        self._texts.append(text)
        self._refusals.append(text_of(delta.get("refusal")))
        self._reason = text_of(choice.get("finish_reason"))
        return text

    def usage(self) -> Usage | None:
        """Give what was told of the cost up to here."""
        return self._usage

    def completion(self) -> Completion:
        """Give the whole answer."""
        _refuse_end(self._reason, "".join(self._refusals), self._usage)
        return Completion(
            text="".join(self._texts),
            model=self._model or None,
            usage=self._usage,
            stop=self._reason or None,
            request_id=self._headers.get("x-request-id") or self._id or None,
        )


def _refuse_failure(document: dict[str, Any], headers: Headers, mapped: Mapped) -> None:
    if document.get("error"):
        raise charge(failure_inside(document["error"], headers, mapped), usage_of(document.get("usage")))


def _refuse_end(reason: str, refusal: str, usage: Usage | None) -> None:
    if refusal:
        raise charge(ContentRefused("the model declined to write", category="refusal"), usage)
    if reason == "content_filter":
        raise charge(ContentRefused("a filter stopped the answer", category=reason), usage)
    if reason == "error":
        raise charge(ProviderUnavailable("the answer ended with an error that is not told"), usage)


def _content(value: Any) -> str:
    """Give a message's text; some servers send it as a list of parts."""
    if isinstance(value, list):
        return "".join(text_of(part.get("text")) for part in value if isinstance(part, dict))
    return text_of(value)


def usage_of(value: Any) -> Usage | None:
    """Read a ``usage`` object: totals include what the cache held and what reasoning took."""
    if not isinstance(value, dict):
        return None
    read, written = (value.get(f"{half}_tokens_details") for half in ("prompt", "completion"))
    read, written = (part if isinstance(part, dict) else {} for part in (read, written))
    cost = value.get("cost")
    known = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1e6
    return Usage.model_construct(
        input_tokens=count(value.get("prompt_tokens")),
        output_tokens=count(value.get("completion_tokens")),
        cached_tokens=count(read.get("cached_tokens")),
        cache_write_tokens=count(read.get("cache_write_tokens")),
        reasoning_tokens=count(written.get("reasoning_tokens")),
        cost_usd=float(cost) if known and cost is not None else None,
    )
