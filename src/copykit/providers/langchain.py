"""Any LangChain chat model as a provider: the caller's own object, or ``langchain:vendor/model``."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from importlib import import_module
from typing import Any, Self

from copykit.brief.prompt import Prompt
from copykit.drafts.parse import MAX_BYTES
from copykit.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ContentRefused,
    ContextTooLong,
    MalformedCompletion,
    MissingExtra,
    ModelNotFound,
    ProviderError,
    ProviderProtocolError,
    ProviderQuotaError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    nearest_names,
)
from copykit.models import Usage
from copykit.providers.base import Completion, charge, charge_of
from copykit.providers.facts import model_facts, provider_facts
from copykit.providers.remote import (
    by_status,
    count,
    presentable,
    refuse_unfinished,
    retry_after,
    text_of,
    without_counts,
    without_keys,
)
from copykit.settings import Settings

__all__ = ["VARIABLES", "LangChainProvider", "check_template", "failure", "prompt_values", "usage_of"]

VARIABLES = ("system", "rules", "freedom", "fence", "brief", "language", "placement", "tone", "variants")
"""What a template may ask for; `prompt_values` says what each holds."""

_STOPS = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "STOP", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded"), "length"),
}
_REASONS = ("finish_reason", "stop_reason", "finishReason")
_MOST_MADE = 32
_REFUSED = frozenset(
    ("content_filter", "refusal", "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")
)
_KINDS: dict[str, type[ProviderError]] = {
    "ContextOverflowError": ContextTooLong,
    "ModelAuthenticationError": AuthenticationFailed,
    "ModelPermissionDeniedError": AuthenticationFailed,
    "ModelNotFoundError": ModelNotFound,
    "ModelRateLimitError": RateLimited,
    "ModelTimeoutError": ProviderTimeout,
    "ModelConnectionError": ProviderUnavailable,
    "ModelAPIError": ProviderUnavailable,
    "OutputParserException": MalformedCompletion,
}
"""Classes of ``langchain_core.exceptions``, by name: not every version has them all."""


class LangChainProvider:
    """Asks a LangChain chat model.

    The model is used as it was made: its temperature, limits and address are its own; let it repeat nothing
    (``max_retries=0``), since the router does. Where it can be held to a schema it is.

    >>> from copykit import register_provider
    >>> register_provider("mine", lambda: LangChainProvider(model))  # doctest: +SKIP

    Args:
        model: a ``BaseChatModel``; without one, targets name it: ``langchain:openai/gpt-6-luna``.
        template: a ``ChatPromptTemplate`` of the caller's, put instead of copykit's own words. It may ask for
            `VARIABLES`, and has to hold ``{brief}`` and, for what is data in it, ``{fence}`` or ``{system}``.
        timeout_s: bound of one exchange.

    Raises:
        ConfigurationError: the template asks for what there is not, or lacks what it has to hold.
    """

    name = "langchain"

    def __init__(self, model: Any = None, *, template: Any = None, timeout_s: float | None = None) -> None:
        if template is not None:
            check_template(template)
        self._model = model
        self._template = template
        self._made: dict[str, Any] = {}
        self.timeout_s = timeout_s or provider_facts(self.name).timeout_s

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make one whose targets name their models; keys are read by LangChain, from the vendors' own variables."""
        return cls()

    def model_of(self, prompt: Prompt) -> str:
        """Give the name of the model that will be asked for *prompt*."""
        return prompt.model or _name_of(self._model)

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """Give bounds of a call: bytes sent, and the most tokens that the model writes by its own profile."""
        sent = sum(len(json.dumps(text)) for text in prompt_values(prompt).values())
        profile = getattr(self._model, "profile", None)
        told = profile.get("max_output_tokens") if isinstance(profile, Mapping) else None
        return 2 * (sent + len(json.dumps(prompt.schema))), count(told) or model_facts(self.name, "").output

    async def complete(self, prompt: Prompt) -> Completion:
        """Answer *prompt* in one exchange.

        Raises:
            ProviderError: the class says what went wrong, whatever the integration raised.
            ConfigurationError: no model is named; `MissingExtra` without LangChain.
        """
        model, messages = self._asked(prompt)
        held = _structured(model, prompt)
        try:
            answer = await (model if held is None else held).ainvoke(messages)
        except Exception as error:  # integrations raise what they like: this is the one place that maps it
            raise self._told(failure(error), prompt) from error
        try:
            raw, parsed = (answer, None) if held is None else (answer.get("raw"), answer.get("parsed"))
            text = json.dumps(parsed, ensure_ascii=False) if isinstance(parsed, dict) else _text(raw)
            return self._finished(raw, text, prompt)
        except ProviderError as error:
            raise self._told(error, prompt) from error.__cause__

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion, None]:
        """Give the answer's text as it comes, and last the `Completion`.

        LangChain tells no end of its own: a stream that an integration ends too early is seen only by its text.
        """
        model, messages = self._asked(prompt)
        whole: Any = None
        size = 0
        try:
            pieces = model.astream(messages)
            try:
                async for piece in pieces:
                    whole = piece if whole is None else whole + piece
                    if text := _text(piece):
                        size += len(text.encode())
                        if size > MAX_BYTES:
                            raise ProviderProtocolError("the stream is longer than any answer may be")
                        yield text
            finally:
                await pieces.aclose()
            completion = self._finished(whole, _text(whole), prompt)
        except ProviderError as error:
            raise self._told(error, prompt) from error.__cause__
        except Exception as error:  # as in `complete`
            # what was written until then is billed, though nobody told how much
            usage = usage_of(getattr(whole, "usage_metadata", None)) or (Usage() if size else None)
            raise self._told(charge(failure(error), usage), prompt) from error
        yield completion

    def _asked(self, prompt: Prompt) -> tuple[Any, Any]:
        model = self._model_for(prompt.model)
        if self._template is not None:
            return model, self._template.invoke(
                {name: value for name, value in prompt_values(prompt).items() if _wants(self._template, name)}
            )
        values = prompt_values(prompt)
        return model, [("system", values["system"]), ("human", values["brief"])]

    def _model_for(self, named: str | None) -> Any:
        if self._model is not None:
            if named and named != _name_of(self._model):
                raise ConfigurationError(f"{named!r}: this provider's model is {_name_of(self._model)!r}")
            return self._model
        if not named:
            raise ConfigurationError(
                "langchain needs a model: langchain:vendor/model, or one of yours by register_provider"
            )
        if named not in self._made:
            if len(self._made) >= _MOST_MADE:  # names come from requests too
                del self._made[next(iter(self._made))]
            self._made[named] = _make(named)
        return self._made[named]

    def _finished(self, message: Any, text: str, prompt: Prompt) -> Completion:
        told = getattr(message, "response_metadata", None)
        told = told if isinstance(told, Mapping) else {}
        usage = usage_of(getattr(message, "usage_metadata", None))
        extra = getattr(message, "additional_kwargs", None)
        if isinstance(extra, Mapping) and extra.get("refusal"):
            raise charge(ContentRefused("the model declined to write", category="refusal"), usage)
        reason = next((word for key in _REASONS if (word := text_of(told.get(key)))), "")
        if reason in _REFUSED:
            raise charge(ContentRefused("the answer was refused", category=reason), usage)
        completion = Completion(
            text=text,
            model=text_of(told.get("model_name")) or text_of(told.get("model")) or self.model_of(prompt),
            usage=usage or Usage(),
            stop=_STOPS.get(reason, reason) or None,
            request_id=text_of(getattr(message, "id", None)) or None,
        )
        completion = presentable(completion)
        most = usage.output_tokens if usage is not None and usage.output_tokens else prompt.max_output_tokens
        refuse_unfinished(completion, prompt, most)
        return completion

    def _told(self, error: ProviderError, prompt: Prompt) -> ProviderError:
        error.target = error.target or f"{self.name}:{self.model_of(prompt)}".rstrip(":")
        return charge(error, charge_of(error))


