"""What auto-fix counts. Durations and counters are multiprocess metrics; the ratio is read from the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from autofix.models import AutoFixRun
from autofix.states import AttemptOutcome

attempts_total = Counter(
    "autofix_attempts", "Attempts by outcome, counted once on leaving pending.", ["signal_type", "outcome"]
)
backoff_seconds = Histogram(
    "autofix_backoff_seconds",
    "Waits before retries.",
    buckets=(0.5, 1, 2, 4, 8, 15, 30, 45, 60, 120, 300, 900),
)
replans_total = Counter("autofix_replans", "Plans replaced by a new version.")
operation_seconds = Histogram(
    "autofix_operation_seconds",
    "How long the engine's own operations took.",
    ["operation"],
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60, 300, 900),
)

SUCCEEDED = (AttemptOutcome.SUCCEEDED,)
FAILED = (AttemptOutcome.FAILED, AttemptOutcome.ROLLED_BACK, AttemptOutcome.GAVE_UP)


def success_ratio() -> float | None:
    """Return succeeded / (succeeded + failed + rolled back + gave up) over 24 hours; None without a sample."""
    since = timezone.now() - timedelta(hours=24)
    rows = AutoFixRun.objects.filter(updated_at__gte=since, outcome__in=[*SUCCEEDED, *FAILED])
    counts = dict(rows.values_list("outcome").annotate(Count("pk")))
    total = sum(counts.values())
    return sum(counts.get(outcome, 0) for outcome in SUCCEEDED) / total if total else None


class DatabaseCollector(Collector):
    """State that every process would report differently, read once at scrape time."""

    def collect(self) -> Iterator[Metric]:
        ratio = success_ratio()
        if ratio is not None:
            yield GaugeMetricFamily("autofix_success_ratio", "Share of attempts that healed, 24 hours.", ratio)
