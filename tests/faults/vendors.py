"""Answers in the wire formats of four vendors, each with what it is billed for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from copykit.settings import Secret
from copykit.testing.servers import Step, answer, chunked

__all__ = [
    "COOKIE",
    "COPY",
    "KEYS",
    "PRICES",
    "SECRETS",
    "TEXT",
    "VENDORS",
    "Billed",
    "Vendor",
    "billed",
    "copy_of",
]

TEXT = "Norr. Oak desk, 120x60 cm. Take a look at the details today."
PRICES = {"input": 1.0, "output": 2.0}
"""Dollars a million tokens, the same everywhere."""


def copy_of(text: str, count: int = 1) -> str:
    """Give what an obedient model writes for X: *text* in every variant."""
    return json.dumps({"variants": [{"fields": {"text": text}, "parts": []}] * count})


COPY = copy_of(TEXT)


@dataclass(frozen=True, slots=True)
class Billed(Step):
    """A step that its server charges for."""

    tokens: tuple[int, int] | None = None
    """Of the prompt and of the answer; None where nothing is charged."""
    untold: bool = False
    """Whether it may be charged and nobody tells how much."""

    @property
    def usd(self) -> float:
        """What the server writes on the bill."""
        read, written = self.tokens or (0, 0)
        return (read * PRICES["input"] + written * PRICES["output"]) / 1e6


def billed(step: Step, tokens: tuple[int, int] | None = None, *, untold: bool = False) -> Billed:
    """Put a price on *step*."""
    return Billed(step.acts, step.then, step.early, tokens, untold)


@dataclass(frozen=True)
class Vendor:
    """One wire format; the answers are whole `Step`s."""

    name: str
    prefix: str = ""
    """What the vendor's own client has behind the host."""

    @property
    def key(self) -> str:
        """The credential planted for this vendor."""
        return KEYS[self.name]

    def settings(self, url: str) -> dict[str, Any]:
        """Give the settings that lead to *url*."""
        return {f"{self.name}_key": Secret(self.key), f"{self.name}_base_url": url + self.prefix}

    def document(
        self,
        text: str,
        *,
        tokens: tuple[int, int] | None = (100, 50),
        stop: str = "stop",
        usage: Any = None,
    ) -> dict[str, Any]:
        """Give an answer's body; *stop* is ``stop``, ``length`` or ``refused``, *usage* replaces the true one."""
        read, written = tokens or (0, 0)
        if self.name == "anthropic":
            counts = {"input_tokens": read, "output_tokens": written} if usage is None else usage
            ends = {"stop": "end_turn", "length": "max_tokens", "refused": "refusal"}
            return {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "served",
                "content": [{"type": "text", "text": text}],
                "stop_reason": ends[stop],
                "usage": counts,
            }
        if self.name == "google":
            counts = {"promptTokenCount": read, "candidatesTokenCount": written} if usage is None else usage
            ends = {"stop": "STOP", "length": "MAX_TOKENS", "refused": "SAFETY"}
            content = {"parts": [{"text": text}], "role": "model"}
            return {
                "candidates": [{"content": content, "finishReason": ends[stop]}],
                "usageMetadata": counts,
                "modelVersion": "served",
            }
        counts = {"prompt_tokens": read, "completion_tokens": written} if usage is None else usage
        ends = {"stop": "stop", "length": "length", "refused": "content_filter"}
        message = {"role": "assistant", "content": text}
        return {
            "id": "chat_1",
            "object": "chat.completion",
            "model": "served",
            "choices": [{"index": 0, "message": message, "finish_reason": ends[stop]}],
            "usage": counts,
        }

    def says(self, text: str = COPY, *, tokens: tuple[int, int] = (100, 50), stop: str = "stop") -> Billed:
        """Answer with *text*, charged for *tokens*."""
        return billed(answer(json=self.document(text, tokens=tokens, stop=stop)), tokens)

    def error(self, status: int, kind: str | None = None, message: str = "it failed") -> dict[str, Any]:
        """Give the body of a failure; *kind* is the vendor's own word, the usual one if not given."""
        if self.name == "anthropic":
            return {
                "type": "error",
                "error": {"type": kind or _ANTHROPIC.get(status, "x"), "message": message},
            }
        if self.name == "google":
            return {"error": {"code": status, "status": kind or _GOOGLE.get(status, "X"), "message": message}}
        if self.name == "openrouter":
            return {"error": {"code": kind or status, "message": message}}
        return {"error": {"message": message, "type": kind or "x", "code": kind}}

    def fails(
        self, status: int, kind: str | None = None, message: str = "it failed", **headers: str
    ) -> Billed:
        """Answer with a failure, which costs nothing."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return billed(answer(status, named, json=self.error(status, kind, message)))

    def too_long(self) -> Billed:
        """Refuse the prompt for its length, in the vendor's own words."""
        words = {
            "anthropic": ("invalid_request_error", "prompt is too long: 300000 tokens > 200000 maximum"),
            "google": ("INVALID_ARGUMENT", "The input token count (2000000) exceeds the maximum"),
        }
        kind, message = words.get(self.name, ("context_length_exceeded", "too many tokens"))
        return self.fails(400, kind, message)

    def pieces(
        self, texts: Iterable[str], tokens: tuple[int, int] = (100, 50), *, ended: bool = True
    ) -> list[bytes]:
        """Give the events of a stream, one a piece of bytes; without its end if not *ended*."""
        read, written = tokens
        if self.name == "anthropic":
            start = {
                "type": "message_start",
                "message": self.document("", tokens=(read, 1)) | {"content": []},
            }
            said = [
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": text},
                }
                for text in texts
            ]
            delta = {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": written},
            }
            whole = [start, *said, *([delta, {"type": "message_stop"}] if ended else [])]
            return [_event(one, one["type"]) for one in whole]
        if self.name == "google":
            said = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in texts]
            return [_event(one) for one in (*said, *([self.document("", tokens=tokens)] if ended else []))]
        said = [{"model": "served", "choices": [{"index": 0, "delta": {"content": t}}]} for t in texts]
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        usage = {"choices": [], "usage": {"prompt_tokens": read, "completion_tokens": written}}
        whole = [_event(one) for one in (*said, *([end, usage] if ended else []))]
        return [*whole, *([b"data: [DONE]\n\n"] if ended else [])]

    def streams(self, *texts: str, tokens: tuple[int, int] = (100, 50)) -> Billed:
        """Answer with a whole stream."""
        return billed(chunked(*self.pieces(texts, tokens)), tokens)


def _event(value: Mapping[str, Any], name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()


_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GOOGLE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
VENDORS = {
    "openai": Vendor("openai", "/v1"),
    "anthropic": Vendor("anthropic"),
    "google": Vendor("google"),
    "openrouter": Vendor("openrouter", "/api/v1"),
}
KEYS = {
    "openai": "sk-canary-8d1f0b7c5e2a4936",
    "anthropic": "sk-ant-canary-27c49e01fa83b65d",
    "google": "AIzaCanary51b7e90d4c82f6a3",
    "openrouter": "sk-or-canary-c03e7a9542d816fb",
    "local": "token-canary-94d2be07f6a1c853",
}
COOKIE = "cookie-canary-6a0f3c81d97be254"
"""What every server sends back in a header."""
SECRETS = {
    **{f"{name} key": key for name, key in KEYS.items()},
    "password in an address": "password-canary-e18b5d40c7f2639a",
    "password of a proxy": "proxy-canary-b7406ef2a95d13c8",
    "cookie of a server": COOKIE,
}
"""Eight planted secrets."""