def prompt_values(prompt: Prompt) -> dict[str, str]:
    """Give what a template is filled with: ``system`` is rules, freedom and fence together, ``brief`` the fenced data."""
    brief = prompt.brief
    return {
        "system": "\n".join(filter(None, (prompt.rules, prompt.freedom, prompt.fence))),
        "rules": prompt.rules,
        "freedom": prompt.freedom,
        "fence": prompt.fence,
        "brief": prompt.user,
        "language": brief.language.name,
        "placement": brief.placement.name,
        "tone": brief.tone.id,
        "variants": str(prompt.variants),
    }


def check_template(template: Any) -> None:
    """Refuse a template that cannot be filled, or would put the brief as anything but fenced data."""
    wanted = [*getattr(template, "input_variables", ())]
    problems = []
    for name in wanted:
        if name not in VARIABLES:
            near = nearest_names(name, VARIABLES, 1)
            hint = f"; nearest: {near[0]}" if near else ""
            problems.append(f"template: {{{name}}} is unknown; there is {', '.join(VARIABLES)}{hint}")
    if "brief" not in wanted:
        problems.append("template: it has to hold {brief}")
    if not {"fence", "system"} & set(wanted):
        problems.append("template: it has to hold {fence} or {system}, which say that the brief is data")
    if problems:
        raise ConfigurationError(problems)


