from __future__ import annotations

from typing import Any

from rest_framework import serializers

from approvals import presentation
from approvals.models import ApprovalDecision, ApprovalGate
from approvals.rules import GateStatus


class DecisionSerializer(serializers.ModelSerializer[ApprovalDecision]):
    actor = serializers.CharField(source="actor.username")

    class Meta:
        model = ApprovalDecision
        fields = ("actor", "verdict", "comment", "created_at")


class GateSerializer(serializers.ModelSerializer[ApprovalGate]):
    tenant = serializers.CharField(source="run.tenant.slug")
    step = serializers.CharField(source="step.name", default=None, allow_null=True)
    evidence = serializers.JSONField(help_text="The deciding log lines: number, text, rule.")
    action = serializers.JSONField(help_text="Exactly what an approval does.")
    meaning = serializers.SerializerMethodField(help_text="The same in words, line by line.")
    requested_by = serializers.CharField(source="requested_by.username", default=None, allow_null=True)
    decisions = DecisionSerializer(many=True)

    class Meta:
        model = ApprovalGate
        fields = (
            *("id", "tenant", "run", "step", "status", "kind", "title", "body", "evidence", "action", "meaning"),
            *("action_hash", "requested_by", "created_at", "expires_at", "decided_at", "decisions"),
        )

    def get_meaning(self, gate: ApprovalGate) -> list[str]:
        return presentation.meaning(gate.action)


class GateFilterSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(required=False, choices=[status.value for status in GateStatus])


class ApprovalSerializer(serializers.Serializer[Any]):
    comment = serializers.CharField(required=False, default="", allow_blank=True, max_length=5000)


class RejectionSerializer(serializers.Serializer[Any]):
    comment = serializers.CharField(max_length=5000, help_text="Why; kept with the decision.")
