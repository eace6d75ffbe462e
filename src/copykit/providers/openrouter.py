"""OpenRouter: OpenAI's wire format with a few words of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from copykit.brief.prompt import Prompt
from copykit.errors import ContentRefused, ProviderError, ProviderQuotaError, RateLimited
from copykit.providers.base import BatchJobs
from copykit.providers.facts import ModelFacts
from copykit.providers.openai import OpenAI, chat_body, failure, response_format, strict
from copykit.providers.remote import Call, Headers, Repeats, retry_after
from copykit.settings import Secret, Settings

if TYPE_CHECKING:
    from copykit.accel.http import HttpClient

__all__ = ["OpenRouter"]

_CHARACTERS_PER_TOKEN = 4


class OpenRouter(OpenAI):
    """Models of many vendors behind one key; a model is ``vendor/model``.

    Args:
        referer: address of the application, for OpenRouter's own listings.
        title: its name.
        repeats: as `copykit.providers.anthropic.Anthropic` has it, for that vendor's models.
    """

    name = "openrouter"
    facts_name: ClassVar[str] = "openrouter"
    _packed_vectors: ClassVar[bool] = False

    def __init__(
        self,
        *,
        key: Secret | None,
        base_url: str | None = None,
        referer: str | None = None,
        title: str | None = None,
        model: str | None = None,
        client: HttpClient | None = None,
        repeats: Repeats | None = None,
    ) -> None:
        super().__init__(key=key, base_url=base_url, model=model, client=client)
        self._scope = {"http-referer": referer, "x-openrouter-title": title}
        self._repeats = repeats or Repeats()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make one with the key and address of *settings*; `ConfigurationError` without a key."""
        own = settings.providers
        return cls(
            key=own.openrouter_key,
            base_url=own.openrouter_base_url,
            referer=own.openrouter_referer,
            title=own.openrouter_title,
        )

    def batch_jobs(self) -> BatchJobs | None:
        """Give None: those of OpenRouter have a form of their own."""
        return None

    def _encode(self, prompt: Prompt, model: str, facts: ModelFacts, max_tokens: int, streamed: bool) -> Call:
        body = chat_body(prompt, model, facts, streamed)
        body["max_completion_tokens"] = max_tokens
        if facts.schema:
            body["response_format"] = response_format(strict(prompt.schema))
        if facts.effort:
            body["reasoning"] = {"effort": facts.effort}
        long = len(prompt.rules) >= facts.cached_from * _CHARACTERS_PER_TOKEN
        # the other vendors' caches need no marks
        if model.startswith("anthropic/") and long and self._repeats.again(model, prompt.rules):
            text = body["messages"][0]["content"]
            marked = {"type": "text", "text": prompt.rules, "cache_control": {"type": "ephemeral"}}
            rest = {"type": "text", "text": text.removeprefix(prompt.rules).lstrip("\n")}
            body["messages"][0]["content"] = [marked, rest]
        return Call(model, "/chat/completions", body, max_tokens)

    def _failure(self, status: int, headers: Headers, document: Any) -> ProviderError:
        return own_failure(failure(status, headers, document), headers, document)


def own_failure(found: ProviderError, headers: Headers, document: Any) -> ProviderError:
    """Map what OpenRouter means otherwise than the vendor of the format.

    No credit with a time to come back is a budget for requests in flight, and a 403 with reasons is moderation.
    """
    after = retry_after(headers)
    if isinstance(found, ProviderQuotaError) and found.status == 402 and after is not None:
        return RateLimited(found.message, status=402, retry_after_s=after)
    error = document.get("error") if isinstance(document, dict) else None
    metadata = error.get("metadata") if isinstance(error, dict) else None
    if found.status == 403 and isinstance(metadata, dict) and metadata.get("reasons"):
        return ContentRefused(found.message, status=403, category="moderation")
    return found
