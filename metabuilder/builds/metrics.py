"""The state of queue, workers and runs, read from the database at scrape time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from metabuilder.builds.models import BuildRun, WorkerHeartbeat
from metabuilder.builds.queue import ALIVE_SECONDS, queue_depth
from metabuilder.builds.states import RunStatus


class DatabaseCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("builds_queue_depth", "Wake-ups that are due and not taken.", queue_depth())
        yield GaugeMetricFamily("builds_workers_alive", "Workers with a fresh heartbeat.", workers_alive())
        runs = GaugeMetricFamily("builds_runs", "Runs by status.", labels=["status"])
        counts = dict(BuildRun.objects.order_by().values_list("status").annotate(Count("pk")))
        for status in RunStatus.values:
            runs.add_metric([status], counts.get(status, 0))
        yield runs


def workers_alive() -> int:
    since = timezone.now() - timedelta(seconds=ALIVE_SECONDS)
    return WorkerHeartbeat.objects.filter(seen_at__gte=since).count()
