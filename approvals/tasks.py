from __future__ import annotations

from django.utils import timezone

from approvals import services


def expire_gates() -> int:
    """Queue and reconciler entry point. Safe to run twice, late, or at once in several processes."""
    return services.expire_due(timezone.now())
