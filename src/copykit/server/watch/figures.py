"""The table of all figures that a server tells of itself, and what holds their values: for one worker or for several.

Names follow Prometheus' conventions: base units, counters that end in ``_total`` where they are told. With
``PROMETHEUS_MULTIPROC_DIR`` set before `prometheus_client` is first imported, each worker writes its values into a file
there, and any of them gives the sum of all (`Figure.together` says how gauges come together).
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from copykit.server.watch.figure_files import FOLDER_VARIABLE

__all__ = ["CONTENT_TYPE", "FAMILIES", "FIGURES", "Figure", "Figures"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
FAMILIES = ("requests", "providers", "cache", "system", "optimization")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_BRIEFS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
_MOST_NAMES = 100
"""Values of a label that come from requests or settings; the rest counts as ``other``: each is a series for ever."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the table."""

    name: str
    """Without ``_total``."""
    kind: Literal["counter", "gauge", "histogram"]
    family: str
    help: str
    labels: tuple[str, ...] = ()
    together: Literal["livesum", "livemax", "livemin"] = "livesum"
    """How the gauges of all workers that live become one."""
    buckets: tuple[float, ...] = _SECONDS

    @property
    def told_as(self) -> str:
        """The name as a query writes it; a histogram's series add ``_bucket``, ``_sum`` and ``_count``."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _of(family: str, *rows: tuple[Any, ...]) -> tuple[Figure, ...]:
    return tuple(Figure(name, kind, family, *rest) for name, kind, *rest in rows)


FIGURES: tuple[Figure, ...] = (
    *_of(
        "requests",
        (
            "copykit_http_requests",
            "counter",
            "Requests answered, by route, method and status; 499: the client left before.",
            ("route", "method", "status"),
        ),
        (
            "copykit_http_request_duration_seconds",
            "histogram",
            "Time from a request's head to its answer's last byte.",
            ("route",),
        ),
        ("copykit_http_requests_in_flight", "gauge", "Requests that are being served."),
        (
            "copykit_places",
            "gauge",
            "Requests that write copy: taken and waiting, and the limit of those at a time.",
            ("state",),
        ),
        ("copykit_streams", "gauge", "Streams that are open."),
        ("copykit_http_response_bytes", "counter", "Bytes of answers' bodies.", ("route",)),
        ("copykit_http_requests_rejected", "counter", "Requests answered with a problem, by its code.", ("reason",)),
        (
            "copykit_generations",
            "counter",
            "Results, by placement, language and status of the best variant.",
            ("placement", "language", "status"),
        ),
        ("copykit_generation_failures", "counter", "Briefs without a result, by the error's code.", ("code",)),
        ("copykit_generation_duration_seconds", "histogram", "Time of a brief that has a result.", ("cached",)),
    ),
    *_of(
        "providers",
        (
            "copykit_provider_attempts",
            "counter",
            "Calls of a target, by outcome: ok, cancelled or an error's code.",
            ("target", "outcome"),
        ),
        ("copykit_provider_attempt_duration_seconds", "histogram", "Time of a call.", ("target",)),
        ("copykit_provider_tokens", "counter", "Tokens that providers told.", ("target", "kind")),
        ("copykit_provider_cost_usd", "counter", "US dollars charged, as receipts have them.", ("target",)),
        ("copykit_provider_cost_unknown", "counter", "Calls whose cost nobody knows.", ("target",)),
        (
            "copykit_provider_rests",
            "counter",
            "Times a credential was left alone: cooldown or quarantine.",
            ("provider", "kind"),
        ),
        ("copykit_provider_resting", "gauge", "Workers that leave a provider's credential alone now.", ("provider",)),
        (
            "copykit_target_breaker",
            "gauge",
            "Workers whose breaker of a target is in this state: closed, half_open or open.",
            ("target", "state"),
        ),
        (
            "copykit_target_calls",
            "gauge",
            "Calls in_progress and waiting, and the limit of those at a time.",
            ("target", "state"),
        ),
        ("copykit_target_answers", "counter", "Answers whose copy was accepted or rejected.", ("target", "copy")),
        (
            "copykit_budget_usd",
            "gauge",
            "US dollars of the server's budget: cap, spent, and reserved by the worker that reserves most.",
            ("state",),
            "livemax",
        ),
    ),
    *_of(
        "cache",
        ("copykit_cache_lookups", "counter", "Looks into the cache: hit or miss.", ("result",)),
        ("copykit_cache_failures", "counter", "Failures of a cache; the request went on without it.", ("layer",)),
        ("copykit_cache_evictions", "counter", "Entries given up to keep the cache's bounds."),
        (
            "copykit_cache_written_bytes",
            "counter",
            "Bytes put into the cache: plain, as they came, and stored, as they were packed.",
            ("form",),
        ),
        ("copykit_cache_entries", "gauge", "Entries held."),
        ("copykit_cache_size_bytes", "gauge", "Bytes of the entries held."),
    ),
    *_of(
        "system",
        (
            "copykit_build_info",
            "gauge",
            "Workers by version and digest of their configuration: two digests, two configurations.",
            ("version", "config"),
        ),
        ("copykit_workers", "gauge", "Workers that live."),
        ("copykit_worker_starts", "counter", "Workers started since the service was."),
        ("copykit_draining", "gauge", "Workers that take no new requests and are about to end."),
        ("copykit_unsafe_start", "gauge", "1 where others reach a server whose authentication is off.", (), "livemax"),
        ("copykit_start_time_seconds", "gauge", "When the oldest worker that lives was started.", (), "livemin"),
        ("copykit_resident_memory_bytes", "gauge", "Memory of all workers that is in RAM."),
        (
            "copykit_memory_limit_bytes",
            "gauge",
            "Memory that all of them together may use: the container's, else the machine's.",
            (),
            "livemax",
        ),
        ("copykit_cpu_seconds", "counter", "Processor time of all workers."),
        ("copykit_open_fds", "gauge", "File descriptors in use by the worker that uses most.", (), "livemax"),
        ("copykit_max_fds", "gauge", "File descriptors that one worker may use.", (), "livemin"),
        (
            "copykit_event_loop_lag_seconds",
            "gauge",
            "Longest time of the last ten seconds that a worker's loop was late.",
            (),
            "livemax",
        ),
        ("copykit_disk_free_bytes", "gauge", "Space left where the server keeps its data.", (), "livemin"),
        ("copykit_disk_size_bytes", "gauge", "Space of the disk where the server keeps its data.", (), "livemax"),
        ("copykit_gpu_utilization_ratio", "gauge", "Share of time that a GPU computed, 0 to 1.", ("gpu",), "livemax"),
        ("copykit_gpu_memory_used_bytes", "gauge", "Memory of a GPU in use by anybody.", ("gpu",), "livemax"),
        ("copykit_gpu_memory_size_bytes", "gauge", "Memory of a GPU.", ("gpu",), "livemax"),
        (
            "copykit_dependency_up",
            "gauge",
            "1 while what the server was told to use answers, by every worker's word.",
            ("dependency",),
            "livemin",
        ),
    ),
    *_of(
        "optimization",
        (
            "copykit_capability_info",
            "gauge",
            "Workers in which this candidate serves a capability; those in use so far.",
            ("capability", "candidate"),
        ),
        ("copykit_optimization_libraries", "gauge", "Libraries of the catalogue that are installed.", (), "livemax"),
        ("copykit_optimization_score", "gauge", "Share of what could speed this machine up, 0 to 100.", (), "livemin"),
        (
            "copykit_optimization_recommendations",
            "gauge",
            "Libraries worth installing; copykit check names them.",
            (),
            "livemax",
        ),
        ("copykit_batch_briefs", "histogram", "Briefs of a batch.", (), "livesum", _BRIEFS),
        ("copykit_hedges", "counter", "Second targets asked beside a late one."),
        ("copykit_repairs", "counter", "Texts mended without asking a model again, by rule.", ("rule",)),
    ),
)  # fmt: skip


class Figures:
    """The values of the table's figures in this process, and with several workers of all of them.

    A label whose values come from requests or settings keeps the first hundred; the rest counts as ``other``.
    """

    def __init__(self) -> None:
        folder = _folder()  # first: the metrics begin to write there
        own = CollectorRegistry()
        self._metrics: dict[str, Any] = {figure.name: _made(figure, own) for figure in FIGURES}
        self._known: dict[tuple[str, int], dict[str, None]] = {}
        self._series: dict[tuple[str, ...], Any] = {}
        """Those that were asked for, which finds them six times as fast; those counted as ``other`` are not kept."""
        self._totals: dict[tuple[str, ...], float] = {}
        self._registry = own
        if folder is not None:
            self._registry = CollectorRegistry()
            MultiProcessCollector(self._registry, path=str(folder))  # type: ignore[no-untyped-call]

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add *by* to a counter."""
        self._at(name, labels).inc(by)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge; one beyond the first hundred of its kind is passed over."""
        if "other" not in (bounded := self._bounded(name, labels)):
            self._at(name, bounded).set(value)

    def count_up_to(self, name: str, total: float, *labels: str) -> None:
        """Bring a counter to *total*, which somebody else counts; less than before is a count begun anew."""
        before = self._totals.get((name, *labels), 0.0)
        self._totals[name, *labels] = total
        self.count(name, *labels, by=total - before if total >= before else total)

    def add(self, name: str, by: float) -> None:
        """Add *by*, which may be negative, to a gauge without labels."""
        self._metrics[name].inc(by)

    def one(self, name: str, *labels: str) -> Any:
        """Give one series itself, for whoever counts it often; its labels must be few and known beforehand."""
        return self._at(name, labels)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        self._at(name, labels).observe(value)

    def text(self) -> bytes:
        """Give everything in Prometheus' text form; takes some milliseconds, and is safe in a thread."""
        return generate_latest(_Gathered(self.collect()))

    def data(self) -> dict[str, dict[str, Any]]:
        """Give the same as data: by family, each figure with its kind, what it is, and its values with their labels."""
        told = {family.name: family for family in self.collect()}
        return {
            family: {
                figure.told_as: {
                    "kind": figure.kind,
                    "help": figure.help,
                    "values": _values(figure, told[figure.name]),
                }
                for figure in FIGURES
                if figure.family == family and figure.name in told
            }
            for family in FAMILIES
        }

    def collect(self) -> list[Metric]:
        """Give all figures, without the times at which single series began.

        A worker that is just being started may have made its file and not yet written into it: then once more.
        """
        _forget_the_dead()
        for last in (False, False, True):
            try:
                gathered = list(self._registry.collect())
                break
            except (struct.error, ValueError, FileNotFoundError):
                if last:
                    raise
                time.sleep(0.01)
        for metric in gathered:
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
        return gathered

    def _at(self, name: str, labels: tuple[str, ...]) -> Any:
        at = (name, *labels)
        series = self._series.get(at)
        if series is None:
            metric, bounded = self._metrics[name], self._bounded(name, labels)
            series = metric.labels(*bounded) if labels else metric
            if bounded == labels:
                self._series[at] = series
        return series

    def _bounded(self, name: str, labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._name(name, at, value) for at, value in enumerate(labels))

    def _name(self, name: str, at: int, value: str) -> str:
        known = self._known.setdefault((name, at), {})
        if value not in known:
            if len(known) >= _MOST_NAMES:
                return "other"
            known[value] = None
        return value


