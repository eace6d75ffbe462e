"""Traces and client metrics for OpenTelemetry: a span for each request, for each brief and for each provider's call.

Off unless OpenTelemetry's own variables ask for it. Spans hold routes, placements, targets, codes, counts and times;
no prompt, no copy, no address and nothing else of what a client or a model wrote.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from copykit import events
from copykit.data import load_toml
from copykit.errors import ConfigurationError, MissingExtra, nearest_names
from copykit.server.watch.identity import version

__all__ = ["Traces", "trace_problems", "traces_from_env"]

_EXPORTERS = ("otlp", "console", "none")
_PROTOCOL = "http/protobuf"
_CLOSING_S = 1.0
"""For what was not sent yet, at the end; a collector that does not answer delays nobody longer."""
_LONGEST = 128

_generation: ContextVar[Any] = ContextVar("copykit_generation_span", default=None)


class Traces:
    """A hook over an engine's events that makes spans of them, and makes those of requests.

    Args:
        spans: a tracer provider of the SDK; None for no spans.
        meters: a meter provider of the SDK; None for no client metrics.

    Raises:
        MissingExtra: OpenTelemetry is not installed.
    """

    def __init__(self, spans: Any = None, meters: Any = None) -> None:
        self._api, self._context = _module("opentelemetry.trace"), _module("opentelemetry.context")
        self._propagate = _module("opentelemetry.propagate")
        self._providers = [provider for provider in (spans, meters) if provider is not None]
        tracers = self._api.NoOpTracerProvider() if spans is None else spans
        self._tracer = tracers.get_tracer("copykit", version())
        self._names = load_toml("telemetry.toml")
        self._open: dict[str, Any] = {}
        self._instruments: dict[str, Any] = {}
        if meters is not None:
            meter = meters.get_meter("copykit", version())
            for kind, of in self._names["instruments"].items():
                self._instruments[kind] = meter.create_histogram(
                    of["name"], of["unit"], of["what"], explicit_bucket_boundaries_advisory=of["buckets"]
                )

    def __call__(self, event: events.Event) -> None:
        """Make a span, or a part of one, of *event*."""
        match event:
            case events.GenerationStarted():
                span = self._tracer.start_span("generate")
                self._open[event.request_id] = span
                _generation.set(span)
            case events.GenerationFinished():
                told = {"placement": event.placement, "language": event.language, "status": event.status}
                self._ended(event.request_id, {**told, "cached": event.cached})
            case events.GenerationFailed():
                self._ended(event.request_id, {}, event.code)
            case events.AttemptFinished() if event.call:
                self._called(event)
            case _:
                pass

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str], state: dict[str, Any]) -> Iterator[Any]:
        """Surround one request; its trace's number stands in *state* as ``trace_id``, for the log.

        A trace that the client began (``traceparent``) goes on. The span learns from *state* how the request ended.
        """
        began = self._propagate.extract(headers)
        span = self._tracer.start_span(
            method, context=began, kind=self._api.SpanKind.SERVER, attributes={"http.request.method": method}
        )
        number = span.get_span_context().trace_id
        if number:
            state["trace_id"] = f"{number:032x}"
        token = self._context.attach(self._api.set_span_in_context(span))
        try:
            yield span
        finally:
            self._context.detach(token)
            route, status = state.get("route"), state.get("status", 500)
            span.set_attribute("http.response.status_code", status)
            if route is not None:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            if status >= 500:
                self._fail(span, state.get("problem") or str(status))
            span.end()

    def close(self) -> None:
        """Send what is left, for at most a second; blocks so long."""
        sending = [threading.Thread(target=one.shutdown, daemon=True) for one in self._providers]
        until = time.monotonic() + _CLOSING_S
        for thread in sending:
            thread.start()
        for thread in sending:
            thread.join(max(0.0, until - time.monotonic()))

    def _ended(self, number: str, told: dict[str, Any], code: str | None = None) -> None:
        span = self._open.pop(number, None)
        _generation.set(None)
        if span is None:
            return
        span.set_attributes({f"copykit.{name}": value for name, value in told.items()})
        if code is not None:
            self._fail(span, code)
        span.end()

    def _called(self, event: events.AttemptFinished) -> None:
        """Make a span of a call that has just ended, and add it to the client metrics."""
        names = self._names["attributes"]
        provider, _, model = event.target.partition(":")
        operation = self._names["operations"].get(provider, "chat")
        about = {
            names["operation"]: operation,
            names["provider"]: self._names["providers"].get(provider, provider),
            names["model"]: model[:_LONGEST],
        }
        now = time.time_ns()
        parent = _generation.get()
        span = self._tracer.start_span(
            f"{operation} {model[:_LONGEST]}".strip(),
            context=None if parent is None else self._api.set_span_in_context(parent),
            kind=self._api.SpanKind.CLIENT,
            start_time=now - int(event.latency_s * 1e9),
            attributes=about,
        )
        if event.cost_usd is not None:
            span.set_attribute("copykit.cost_usd", event.cost_usd)
        if event.outcome != "ok":
            about = {**about, names["error"]: event.outcome}
            self._fail(span, event.outcome)
        for kind, tokens in (("input", event.input_tokens), ("output", event.output_tokens)):
            if tokens is not None:
                span.set_attribute(names[f"{kind}_tokens"], tokens)
                self._record("tokens", tokens, {**about, names["token_type"]: kind})
        span.end(now)
        self._record("duration", event.latency_s, about)

    def _fail(self, span: Any, code: str) -> None:
        span.set_attribute(self._names["attributes"]["error"], code)
        span.set_status(self._api.Status(self._api.StatusCode.ERROR))

    def _record(self, kind: str, value: float, attributes: dict[str, Any]) -> None:
        if kind in self._instruments:
            self._instruments[kind].record(value, attributes)


def traces_from_env(environment: Mapping[str, str]) -> Traces | None:
    """Give what OpenTelemetry's variables ask for: exporters of spans and of client metrics; None for neither.

    ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or that of ``TRACES`` or ``METRICS``) asks for ``otlp`` there,
    ``OTEL_TRACES_EXPORTER`` and ``OTEL_METRICS_EXPORTER`` name ``otlp``, ``console`` or ``none``; names, headers,
    sampling, intervals and resources are read by the SDK. ``OTEL_SDK_DISABLED=true`` turns all of it off.

    Raises:
        ConfigurationError: another exporter, or another protocol than ``http/protobuf``; all mistakes at once.
        MissingExtra: it is asked for, and the extra ``otel`` is not installed.
    """
    traces, metrics, problems = _asked(environment)
    if problems:
        raise ConfigurationError(problems)
    if traces is None and metrics is None:
        return None
    resources: Any = _module("opentelemetry.sdk.resources")
    name = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "copykit"}
    resource = resources.Resource.create({**name, "service.version": version()})
    return Traces(_spans(traces, resource), _meters(metrics, resource))


def trace_problems(environment: Mapping[str, str]) -> list[str]:
    """Say what is wrong with OpenTelemetry's variables, and whether its package is missing; sends nothing."""
    traces, metrics, problems = _asked(environment)
    if traces is not None or metrics is not None:
        try:
            _module("opentelemetry.sdk.resources")
        except MissingExtra as error:
            problems.append(error.message)
    return problems


