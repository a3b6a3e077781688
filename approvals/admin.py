from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from approvals import presentation, services
from approvals.models import ApprovalDecision, ApprovalGate
from approvals.rules import DECIDING_ROLES, GateStatus, is_own
from metabuilder.builds.admin import MembersAdmin, current_user, link_to, short
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.models import Membership
from metabuilder.builds.permissions import Action, may, role_of
from metabuilder.builds.queue import worker_alive


class RejectionForm(forms.Form):
    comment = forms.CharField(
        label="Reason",
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Kept with the decision.",
    )


@admin.register(ApprovalGate)
class ApprovalGateAdmin(MembersAdmin):
    tenant_path = "run__tenant"
    list_display = ("title", "status", "kind", "tenant", "run_shown", "created_at", "expires_at")
    list_filter = ("status", "kind")
    search_fields = ("title", "run__id")
    ordering = ("-created_at",)
    list_select_related = ("run__tenant",)
    actions = ("approve_selected", "reject_selected")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status", "kind"),
                    ("run", "step"),
                    ("tenant", "requested_by"),
                    ("created_at", "expires_at"),
                )
            },
        ),
        ("What failed", {"fields": ("what_failed", "evidence_shown")}),
        ("If you approve", {"fields": ("meaning", "diff", "exact_action", "action_hash")}),
        ("If you reject", {"fields": ("rejection",)}),
        ("Decision", {"fields": ("decided_at", "decisions_shown")}),
    )

    @admin.display(ordering="run__tenant__slug")
    def tenant(self, gate: ApprovalGate) -> str:
        return gate.run.tenant.slug

    @admin.display(description="Run", ordering="run")
    def run_shown(self, gate: ApprovalGate) -> SafeString:
        return link_to(gate.run, short(gate.run_id))

    @admin.display(description="Failure")
    def what_failed(self, gate: ApprovalGate) -> SafeString:
        return _preformatted(presentation.visible(gate.body))

    @admin.display(description="Evidence")
    def evidence_shown(self, gate: ApprovalGate) -> SafeString:
        return _preformatted("\n".join(presentation.evidence_lines(gate.evidence)))

    @admin.display(description="What happens")
    def meaning(self, gate: ApprovalGate) -> SafeString:
        return format_html_join("", "<p>{}</p>", ((line,) for line in presentation.meaning(gate.action)))

    @admin.display(description="Diff")
    def diff(self, gate: ApprovalGate) -> SafeString:
        lines = presentation.diff_lines(str(gate.action.get("patch") or ""))
        coloured = format_html_join(
            "\n", '<span class="diff-{}">{}</span>', ((line.kind, line.text) for line in lines if line.text)
        )
        return format_html('<pre class="gate-text">{}</pre>', coloured) if coloured else format_html("{}", "none")

    @admin.display(description="The exact action")
    def exact_action(self, gate: ApprovalGate) -> SafeString:
        shown = _preformatted(presentation.exact(gate.action))
        return format_html("<details><summary>everything that the decision is bound to</summary>{}</details>", shown)

    @admin.display(description="What happens")
    def rejection(self, gate: ApprovalGate) -> str:
        return presentation.REJECTION

    @admin.display(description="Decided by")
    def decisions_shown(self, gate: ApprovalGate) -> SafeString:
        rows = gate.decisions.select_related("actor")
        if not rows:
            return format_html("{}", "nobody yet")
        return format_html_join("", "<p>{} by {}: {}</p>", ((d.verdict, d.actor, d.comment or "-") for d in rows))

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(self.decide_view)
        return [
            path("<uuid:gate_id>/decide/", decide, name="approvals_approvalgate_decide"),
            *super().get_urls(),
        ]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Whether to offer the actions at all; the services check each gate."""
        user = request.user
        return user.is_active and Membership.objects.filter(user_id=user.pk, role__in=DECIDING_ROLES).exists()

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        gate = self.get_object(request, object_id)
        extra = {} if gate is None else self._decision_context(request, gate)
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def _decision_context(self, request: HttpRequest, gate: ApprovalGate) -> dict[str, Any]:
        may_decide = may(role_of(request.user, gate.run.tenant_id), Action.DECIDE)
        return {
            "gate_state": presentation.closing(gate.status),
            "may_decide": may_decide and gate.status == GateStatus.PENDING,
            "is_own": is_own(gate.question(), current_user(request).pk),
            "decide_url": reverse("admin:approvals_approvalgate_decide", args=[gate.pk]),
        }

    def decide_view(self, request: HttpRequest, gate_id: str) -> HttpResponse:
        """Take the form of a gate's own page."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        gate = self.get_queryset(request).filter(pk=gate_id).first()
        if gate is None or not self.has_view_permission(request, gate):
            raise Http404
        comment = request.POST.get("comment", "")
        if request.POST.get("verdict") == "approve":
            self._decide(
                request, gate, lambda: services.approve_gate(gate, actor=current_user(request), comment=comment)
            )
        elif request.POST.get("verdict") == "reject":
            self._decide(
                request, gate, lambda: services.reject_gate(gate, actor=current_user(request), comment=comment)
            )
        return HttpResponseRedirect(reverse("admin:approvals_approvalgate_change", args=[gate.pk]))

    def _decide(self, request: HttpRequest, gate: ApprovalGate, decide: Callable[[], ApprovalGate]) -> None:
        try:
            decided = decide()
        except MetabuilderError as error:
            self.message_user(request, f"“{gate.title}” was not decided: {error}", messages.WARNING)
            return
        self.message_user(request, f"“{gate.title}” is {decided.status}.", messages.SUCCESS)
        if not worker_alive():
            self.message_user(request, "No worker is alive; the run goes on when one starts.", messages.WARNING)

    @admin.action(description="Approve selected gates", permissions=["decide"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[ApprovalGate]) -> None:
        for gate in queryset:
            self._decide(request, gate, lambda gate=gate: services.approve_gate(gate, actor=current_user(request)))  # type: ignore[misc]  # binds the loop's gate

    @admin.action(description="Reject selected gates", permissions=["decide"])
    def reject_selected(self, request: HttpRequest, queryset: QuerySet[ApprovalGate]) -> HttpResponse | None:
        form = RejectionForm(request.POST if "confirmed" in request.POST else None)
        if form.is_valid():
            reason = form.cleaned_data["comment"]
            for gate in queryset:
                self._decide(
                    request,
                    gate,
                    lambda gate=gate: services.reject_gate(gate, actor=current_user(request), comment=reason),  # type: ignore[misc]  # binds the loop's gate
                )
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Reject gates",
            "opts": self.opts,
            "gates": queryset,
            "form": form,
            "rejection": presentation.REJECTION,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/approvals/approvalgate/reject_selected.html", context)


@admin.register(ApprovalDecision)
class ApprovalDecisionAdmin(MembersAdmin):
    tenant_path = "gate__run__tenant"
    list_display = ("created_at", "verdict", "actor", "gate", "comment")
    list_filter = ("verdict",)
    ordering = ("-created_at",)
    list_select_related = ("gate", "actor")
    fields = ("gate", "actor", "verdict", "comment", "created_at")


def _preformatted(text: str) -> SafeString:
    return format_html('<pre class="gate-text">{}</pre>', text)
