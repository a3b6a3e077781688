"""The v3 guide's agent: classification and decision behind one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autofix.decision import Candidate, Decision, RetrySnapshot, Strategy, decide
from autofix.failures import FailureSignal, FailureType, classify_failure
from autofix.policy import RetryPolicy
from settings_flags.resolution import EffectiveSettings

__all__ = ["AutoFixerAgentV3", "Decision", "FailureType", "RetryPolicy", "Strategy"]


class AutoFixerAgentV3:
    """Says what a failure is and what to do about it. Carrying it out is the orchestrator's."""

    def __init__(self, retry_policy: RetryPolicy | None = None) -> None:
        """`retry_policy` is copied; None means the defaults."""
        self.retry_policy = (retry_policy or RetryPolicy()).copy()

    def classify(self, step_name: str, logs: str | bytes, **facts: Any) -> FailureSignal:
        """Classify a log; `facts` are the keywords of `classify_failure`."""
        return classify_failure(step_name, logs, **facts)

    def decide(
        self,
        signal: FailureSignal,
        retry_state: RetrySnapshot | None = None,
        *,
        settings: EffectiveSettings | None = None,
        candidates: Sequence[Candidate] = (),
        jitter: float = 0.0,
        now: float = 0.0,
    ) -> Decision:
        """Choose what to do about `signal` under this agent's policy. Never raises."""
        return decide(
            signal,
            retry_state or RetrySnapshot(),
            self.retry_policy,
            settings or EffectiveSettings(),
            candidates,
            jitter=jitter,
            now=now,
        )
