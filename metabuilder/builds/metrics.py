"""The state of queue, workers and runs, read from the database at scrape time."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from metabuilder.builds.models import BuildRun
from metabuilder.builds.queue import queue_depth, workers_alive
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