def failure(error: Exception) -> ProviderError:
    """Map what an integration raises to the error tree: LangChain's own classes, else a status, else a plain failure."""
    words = without_keys(f"{type(error).__name__}: {error}")
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) and 400 <= status < 600 else None
    headers = _headers_of(error)
    names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "langchain_core.exceptions"]
    kind = next((_KINDS[name] for name in names if name in _KINDS), None)
    if status == 402 or getattr(error, "code", None) == "insufficient_quota":
        return ProviderQuotaError(words, status=status)
    if kind is RateLimited or kind is ProviderUnavailable:
        return kind(words, status=status, retry_after_s=retry_after(headers))
    if kind is MalformedCompletion:
        return MalformedCompletion(words)
    if kind is not None:
        return kind(words, status=status)
    if status is not None:
        return by_status(status, words, headers)
    if isinstance(error, TimeoutError):
        return ProviderTimeout(words)
    if isinstance(error, ConnectionError):
        return ProviderUnavailable(words)
    return ProviderError(words, retryable=bool(getattr(error, "is_retryable", False)))


def usage_of(value: Any) -> Usage | None:
    """Read ``usage_metadata``: totals include what the cache held and what reasoning took."""
    if not isinstance(value, Mapping):
        return None
    read, written = (value.get(f"{half}_token_details") for half in ("input", "output"))
    read, written = (part if isinstance(part, Mapping) else {} for part in (read, written))
    return Usage.model_construct(
        input_tokens=count(value.get("input_tokens")),
        output_tokens=count(value.get("output_tokens")),
        cached_tokens=count(read.get("cache_read")),
        cache_write_tokens=count(read.get("cache_creation")),
        reasoning_tokens=count(written.get("reasoning")),
        cost_usd=None,
    )


def _structured(model: Any, prompt: Prompt) -> Any:
    """Give *model* held to the prompt's schema, or None where it cannot be."""
    try:
        base: Any = import_module("langchain_core.language_models").BaseChatModel
    except ImportError as error:
        raise MissingExtra("a LangChain model", "langchain-core", "langchain") from error
    own = type(model)
    if own.bind_tools is base.bind_tools and own.with_structured_output is base.with_structured_output:
        return None
    schema = {"title": "copy", "description": "Marketing copy.", **without_counts(prompt.schema)}
    try:
        return model.with_structured_output(schema, include_raw=True)
    except (NotImplementedError, ValueError):  # it has the method, and no way to do it
        return None


def _make(named: str) -> Any:
    vendor, _, model = named.partition("/")
    if not model:
        raise ConfigurationError(
            f"langchain:{named}: name vendor and model, as in langchain:openai/gpt-6-luna"
        )
    try:
        init = import_module("langchain.chat_models").init_chat_model
        return init(model, model_provider=vendor, max_retries=0)
    except ImportError as error:
        raise ConfigurationError(
            f"langchain:{named} needs LangChain and its package for {vendor}: "
            f"pip install langchain langchain-{vendor.replace('_', '-')}"
        ) from error
    except ValueError as error:  # an unknown vendor, or a key that is not set
        raise ConfigurationError(f"langchain:{named}: {without_keys(str(error))}") from error


def _wants(template: Any, name: str) -> bool:
    return name in template.input_variables


def _name_of(model: Any) -> str:
    for attribute in ("model_name", "model", "model_id"):
        if told := text_of(getattr(model, attribute, None)):
            return told
    return type(model).__name__ if model is not None else ""


def _text(message: Any) -> str:
    """Give a message's text, also where its content is a list of blocks."""
    return str(getattr(message, "text", "") or "")


def _headers_of(error: Exception) -> dict[str, str]:
    told = getattr(getattr(error, "response", None), "headers", None)
    try:
        return {str(name).lower(): str(value) for name, value in dict(told or {}).items()}
    except (TypeError, ValueError):
        return {}