def _asked(environment: Mapping[str, str]) -> tuple[str | None, str | None, list[str]]:
    """Give the exporters of spans and of metrics that are asked for, and what is wrong with them."""
    problems: list[str] = []
    if environment.get("OTEL_SDK_DISABLED", "").strip().casefold() == "true":
        return None, None, problems
    traces, metrics = (_exporter(environment, signal, problems) for signal in ("TRACES", "METRICS"))
    return traces, metrics, problems


def _exporter(environment: Mapping[str, str], signal: str, problems: list[str]) -> str | None:
    """Give the exporter of one signal, None for none; add what is wrong to *problems*."""
    addresses = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    told = environment.get(f"OTEL_{signal}_EXPORTER", "").strip().casefold()
    asked = told or ("otlp" if any(environment.get(name, "").strip() for name in addresses) else "none")
    if asked not in _EXPORTERS:
        near = nearest_names(asked, _EXPORTERS, 1)
        hint = f"nearest: {near[0]}" if near else "one of " + ", ".join(_EXPORTERS)
        problems.append(f"OTEL_{signal}_EXPORTER={asked!r}: copykit has no such exporter; {hint}")
    protocols = (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next(
        (environment[name].strip() for name in protocols if environment.get(name, "").strip()), _PROTOCOL
    )
    if asked == "otlp" and protocol != _PROTOCOL:
        problems.append(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r}: copykit sends {_PROTOCOL} only")
    return None if asked == "none" else asked


def _spans(exporter: str | None, resource: Any) -> Any:
    if exporter is None:
        return None
    sdk, sending = _module("opentelemetry.sdk.trace"), _module("opentelemetry.sdk.trace.export")
    spans = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    if exporter == "console":
        spans.add_span_processor(sending.SimpleSpanProcessor(sending.ConsoleSpanExporter()))
    else:
        otlp = _module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        spans.add_span_processor(sending.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    return spans


def _meters(exporter: str | None, resource: Any) -> Any:
    if exporter is None:
        return None
    sdk, sending = _module("opentelemetry.sdk.metrics"), _module("opentelemetry.sdk.metrics.export")
    if exporter == "console":
        sender = sending.ConsoleMetricExporter()
    else:
        sender = _module("opentelemetry.exporter.otlp.proto.http.metric_exporter").OTLPMetricExporter()
    return sdk.MeterProvider(
        [sending.PeriodicExportingMetricReader(sender)], resource=resource, shutdown_on_exit=False
    )


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        package = "opentelemetry-sdk" if "exporter" not in name else "opentelemetry-exporter-otlp-proto-http"
        raise MissingExtra("OpenTelemetry", package, "otel") from None
