"""Google's Gemini models over the developer interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import quote

from copykit.brief.prompt import Prompt
from copykit.errors import (
    AuthenticationFailed,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    ProviderProtocolError,
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

__all__ = ["VERSION", "Google", "failure", "usage_of"]

VERSION = "v1"
"""Of the interface, a part of each address."""

_VERSIONS = {"beta": "v1beta"}
"""Spellings that the vendor's own client takes."""
_STOPS = {"STOP": "stop", "MAX_TOKENS": "length"}
_REFUSED = frozenset(
    "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR IMAGE_SAFETY IMAGE_RECITATION "
    "IMAGE_PROHIBITED_CONTENT IMAGE_OTHER".split()
)
_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_TOO_LONG = "the input token count"
"""How the message begins of what has no name but ``INVALID_ARGUMENT``."""
_SEEDS = 2**31


class Google(EmbeddingRemote):
    """Google's Gemini models.

    Args:
        version: of the interface: ``v1``, or ``v1beta`` for gateways and mocks that know no other.
    """

    name = "google"
    facts_name: ClassVar[str] = "google"
    _models_key: ClassVar[str] = "models"
    texts_at_once: ClassVar[int] = 100

    def __init__(
        self,
        *,
        key: Secret | None,
        base_url: str | None = None,
        version: str | None = None,
        model: str | None = None,
        client: HttpClient | None = None,
    ) -> None:
        super().__init__(key=key, base_url=base_url, model=model, client=client)
        version = version or VERSION
        self.base_url += f"/{quote(_VERSIONS.get(version, version), safe='')}"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make one with the key and address of *settings*; `ConfigurationError` without a key."""
        own = settings.providers
        return cls(key=own.google_key, base_url=own.google_base_url, version=own.google_version)

    def _listed(self, row: dict[str, Any]) -> ListedModel:
        return ListedModel(
            text_of(row.get("name")).removeprefix("models/"),
            context=count(row.get("inputTokenLimit")),
            output=count(row.get("outputTokenLimit")),
        )

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if self._key is None:
            return headers
        return headers | {"x-goog-api-key": HiddenText(self._key.reveal())}

    def _encode(self, prompt: Prompt, model: str, facts: ModelFacts, max_tokens: int, streamed: bool) -> Call:
        temperature = facts.at(prompt.temperature)
        words = prompt.freedom if temperature is None else ""
        config: dict[str, Any] = {"maxOutputTokens": max_tokens}
        if temperature is not None:
            config["temperature"] = temperature
        if seed := prompt.brief.request.seed:
            config["seed"] = seed % _SEEDS
        if facts.schema:
            config["responseMimeType"] = "application/json"
            config["responseJsonSchema"] = without_counts(prompt.schema)
        if facts.effort:
            config["thinkingConfig"] = {"thinkingLevel": facts.effort}
        system = "\n".join(filter(None, (prompt.rules, words, prompt.fence)))
        body = {
            "systemInstruction": {"parts": [{"text": system}]},
            "contents": [{"role": "user", "parts": [{"text": prompt.user}]}],
            "generationConfig": config,
        }
        verb = "streamGenerateContent?alt=sse" if streamed else "generateContent"
        return Call(
            model, f"/models/{quote(model.removeprefix('models/'), safe='')}:{verb}", body, max_tokens
        )

    def _read(self, document: dict[str, Any], headers: Headers) -> Completion:
        reader = ContentReader(headers)
        reader.add(document)
        return reader.completion()

    def _reader(self, headers: Headers) -> ContentReader:
        return ContentReader(headers)

    def _failure(self, status: int, headers: Headers, document: Any) -> ProviderError:
        return failure(status, headers, document)

    def batch_jobs(self) -> BatchJobs | None:
        """Give what submits batch jobs."""
        from copykit.providers.google_jobs import GoogleJobs  # only who submits some pays for it

        return GoogleJobs(self)

    def _embedding_call(self, texts: Sequence[str], model: str) -> tuple[str, dict[str, Any]]:
        name = model.removeprefix("models/")
        rows = [{"model": f"models/{name}", "content": {"parts": [{"text": text}]}} for text in texts]
        return f"/models/{quote(name, safe='')}:batchEmbedContents", {"requests": rows}

    def _read_vectors(self, document: dict[str, Any]) -> Page:
        rows = [mapping(row, "an entry") for row in listed(document.get("embeddings"), "embeddings")]
        vectors = [vector(row.get("values")) for row in rows]
        return Page(vectors, "", usage_of(document.get("usageMetadata")))


class ContentReader:
    """Collects the pieces of an answer, of which a whole one is the only; the last has a finish reason."""

    def __init__(self, headers: Headers) -> None:
        self.done = False
        self._headers = headers
        self._texts: list[str] = []
        self._told: dict[str, Any] = {}
        self._seen = False
        self._reason = ""

    def take(self, event: Event) -> str:
        """Take one piece; give its text."""
        return self.add(document_of(event.data.encode(), self._headers))

    def add(self, piece: dict[str, Any]) -> str:
        """Take one decoded piece; give its text."""
        if piece.get("error"):
            raise failure_inside(piece["error"], self._headers)
        names = ("modelVersion", "responseId", "usageMetadata", "modelStatus", "promptFeedback")
        self._told |= {name: piece[name] for name in names if piece.get(name)}
        feedback = self._told.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            refused = ContentRefused("the prompt was refused", category=text_of(feedback["blockReason"]))
            raise charge(refused, self.usage())
        candidates = listed(piece.get("candidates") or [], "candidates")
        if not candidates:
            return ""
        self._seen = True
        candidate = mapping(candidates[0], "the candidate")
        self._reason = text_of(candidate.get("finishReason"))
        self.done = bool(self._reason)
        content = mapping(candidate.get("content") or {}, "the content")
        parts = [mapping(part, "a part") for part in listed(content.get("parts") or [], "parts")]
        text = "".join(text_of(part.get("text")) for part in parts if not part.get("thought"))
        self._texts.append(text)
        return text

    def usage(self) -> Usage | None:
        """Give what was told of the cost up to here."""
        return usage_of(self._told.get("usageMetadata"))

    def completion(self) -> Completion:
        """Give the whole answer."""
        if not self._seen:
            raise ProviderProtocolError("the answer has no candidates")
        if self._reason in _REFUSED:
            raise charge(ContentRefused("the answer was refused", category=self._reason), self.usage())
        status = self._told.get("modelStatus")
        retires = text_of(status.get("retirementTime")) if isinstance(status, dict) else ""
        model = text_of(self._told.get("modelVersion"))
        return Completion(
            text="".join(self._texts),
            model=model or None,
            usage=self.usage(),
            info=(f"google:{model} is announced to end on {retires[:10]}",) if retires else (),
            stop=_STOPS.get(self._reason, self._reason) or None,
            request_id=text_of(self._told.get("responseId")) or None,
        )


def usage_of(value: Any) -> Usage | None:
    """Read ``usageMetadata``; what the candidates took leaves out the thoughts, which are billed as output."""
    if not isinstance(value, dict):
        return None
    asked, tools = count(value.get("promptTokenCount")), count(value.get("toolUsePromptTokenCount"))
    written, thought = count(value.get("candidatesTokenCount")), count(value.get("thoughtsTokenCount"))
    return Usage.model_construct(
        input_tokens=None if asked is None else asked + (tools or 0),
        output_tokens=None if written is None and thought is None else (written or 0) + (thought or 0),
        cached_tokens=count(value.get("cachedContentTokenCount")),
        cache_write_tokens=None,
        reasoning_tokens=thought,
        cost_usd=None,
    )


def failure_inside(error: Any, headers: Headers) -> ProviderError:
    """Map a failure told inside of a 200, by the status it would have had."""
    told = error if isinstance(error, dict) else {"message": error}
    code = told.get("code")
    if not isinstance(code, int) or not 400 <= code < 600:
        code = _STATUS.get(text_of(told.get("status")), 502)
    return failure(code, headers, {"error": told})


def failure(status: int, headers: Headers, document: Any) -> ProviderError:
    """Map a failure of this wire format to the error tree; its document may stand in a list of one."""
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    told = error if isinstance(error, dict) else {}
    name, message = text_of(told.get("status")), text_of(told.get("message"))
    rows = told.get("details")
    details = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    found = by_status(status, " ".join(filter(None, (name, message))), headers, retry_after_s=_delay(details))
    if status == 404 and not name:
        return ProviderError(found.message + " (no such address?)", status=status, retryable=False)
    if any(row.get("reason") == "API_KEY_INVALID" for row in details):
        return AuthenticationFailed(found.message, status=status)
    if status == 400 and message.lower().startswith(_TOO_LONG):
        return ContextTooLong(found.message, status=status)
    return found


def _delay(details: list[dict[str, Any]]) -> float | None:
    """Read how long to wait from a ``RetryInfo`` among *details*: ``"12s"``, ``"0.5s"``."""
    for row in details:
        told = text_of(row.get("retryDelay")).removesuffix("s")[:32]
        if told.replace(".", "", 1).isdecimal() and told.isascii():
            return float(told)
    return None
