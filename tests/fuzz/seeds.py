"""What the fuzzing starts from: whole answers, failures and streams in the shapes that the vendors document."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .wires import exchange

__all__ = ["WORDS", "seeds"]

COPY = json.dumps({"variants": [{"fields": {"text": "Oak desk, 120x60 cm."}, "parts": []}]})
RSA = {
    "variants": [
        {
            "fields": {
                "headlines": ["Oak desk", "Oiled by hand", "120x60 cm"],
                "descriptions": ["One.", "Two."],
            },
            "parts": [{"step": "attention", "field": "headlines[0]", "text": "Oak desk"}],
            "structure": "AIDA",
        }
    ]
}
WORDS = (
    "choices message content delta finish_reason stop length content_filter refusal error code type metadata "
    "error_type reasons usage prompt_tokens completion_tokens prompt_tokens_details cached_tokens "
    "cache_write_tokens completion_tokens_details reasoning_tokens cost model id data embedding index [DONE] "
    "input_tokens output_tokens cache_creation_input_tokens cache_read_input_tokens output_tokens_details "
    "thinking_tokens text_delta content_block_delta message_start message_delta message_stop stop_reason "
    "stop_details category end_turn max_tokens model_context_window_exceeded overloaded_error details "
    "error_code enforced_spend_limit_reached candidates parts text thought finishReason STOP MAX_TOKENS SAFETY "
    "promptFeedback blockReason usageMetadata promptTokenCount candidatesTokenCount thoughtsTokenCount "
    "modelVersion responseId modelStatus retirementTime status RESOURCE_EXHAUSTED retryDelay API_KEY_INVALID "
    "embeddings values models name retry-after: retry-after-ms: x-should-retry: content-type: "
    "event: data: variants fields texts headlines descriptions ```json <think> </think> \\ud800 NaN 1e999"
).split()
"""Names and values that the readers look for."""

USAGE = {
    "prompt_tokens": 1_200,
    "completion_tokens": 80,
    "total_tokens": 1_280,
    "prompt_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 20},
}


def _chat(**changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": COPY, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None} | changes
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-6-luna-2026-09-01",
        "choices": [choice],
        "usage": USAGE,
    }


def _chunk(text: str | None, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "gpt-6-luna", "choices": [choice]}


def _vectors(rows: Iterable[Any]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
    return {"object": "list", "data": data, "model": "embed-1", "usage": {"prompt_tokens": 4}}


_OPENAI_ERRORS = [
    (
        400,
        {"message": "bad", "type": "invalid_request_error", "param": None, "code": "context_length_exceeded"},
        {},
    ),
    (
        400,
        {
            "code": 400,
            "type": "exceed_context_size_error",
            "message": "long",
            "n_prompt_tokens": 9,
            "n_ctx": 8,
        },
        {},
    ),
    (401, {"message": "Incorrect API key sk-canary-5f0c1d2e3b4a5968", "code": "invalid_api_key"}, {}),
    (404, {"message": "no such model", "code": "model_not_found"}, {}),
    (429, {"message": "slow", "type": "rate_limit_exceeded"}, {"retry_after_ms": "1500"}),
    (
        429,
        {"message": "slow"},
        {"retry_after": "Sun, 22 Nov 2026 10:00:00 GMT", "date": "Sun, 22 Nov 2026 09:59:00 GMT"},
    ),
    (429, {"message": "no money", "code": "insufficient_quota"}, {"x_should_retry": "false"}),
    (500, {"message": "oops", "type": "server_error"}, {"retry_after": "2"}),
]
_ROUTER_ERRORS = [
    (
        402,
        {"code": 402, "message": "credits", "metadata": {"limit_source": "openrouter_in_flight_budget"}},
        {"retry_after": "3"},
    ),
    (
        403,
        {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"], "flagged_input": "x"}},
        {},
    ),
    (200, {"code": 502, "message": "upstream", "metadata": {"error_type": "provider_unavailable"}}, {}),
    (
        200,
        {
            "code": "529",
            "message": "busy",
            "metadata": {"error_type": "provider_overloaded", "provider_code": 7},
        },
        {},
    ),
    (400, {"code": 400, "message": "no", "metadata": {"error_type": "content_policy_violation"}}, {}),
]


def _openai() -> list[bytes]:
    wholes = [
        _chat(),
        _chat(finish_reason="length"),
        _chat(finish_reason="content_filter"),
        _chat(message={"role": "assistant", "content": None, "refusal": "I cannot"}),
        _chat(message={"role": "assistant", "content": [{"type": "text", "text": COPY}]}),
        _chat(error={"code": 502, "message": "broken"}, finish_reason="error"),
        {
            "object": "list",
            "data": [{"id": "gpt-6-luna", "context_length": 400_000, "shutdown_date": "2027-01-01"}],
        },
        _vectors([[0.5, -1.0], [1e-9, 3.0]]),
        _vectors(["AAAAPwAAgL8=", "AACAPwAAAAA="]),
    ]
    wholes[0]["usage"] = USAGE | {"cost": 0.000_12}
    failed = [
        exchange(status, json.dumps({"error": e}), **h) for status, e, h in _OPENAI_ERRORS + _ROUTER_ERRORS
    ]
    plain = [
        exchange(502, "<html>Bad gateway</html>", content_type="text/html"),
        exchange(204, b""),
        exchange(301, b"{}"),
    ]
    return [*(exchange(200, json.dumps(one)) for one in wholes), *failed, *plain]


def _openai_streams() -> list[bytes]:
    end = [_chunk(None, "stop"), {"id": "c1", "choices": [], "usage": USAGE}, "[DONE]"]
    said = [_chunk(""), _chunk(COPY[:30]), _chunk(COPY[30:])]
    refused = {"choices": [{"index": 0, "delta": {"refusal": "I cannot"}, "finish_reason": "stop"}]}
    broken = {"error": {"code": 502, "message": "gone", "metadata": {"error_type": "server"}}, "choices": []}
    return [
        _sse([*said, *end]),
        _sse([*said, *end], b": OPENROUTER PROCESSING\n\n"),
        _sse([refused, "[DONE]"]),
        _sse([*said, broken]),
        _sse(said),
        exchange(200, json.dumps(_chat()), content_type="application/json"),
        exchange(429, json.dumps({"error": {"message": "slow"}}), retry_after="1"),
    ]


def _message(**changes: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": COPY}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 100,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 900,
            "output_tokens": 80,
            "output_tokens_details": {"thinking_tokens": 10},
        },
    } | changes


def _anthropic() -> list[bytes]:
    errors = [
        (400, "invalid_request_error", "prompt is too long: 300000 tokens > 200000 maximum", {}),
        (400, "invalid_request_error", "Your credit balance is too low", {}),
        (401, "authentication_error", "invalid x-api-key sk-canary-5f0c1d2e3b4a5968", {}),
        (402, "billing_error", "pay", {}),
        (404, "not_found_error", "model: nothing", {}),
        (429, "rate_limit_error", "slow", {"retry_after": "7"}),
        (529, "overloaded_error", "Overloaded", {}),
    ]
    wholes = [
        _message(),
        _message(stop_reason="max_tokens"),
        _message(
            stop_reason="refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": "no"}
        ),
        _message(stop_reason="model_context_window_exceeded"),
        {"type": "error", "error": {"type": "api_error", "message": "inside"}},
        {
            "data": [
                {
                    "id": "claude-haiku-5-5",
                    "max_input_tokens": 200_000,
                    "max_tokens": 64_000,
                    "retires_at": None,
                }
            ]
        },
    ]
    spent = {
        "type": "rate_limit_error",
        "message": "limit",
        "details": {"error_code": "enforced_spend_limit_reached"},
    }
    return [
        *(exchange(200, json.dumps(one), request_id="req_1") for one in wholes),
        *(
            exchange(
                status, json.dumps({"type": "error", "error": {"type": kind, "message": told}}), **headers
            )
            for status, kind, told, headers in errors
        ),
        exchange(429, json.dumps({"type": "error", "error": spent, "request_id": "req_2"})),
    ]


def _anthropic_streams() -> list[bytes]:
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        for text in (COPY[:30], COPY[30:])
    ]
    start = {"type": "message_start", "message": _message(content=[], stop_reason=None)}
    ends = {"stop_reason": "end_turn", "stop_sequence": None}
    end = {"type": "message_delta", "delta": ends, "usage": {"output_tokens": 80}}
    refusal = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": None}}
    whole = [
        start,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        end,
        {"type": "message_stop"},
    ]
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return [
        _sse(whole),
        _sse([start, *deltas, overloaded]),
        _sse([start, {"type": "message_delta", "delta": refusal}, {"type": "message_stop"}]),
        _sse(whole[:5]),
        exchange(529, json.dumps(overloaded)),
    ]


def _candidate(text: str, **changes: Any) -> dict[str, Any]:
    parts = [{"text": "hm", "thought": True}, {"text": text}]
    return {
        "candidates": [
            {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0} | changes
        ],
        "usageMetadata": {
            "promptTokenCount": 100,
            "candidatesTokenCount": 60,
            "thoughtsTokenCount": 20,
            "cachedContentTokenCount": 10,
            "toolUsePromptTokenCount": 0,
        },
        "modelVersion": "gemini-3.5-flash-lite",
        "modelStatus": {"modelStage": "STABLE", "retirementTime": "2027-03-01T00:00:00Z"},
        "responseId": "r1",
    }


def _google() -> list[bytes]:
    slow = {
        "code": 429,
        "message": "Quota",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}],
    }
    key = {
        "code": 400,
        "message": "API key not valid sk-canary-5f0c1d2e3b4a5968",
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    }
    long = {
        "code": 400,
        "message": "The input token count (2) exceeds the maximum",
        "status": "INVALID_ARGUMENT",
    }
    wholes = [
        _candidate(COPY),
        _candidate(COPY[:40], finishReason="MAX_TOKENS"),
        _candidate("", finishReason="SAFETY"),
        {"promptFeedback": {"blockReason": "JAILBREAK"}, "usageMetadata": {"promptTokenCount": 5}},
        {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}},
        {
            "models": [
                {"name": "models/gemini-3.5-flash", "inputTokenLimit": 10**6, "outputTokenLimit": 65_536}
            ]
        },
        {
            "embeddings": [{"values": [0.1, 0.2]}, {"values": [0.3, 0.4]}],
            "usageMetadata": {"promptTokenCount": 4},
        },
    ]
    return [
        *(exchange(200, json.dumps(one)) for one in wholes),
        exchange(429, json.dumps([{"error": slow}])),
        exchange(400, json.dumps({"error": key})),
        exchange(400, json.dumps({"error": long})),
        exchange(404, "not found"),
    ]


def _google_streams() -> list[bytes]:
    said = [
        {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}]}
        for text in (COPY[:30], COPY[30:])
    ]
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    end = _candidate("")
    return [
        _sse([*said, end]),
        _sse([*said, error]),
        _sse([blocked]),
        _sse(said),
        _sse([*said, _candidate("", finishReason="RECITATION")]),
        exchange(200, json.dumps(_candidate(COPY)), content_type="application/json"),
    ]


def _sse(events: Iterable[Any], between: bytes = b"") -> bytes:
    lines = []
    for told in events:
        name = f"event: {told['type']}\n" if isinstance(told, dict) and "type" in told else ""
        data = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
        lines.append(f"{name}data: {data}\n\n".encode())
    return exchange(200, between.join(lines), content_type="text/event-stream")


def _answers() -> list[bytes]:
    rsa = json.dumps(RSA)
    return [
        text.encode()
        for text in (
            COPY,
            rsa,
            f"Here you are:\n```json\n{rsa}\n```\nAnything else?",
            f'<think>{{"variants": []}}</think>\n{COPY}',
            COPY.replace('"', "“", 1).replace("]", ",]"),
            '["One text.", "Another text."]',
            '{"headline_1": "Oak desk", "headline_2": "Oiled", "description": {"text": "One."}}',
            '{"options": [{"tweet": "Oak."}, {"post": "Desk."}]}',
            "Oak desk, 120x60 cm. See it.",
            "Variant 1\n**Headline 1:** Oak desk\nHeadlines:\n- One\n- Two\nDescription: x\n\nVariant 2\nHeadline: y",
            '{"fields": {"text": 49.90, "note": NaN}}',
            '{"variants": [{"fields": {"text": "\\ud83e\\udeb5 \\ud800"}}]}',
            '{"a":' * 30 + "1" + "}" * 30,
        )
    ]


def _repaired() -> list[bytes]:
    return [
        text.encode()
        for text in (
            '{"texts": {"1": "One.", "2": "Two."}}',
            '{"1": "One.", "3": "Three."}',
            '["One.", "Two."]',
            'Here you are:\n```json\n{"texts": {"2": {"text": "Two."}}}\n```',
            '"Norr, the oak desk."',
            '{"texts": [{"text": "One."}, null, 3]}',
        )
    ]


def _raw_events() -> list[bytes]:
    return [
        b": ping\n\nevent: delta\nid: 7\nretry: 10\ndata: a\ndata:b\ndata\n\ndata: x\r\n\r\n",
        b"\xef\xbb\xbfdata: a\r\rdata: b\n\r\n" + "data: ñ 日本 👟\u2028\u0085x\n\n".encode(),
        b"data: " + b"x" * 190 + b"\n\ndata: " + b"y" * 210 + b"\n\n",
        b"data: \xff\xc3\n\ndata: a\x00b\x0b\x0c\n\nevent: x",
    ]


OUTPUT: dict[str, Any] = {
    "id": "ck_1",
    "variants": [
        {
            "fields": {"text": "Oak desk.", "hashtags": ["#OakDesk"]},
            "text": "Oak desk.",
            "status": "ok",
            "field_status": {"text": "ok"},
            "violations": [
                {"rule": "M-02", "field": "text", "severity": "info", "message": "1 item", "span": [0, 3]}
            ],
        }
    ],
    "text": "Oak desk.",
    "placement": "x.post",
    "language": "en",
    "tone": "casual",
    "use_case": "social_media_post",
    "usage": {"input_tokens": 10, "cost_usd": 0.0001},
    "receipt": {"served_by": "fake:fake-1", "attempts": [{"target": "fake", "outcome": "ok"}]},
    "created_at": "2026-11-22T06:00:00Z",
}
LEGACY = {
    "id": "ck_1",
    "content": "Oak desk.",
    "variants": [{"fields": {"text": "Oak desk."}, "content": "Oak desk."}],
    "language": "en",
    "tone": "casual",
    "platform": "x.post",
    "use_case": "social_media_post",
    "model": None,
    "provider": "phrasebank",
    "tokens_used": 0,
    "cost_usd": 0.0,
    "cached": False,
    "processing_time_ms": 1.5,
    "created_at": "2026-11-22T06:00:00Z",
}


def _problem(status: int, code: str, **more: Any) -> dict[str, Any]:
    told = {"type": f"urn:copykit:{code}", "title": code, "detail": "what went wrong", "retryable": True}
    return {**told, "status": status, "code": code, "request_id": "r-1", **more}


def _service() -> list[bytes]:
    problems = [
        _problem(422, "invalid_request", field="tone", value="'hapy'", reason="unknown", nearest=["happy"]),
        _problem(429, "budget_exceeded", cap=1.0, spent=0.9, estimate=0.2, scope="budget"),
        _problem(503, "overloaded", queued=9, limit=4, retry_after_s=1.5),
        _problem(504, "deadline_exceeded", after_s=60.0),
        _problem(502, "provider_failed", attempts=[{"target": "fake", "outcome": "provider_timeout"}]),
        _problem(422, "output_rejected", violations=OUTPUT["variants"][0]["violations"]),
        _problem(401, "unauthorized"),
    ]
    summary = {"total": 2, "succeeded": 1, "failed": 1}
    results = [
        {"index": 0, "status": "ok", "error": None, "output": OUTPUT},
        {"index": 1, "status": "failed", "error": problems[0], "output": None},
    ]
    return [
        *(
            exchange(one["status"], json.dumps(one), content_type="application/problem+json")
            for one in problems
        ),
        exchange(200, json.dumps(OUTPUT)),
        exchange(200, json.dumps(LEGACY)),
        exchange(200, json.dumps({"results": results, "summary": summary})),
        exchange(502, "<html>Bad gateway</html>", content_type="text/html"),
        exchange(429, "{}", retry_after="Sun, 22 Nov 2026 10:00:00 GMT"),
        exchange(307, "", location="https://elsewhere.example/"),
    ]


def _service_streams() -> list[bytes]:
    told = [
        ("started", {"placement": "x.post", "language": "en"}),
        ("delta", {"variant": 0, "field": "text", "text": "Oak"}),
        ("field", {"variant": 0, "field": "text", "text": "Oak desk.", "violations": []}),
        (
            "mended",
            {"variant": 0, "field": "text", "text": "Oak.", "rule": "M-01", "how": "x", "violations": []},
        ),
    ]
    ends = [("done", {"output": OUTPUT, "order": [0]}), ("error", _problem(502, "provider_unavailable"))]
    found = []
    for end in (*ends, ("weather", {"mood": 1})):
        lines = [f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n" for name, data in (*told, end)]
        found.append(exchange(200, ": ping\n\n" + "".join(lines), content_type="text/event-stream"))
    return [*found, _service()[0]]


def seeds(name: str) -> list[bytes]:
    """Give the inputs that the reader called *name* starts from."""
    streams = {"anthropic": _anthropic_streams, "google": _google_streams, "client": _service_streams}
    answers = {"anthropic": _anthropic, "google": _google, "client": _service}
    if name == "events":
        return [*_raw_events(), *(one.partition(b"\n\n")[2][:300] for one in _openai_streams())]
    if name in ("drafts", "texts", "fields"):
        return [*_answers(), *_repaired(), b'\\{"variants": [{"fields": {"text": "Oak \xff"}}]}']
    vendor, _, kind = name.partition("-")
    return (streams if kind == "stream" else answers).get(
        vendor, _openai_streams if kind == "stream" else _openai
    )()
