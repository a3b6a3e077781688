from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from autofix.failures import FailureSignal
from autofix.models import AutoFixRun, FixTrial, PlanDelta
from metabuilder.builds.api.serializers import FirstSignalSerializer
from metabuilder.builds.plans import StepKind


class TrialSerializer(serializers.ModelSerializer[FixTrial]):
    guard_verdict = serializers.JSONField(allow_null=True)

    class Meta:
        model = FixTrial
        fields = (
            *("number", "candidate", "summary", "diff_digest", "diff", "guard_verdict", "ladder_level"),
            *("passed", "reason", "seconds", "created_at"),
        )


class AttemptSerializer(serializers.ModelSerializer[AutoFixRun]):
    step = serializers.CharField(source="step.name")
    step_id = serializers.UUIDField()
    decision = serializers.JSONField(allow_null=True, help_text="The decision record: all that went into it.")
    trials = TrialSerializer(many=True)

    class Meta:
        model = AutoFixRun
        fields = (
            *("id", "step", "step_id", "iteration", "attempt", "signal_type", "strategy", "outcome", "backoff"),
            *("fingerprint", "candidate_key", "harmful", "fix_commit", "decision", "created_at", "updated_at"),
            "trials",
        )


class SummarySerializer(serializers.Serializer[Any]):
    """A run's auto-fix at a glance. The budgets are those of this iteration, as they count now."""

    status = serializers.CharField()
    outcome = serializers.CharField()
    iteration = serializers.IntegerField()
    auto_fix_enabled = serializers.BooleanField()
    attempt_counter = serializers.IntegerField(help_text="Attempts over the run's whole life.")
    total_attempts = serializers.IntegerField()
    max_total_attempts = serializers.IntegerField()
    per_step_attempts = serializers.DictField(child=serializers.IntegerField())
    max_per_step_attempts = serializers.IntegerField()
    last_backoff_seconds = serializers.FloatField(allow_null=True)
    outcomes = serializers.DictField(child=serializers.IntegerField(), help_text="Attempts by outcome, all iterations.")


class HistorySerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    summary = SummarySerializer()
    results = AttemptSerializer(many=True)


class PlanDeltaSerializer(serializers.ModelSerializer[PlanDelta]):
    delta_data = serializers.JSONField(help_text="RFC 6902 patch from the original plan to the new one.")

    class Meta:
        model = PlanDelta
        fields = ("id", "run", "original_plan", "new_plan", "delta_data", "triggered_by", "created_at")


class FailureSerializer(serializers.Serializer[Any]):
    """What to classify."""

    step_name = serializers.CharField(max_length=200)
    logs = serializers.CharField(allow_blank=True, trim_whitespace=False, help_text="At most 1 MiB.")
    exit_code = serializers.IntegerField(required=False, allow_null=True, min_value=-(2**31), max_value=2**31 - 1)
    step_kind = serializers.ChoiceField(required=False, allow_null=True, choices=[kind.value for kind in StepKind])
    command = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=20_000)
    artifacts = serializers.ListField(
        child=serializers.CharField(max_length=1000), required=False, default=list, max_length=200
    )
    tenant_id = serializers.CharField(
        required=False, max_length=100, help_text="Slug or id: adds that tenant's own rules."
    )
    run_id = serializers.UUIDField(required=False, help_text="Adds the rules of that run's tenant.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "tenant_id" in attrs and "run_id" in attrs:
            raise serializers.ValidationError({"run_id": "Give tenant_id or run_id, not both."})
        return attrs


class LogLineSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField(help_text="1-based.")
    text = serializers.CharField()
    rule = serializers.CharField()


class SignalSerializer(FirstSignalSerializer):
    """A failure's cause with all that says so."""

    evidence = LogLineSerializer(many=True, help_text="The deciding line first.")
    fingerprint = serializers.CharField()
    can_retry = serializers.BooleanField()
    requires_replan = serializers.BooleanField()
    requires_approval = serializers.BooleanField()
    details = serializers.DictField()
    others = serializers.ListField(child=serializers.CharField())


def signal_json(signal: FailureSignal) -> Mapping[str, Any]:
    return {
        "type": signal.type.value,
        "confidence": signal.confidence,
        "message": signal.message,
        "evidence": [{"number": line.number, "text": line.text, "rule": line.rule} for line in signal.evidence],
        "fingerprint": signal.fingerprint,
        "can_retry": signal.can_retry,
        "requires_replan": signal.requires_replan,
        "requires_approval": signal.requires_approval,
        "details": dict(signal.details),
        "others": [other.value for other in signal.others],
    }