class _Gathered(Collector):
    """What was gathered, as the exposition asks for it."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """Give it."""
        return self._metrics


def _made(figure: Figure, registry: CollectorRegistry) -> Any:
    if figure.kind == "counter":
        return Counter(figure.name, figure.help, figure.labels, registry=registry)
    if figure.kind == "gauge":
        return Gauge(
            figure.name, figure.help, figure.labels, registry=registry, multiprocess_mode=figure.together
        )
    return Histogram(figure.name, figure.help, figure.labels, registry=registry, buckets=figure.buckets)


def _values(figure: Figure, metric: Metric) -> list[dict[str, Any]]:
    """Give each series; of a histogram its count, its sum and how many were at most each bound."""
    series: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in metric.samples:
        labels = {name: one.labels[name] for name in figure.labels}
        row = series.setdefault(tuple(labels.values()), {"labels": labels})
        if figure.kind != "histogram":
            row["value"] = one.value
        elif "le" in one.labels:
            row.setdefault("at_most", {})[one.labels["le"]] = one.value
        else:
            row[one.name.rpartition("_")[2]] = one.value
    return list(series.values())


def _folder() -> Path | None:
    told = os.environ.get(FOLDER_VARIABLE)
    if not told:
        return None
    _forget_own_predecessor()
    return Path(told)


@cache
def _forget_own_predecessor() -> None:
    """Take away what a dead worker with this process's number left: its gauges would be read as our own. Once."""
    mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


def _forget_the_dead() -> None:
    """Take the gauges of workers that ended out of the folder; their counters and histograms stay in the sums."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return
    for number in {path.stem.rpartition("_")[2] for path in Path(folder).glob("gauge_live*.db")}:
        if number.isdigit() and not _lives(int(number)):
            mark_process_dead(int(number))  # type: ignore[no-untyped-call]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
