"""Any server that speaks OpenAI's chat completions: Ollama, vLLM, llama.cpp, and many vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from copykit.brief.plain import plain_of
from copykit.brief.prompt import Prompt
from copykit.errors import ConfigurationError
from copykit.providers.base import BatchJobs
from copykit.providers.facts import ModelFacts
from copykit.providers.openai import OpenAI, chat_body, response_format
from copykit.providers.remote import Call
from copykit.settings import Secret, Settings

if TYPE_CHECKING:
    from copykit.accel.http import HttpClient

__all__ = ["Compatible"]


class Compatible(OpenAI):
    """A server of that protocol, on this machine or elsewhere.

    It is sent only what all of them know. Without a model the first that the server lists is asked.

    >>> from copykit import register_provider
    >>> register_provider("nearby", lambda: Compatible(name="nearby", base_url="http://127.0.0.1:8080/v1"))
    """

    facts_name: ClassVar[str] = "local"
    _packed_vectors: ClassVar[bool] = False

    def __init__(
        self,
        *,
        base_url: str,
        key: Secret | None = None,
        name: str = "local",
        model: str | None = None,
        client: HttpClient | None = None,
    ) -> None:
        self.name = name
        super().__init__(key=key, base_url=base_url, model=model, client=client)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make one for the local server of *settings*; `ConfigurationError` without an address."""
        own = settings.providers
        if own.local_base_url is None:
            raise ConfigurationError("local needs an address: set COPYKIT_LOCAL_BASE_URL")
        return cls(base_url=own.local_base_url, key=own.local_key)

    def batch_jobs(self) -> BatchJobs | None:
        """Give None: such servers have none."""
        return None

    def _encode(self, prompt: Prompt, model: str, facts: ModelFacts, max_tokens: int, streamed: bool) -> Call:
        body = chat_body(prompt, model, facts, streamed)
        schema = prompt.schema
        plain = plain_of(prompt) if facts.prompt == "plain" else None
        if (
            plain is not None and plain.count == 1
        ):  # an answer has one text: such models write no second one well
            body["messages"] = plain.messages(wrapped=True)
            schema, max_tokens = plain.schema, min(max_tokens, plain.max_output_tokens)
        body["max_tokens"] = max_tokens  # the older name, which all of them know
        if facts.schema:
            # grammars of these servers know counts, and take fields that may be left out
            body["response_format"] = response_format(schema)
        return Call(model, "/chat/completions", body, max_tokens)
