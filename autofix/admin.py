"""What auto-fix did is read here; a tenant's own failure patterns are edited here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from approvals.models import ApprovalGate
from autofix.models import AutoFixRun, FailurePattern, FixTrial, PlanDelta, RetryState
from autofix.tenant_patterns import MAX_PATTERNS, InvalidPattern, check_pattern
from metabuilder.audit.services import record_event
from metabuilder.builds.admin import (
    BuildRunAdmin,
    MembersAdmin,
    current_user,
    link_to,
    preformatted,
    pretty,
    shown,
    table,
)
from metabuilder.builds.models import BuildRun, Membership, Tenant
from metabuilder.builds.permissions import MAY, Action, may, role_of

if TYPE_CHECKING:
    _PatternForm = forms.ModelForm[FailurePattern]
else:
    _PatternForm = forms.ModelForm


@admin.display(description="Attempts")
def attempts_of(run: BuildRun) -> SafeString:
    rows = [
        (
            link_to(a, f"{a.step} #{a.attempt}"),
            a.iteration,
            a.signal_type,
            a.strategy,
            a.outcome,
            a.backoff,
            a.created_at,
        )
        for a in AutoFixRun.objects.filter(run=run).select_related("step").order_by("created_at")[:200]
    ]
    return table(("Attempt", "Iteration", "Failure", "Strategy", "Outcome", "Backoff (s)", "At"), rows)


@admin.display(description="Gates")
def gates_of(run: BuildRun) -> SafeString:
    gates = ApprovalGate.objects.filter(run=run).order_by("created_at")[:200]
    rows = [(link_to(gate), gate.kind, gate.status, gate.created_at, gate.decided_at) for gate in gates]
    return table(("Gate", "Kind", "Status", "Opened", "Decided"), rows)


BuildRunAdmin.panels += [("Auto-fix", attempts_of), ("Approval", gates_of)]


@admin.register(AutoFixRun)
class AutoFixRunAdmin(MembersAdmin):
    tenant_path = "run__tenant"
    list_display = ("created_at", "signal_type", "strategy", "outcome", "attempt", "step", "run", "harmful")
    list_filter = ("signal_type", "strategy", "outcome", "harmful", ("run__tenant", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("run", "step")
    search_fields = ("run__id", "fingerprint", "candidate_key")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = (
        *("run_shown", "step", "iteration", "attempt", "signal_type", "strategy", "outcome", "backoff"),
        *("candidate_key", "fingerprint", "fix_commit", "harmful", "created_at", "updated_at"),
        *("trials_shown", "decision_shown"),
    )

    run_shown = shown("Run", lambda attempt: link_to(attempt.run))

    @admin.display(description="Trials")
    def trials_shown(self, attempt: AutoFixRun) -> SafeString:
        rows = [
            (link_to(trial, f"{trial.number}: {trial}"), trial.passed, trial.ladder_level, trial.seconds, trial.reason)
            for trial in attempt.trials.defer("diff").order_by("number")
        ]
        return table(("Trial", "Passed", "Level", "Seconds", "Reason"), rows)

    decision_shown = shown("Decision record", lambda attempt: pretty(attempt.decision))


@admin.register(FixTrial)
class FixTrialAdmin(MembersAdmin):
    tenant_path = "attempt__run__tenant"
    list_display = ("created_at", "summary", "candidate", "passed", "ladder_level", "seconds")
    list_filter = ("passed", "ladder_level")
    search_fields = ("candidate", "summary", "attempt__run__id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = (
        *("attempt_shown", "number", "candidate", "summary", "passed", "reason", "ladder_level", "seconds"),
        *("created_at", "guard_shown", "diff_digest", "diff_shown"),
    )

    attempt_shown = shown("Attempt", lambda trial: link_to(trial.attempt))
    guard_shown = shown("Guard", lambda trial: pretty(trial.guard_verdict))
    diff_shown = shown("Diff", lambda trial: preformatted(trial.diff))


@admin.register(RetryState)
class RetryStateAdmin(MembersAdmin):
    tenant_path = "run__tenant"
    list_display = (
        "run",
        "total_attempts",
        "max_total_attempts",
        "max_per_step_attempts",
        "attempt_counter",
        "updated_at",
    )
    list_select_related = ("run",)
    search_fields = ("run__id",)
    date_hierarchy = "updated_at"
    ordering = ("-updated_at",)


@admin.register(PlanDelta)
class PlanDeltaAdmin(MembersAdmin):
    tenant_path = "run__tenant"
    list_display = ("created_at", "triggered_by", "run", "original_plan", "new_plan")
    list_select_related = ("run", "original_plan", "new_plan")
    search_fields = ("run__id", "triggered_by")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = ("run_shown", "triggered_by", "created_at", "original_shown", "new_shown", "delta_shown")

    run_shown = shown("Run", lambda delta: link_to(delta.run))
    original_shown = shown("Original plan", lambda delta: link_to(delta.original_plan))
    new_shown = shown("New plan", lambda delta: link_to(delta.new_plan))
    delta_shown = shown("Patch (RFC 6902)", lambda delta: pretty(delta.delta_data))


class PatternForm(_PatternForm):
    class Meta:
        model = FailurePattern
        fields = ("tenant", "name", "pattern", "signal_type", "enabled")

    def clean_pattern(self) -> str:
        pattern: str = self.cleaned_data["pattern"]
        try:
            check_pattern(pattern)
        except InvalidPattern as error:
            raise forms.ValidationError(str(error)) from error
        return pattern

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        tenant = cleaned.get("tenant") or self.instance.tenant_id
        others = FailurePattern.objects.filter(tenant=tenant).exclude(pk=self.instance.pk)
        if tenant and others.count() >= MAX_PATTERNS:
            raise forms.ValidationError(f"A tenant has at most {MAX_PATTERNS} patterns.")
        return cleaned


@admin.register(FailurePattern)
class FailurePatternAdmin(MembersAdmin):
    """Every member reads a tenant's patterns; who may change its settings may change them too."""

    form = PatternForm
    list_display = ("name", "tenant", "signal_type", "enabled", "pattern", "created_at")
    list_filter = ("signal_type", "enabled", ("tenant", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("tenant",)
    search_fields = ("name", "pattern")
    date_hierarchy = "created_at"
    ordering = ("tenant__slug", "name")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("tenant",) if obj else ()

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _editable_tenants(request).exists()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if not isinstance(obj, FailurePattern):
            return self.has_add_permission(request)
        return request.user.is_active and may(role_of(request.user, obj.tenant_id), Action.SETTINGS)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "tenant":
            kwargs["queryset"] = _editable_tenants(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: FailurePattern, form: Any, change: bool) -> None:
        old = FailurePattern.objects.filter(pk=obj.pk).first()
        super().save_model(request, obj, form, change)
        _audit(request, obj, old=_facts(old), new=_facts(obj))

    def delete_model(self, request: HttpRequest, obj: FailurePattern) -> None:
        _audit(request, obj, old=_facts(obj), new=None)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[FailurePattern]) -> None:
        for pattern in queryset:
            self.delete_model(request, pattern)


def _editable_tenants(request: HttpRequest) -> QuerySet[Tenant]:
    roles = [role.value for role in MAY[Action.SETTINGS]]
    memberships = Membership.objects.filter(user_id=current_user(request).pk, role__in=roles)
    return Tenant.objects.filter(pk__in=memberships.values("tenant"))


def _facts(pattern: FailurePattern | None) -> dict[str, Any] | None:
    if pattern is None:
        return None
    return {name: getattr(pattern, name) for name in ("name", "pattern", "signal_type", "enabled")}


def _audit(request: HttpRequest, pattern: FailurePattern, **change: Any) -> None:
    """A pattern decides what happens to failures, as a setting does."""
    payload = {"level": "tenant", "changes": {"failure_pattern": change}}
    record_event(
        "settings.changed", tenant=pattern.tenant, subject=pattern, actor=current_user(request), payload=payload
    )
