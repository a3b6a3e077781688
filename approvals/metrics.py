from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Min
from django.utils import timezone
from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from approvals.models import ApprovalGate
from approvals.rules import GateStatus

# Counted when a gate opens (pending) and once more when it closes.
approval_requests = Counter("approval_requests_total", "Approval gates by the status they took.", ["status"])
for _status in GateStatus:  # a rate over a series that is not there yet shows nothing
    approval_requests.labels(status=_status.value)


class DatabaseCollector(Collector):
    """State that every process would report differently, read once at scrape time."""

    def collect(self) -> Iterator[Metric]:
        oldest = ApprovalGate.objects.pending().aggregate(oldest=Min("created_at"))["oldest"]
        waiting = (timezone.now() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily(
            "approvals_oldest_waiting_seconds", "Age of the oldest pending gate; 0 without one.", max(waiting, 0.0)
        )
