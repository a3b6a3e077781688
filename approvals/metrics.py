from __future__ import annotations

from prometheus_client import Counter

from approvals.rules import GateStatus

# Counted when a gate opens (pending) and once more when it closes.
approval_requests = Counter("approval_requests_total", "Approval gates by the status they took.", ["status"])
for _status in GateStatus:  # a rate over a series that is not there yet shows nothing
    approval_requests.labels(status=_status.value)
