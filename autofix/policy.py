"""How often and how long to wait before a step is run again (pure)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from autofix.failures import FailureType
from metabuilder.builds.errors import MetabuilderError
from settings_flags.resolution import EffectiveSettings

MAX_RETRIES: Mapping[FailureType, int] = {
    FailureType.TRANSIENT: 3,
    FailureType.INFRA: 2,
    FailureType.TEST_ASSERT: 0,
    FailureType.LINT: 0,
    FailureType.TYPECHECK: 0,
    FailureType.SECURITY: 0,
    FailureType.POLICY: 0,
    FailureType.RUNTIME: 1,
    FailureType.SCHEMA_MIGRATION: 0,
    FailureType.RATE_LIMIT: 3,
    FailureType.UNKNOWN: 2,
}
BACKOFF_MULTIPLIER: Mapping[FailureType, float] = {
    FailureType.TRANSIENT: 2.0,
    FailureType.INFRA: 1.5,
    FailureType.RATE_LIMIT: 2.0,
    FailureType.RUNTIME: 1.0,
    FailureType.UNKNOWN: 1.5,
}
_SERVER_JITTER = 0.1  # of the wait a server asked for, so that its clients do not come back all at once


class InvalidRetryPolicy(MetabuilderError, ValueError):
    """A field of a retry policy makes no sense. Nothing was changed."""

    code: ClassVar[str] = "invalid_retry_policy"
    http_status: ClassVar[int] = 400


class RetryPolicy:
    """When a failed step may be run again; the mutable object of the v3 guide.

    Mappings are keyed by FailureType or its name; what they leave out keeps its default. Delays are in
    seconds. Whoever takes a policy works on a `copy()`, which also checks what was assigned since.
    """

    def __init__(
        self,
        *,
        max_retries: Mapping[Any, int] | None = None,
        backoff_multiplier: Mapping[Any, float] | None = None,
        base_delay: float = 1.0,
        max_delay: float = 60.0,
        max_total_attempts: int = 6,
        max_per_step_attempts: int = 3,
    ) -> None:
        """Raises InvalidRetryPolicy, which names the field."""
        self.max_retries = dict(MAX_RETRIES)
        for key, count in (max_retries or {}).items():
            failure_type = _failure_type("max_retries", key)
            self.max_retries[failure_type] = _count(f"max_retries[{failure_type}]", count)
        self.backoff_multiplier = dict(BACKOFF_MULTIPLIER)
        for key, multiplier in (backoff_multiplier or {}).items():
            failure_type = _failure_type("backoff_multiplier", key)
            self.backoff_multiplier[failure_type] = _number(
                f"backoff_multiplier[{failure_type}]", multiplier, minimum=1.0
            )
        self.base_delay = _number("base_delay", base_delay)
        self.max_delay = _number("max_delay", max_delay)
        self.max_total_attempts = _count("max_total_attempts", max_total_attempts)
        self.max_per_step_attempts = _count("max_per_step_attempts", max_per_step_attempts)
        # (base, cap) of the types whose delays a plan's step sets apart.
        self._delays: dict[FailureType, tuple[float, float]] = {}

    def fields(self) -> dict[str, Any]:
        return {
            "max_retries": dict(self.max_retries),
            "backoff_multiplier": dict(self.backoff_multiplier),
            "base_delay": self.base_delay,
            "max_delay": self.max_delay,
            "max_total_attempts": self.max_total_attempts,
            "max_per_step_attempts": self.max_per_step_attempts,
        }

    def copy(self) -> RetryPolicy:
        """Return an independent, checked copy. Raises InvalidRetryPolicy."""
        policy = RetryPolicy(**self.fields())
        policy._delays = dict(self._delays)
        return policy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RetryPolicy) and (self.fields(), self._delays) == (
            other.fields(),
            other._delays,
        )

    __hash__ = None  # type: ignore[assignment]  # mutable, as the guide has it

    def __repr__(self) -> str:
        return f"RetryPolicy({', '.join(f'{name}={value!r}' for name, value in self.fields().items())})"

    def retries_for(self, failure_type: FailureType) -> int:
        return self.max_retries.get(failure_type, 0)

    def delay_seconds(self, failure_type: FailureType, retry_number: int, *, jitter: float = 0.0) -> float:
        """Return the wait in seconds before the `retry_number`-th retry (1-based) of a failure type.

        Capped exponential backoff, min(max_delay, base_delay * multiplier ** (retry_number - 1)). `jitter`
        (0..1, drawn by the caller) shortens it, at 1 by half.
        """
        multiplier = self.backoff_multiplier.get(failure_type, 1.0)
        base_delay, max_delay = self._delays.get(failure_type, (self.base_delay, self.max_delay))
        exponent = float(min(max(retry_number, 1) - 1, 2**53))  # a larger int may not fit a float at all
        try:
            delay = min(max_delay, base_delay * math.pow(multiplier, exponent))
        except OverflowError:
            delay = max_delay if base_delay else 0.0
        return delay * (1.0 - _fraction(jitter) / 2.0)

    def for_step(self, overrides: Mapping[str, Mapping[str, float]]) -> RetryPolicy:
        """Return a copy with the `retry` section of a plan's step applied: per failure type, its fields.

        Such a delay may be shorter than this policy's, and longer only within its max_delay.
        Raises InvalidRetryPolicy.
        """
        policy = self.copy()
        for key, fields in overrides.items():
            failure_type = _failure_type("retry", key)
            at = f"retry.{failure_type}"
            if "max_retries" in fields:
                policy.max_retries[failure_type] = _count(f"{at}.max_retries", fields["max_retries"])
            if "backoff_multiplier" in fields:
                policy.backoff_multiplier[failure_type] = _number(
                    f"{at}.backoff_multiplier", fields["backoff_multiplier"], minimum=1.0
                )
            base_delay, max_delay = self._delays.get(failure_type, (self.base_delay, self.max_delay))
            policy._delays[failure_type] = (
                _number(f"{at}.base_delay", fields.get("base_delay", base_delay)),
                min(self.max_delay, _number(f"{at}.max_delay", fields.get("max_delay", max_delay))),
            )
        return policy


def policy_from_settings(settings: EffectiveSettings) -> RetryPolicy:
    """Return the default policy within the budgets and the backoff cap of the effective settings."""
    return RetryPolicy(
        max_delay=settings.backoff_cap_seconds,
        max_total_attempts=settings.max_total_attempts,
        max_per_step_attempts=settings.max_per_step_attempts,
    )


def server_wait(details: Mapping[str, Any], *, now: float) -> float | None:
    """Return the seconds a server told us to wait, or None if it told us nothing.

    `details` may hold `retry_after` (seconds) and `retry_at` (epoch seconds, as `now`); the longer one
    counts, and a time that has passed counts as no wait.
    """
    waits = []
    if (retry_after := _told(details.get("retry_after"))) is not None:
        waits.append(max(0.0, retry_after))
    if (retry_at := _told(details.get("retry_at"))) is not None:
        waits.append(max(0.0, retry_at - now))
    return max(waits, default=None)


def add_jitter(wait: float, *, jitter: float, cap: float) -> float:
    """Return a server-told wait lengthened by at most a tenth (or one second if that is more), up to `cap`.

    A wait already above `cap` is returned as it is: it is never shortened.
    """
    return max(wait, min(cap, wait + _fraction(jitter) * max(1.0, wait * _SERVER_JITTER)))


def _told(value: object) -> float | None:
    """A number from a log: anything unusable is as good as nothing said."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _fraction(jitter: float) -> float:
    return min(max(0.0, jitter), 1.0)  # in this order NaN becomes 0


def _failure_type(field: str, key: object) -> FailureType:
    try:
        return FailureType(str(key).upper())
    except ValueError:
        known = ", ".join(FailureType)
        raise InvalidRetryPolicy(f"{field}: {key!r} is not a failure type; expected one of {known}") from None


def _count(field: str, value: object) -> int:
    if isinstance(value, float) and value.is_integer():  # JSON and YAML do not keep 3 and 3.0 apart
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRetryPolicy(f"{field}: expected a whole number, not {value!r}")
    if value < 0:
        raise InvalidRetryPolicy(f"{field}: {value} is negative")
    return value


def _number(field: str, value: object, *, minimum: float = 0.0) -> float:
    number = _told(value)
    if number is None:
        raise InvalidRetryPolicy(f"{field}: expected a finite number, not {value!r}")
    if number < minimum:
        raise InvalidRetryPolicy(f"{field}: {number:g} is below {minimum:g}")
    return number
