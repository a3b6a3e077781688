"""Runs and their parts are read here; members, tenants and tokens are managed here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Count, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from metabuilder.builds import members
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.git import hide_credentials
from metabuilder.builds.logs import stored_log
from metabuilder.builds.masking import masked_plan
from metabuilder.builds.models import (
    ApiToken,
    BuildRun,
    BuildStep,
    Membership,
    ScaffoldPlan,
    StepExecution,
    Tenant,
    WorkerHeartbeat,
)
from metabuilder.builds.states import Role
from metabuilder.builds.tokens import digest_of, new_token

SHOWN_LOG_BYTES = 64 << 10

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


def current_user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin lets nobody else in
    return request.user


def preformatted(text: str) -> SafeString:
    return format_html('<pre style="white-space: pre-wrap; margin: 0">{}</pre>', text)


def pretty(value: object) -> SafeString:
    return preformatted(json.dumps(value, indent=2, ensure_ascii=False))


def link_to(row: Model, text: object = None) -> SafeString:
    """Link to a row's own page."""
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, row if text is None else text)


def shown(heading: str, show: Callable[[Any], SafeString]) -> staticmethod[[Any], SafeString]:
    """A column or field of an admin class, made of its row."""
    return staticmethod(admin.display(description=heading)(show))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> SafeString:
    if not rows:
        return format_html("{}", "none")
    head = format_html_join("", '<th scope="col">{}</th>', ((name,) for name in heads))
    cells = (format_html_join("", "<td>{}</td>", ((_cell(cell),) for cell in row)) for row in rows)
    body = format_html_join("", "<tr>{}</tr>", ((row,) for row in cells))
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body)


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return date_format(timezone.localtime(value), "DATETIME_FORMAT")
    return "" if value is None else value


def short(identifier: UUID) -> str:
    """The first characters of an id, as the commands show and take them."""
    return str(identifier)[:8]


class MembersAdmin(_ModelAdmin):
    """Read-only rows that every staff member of their tenant sees, and superusers. No Django permissions needed.

    Seeing is not deciding: at gates and in settings a superuser has the rights of their role in the tenant, or none.
    """

    tenant_path = "tenant"  # lookup from the row to its tenant; "" for a tenant itself
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        if current_user(request).is_superuser:
            return rows
        path = f"{self.tenant_path}__memberships__user" if self.tenant_path else "memberships__user"
        return rows.filter(**{path: request.user.pk})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        user = request.user
        if not (user.is_active and user.is_staff):
            return False
        if obj is not None:
            return self.get_queryset(request).filter(pk=obj.pk).exists()
        return user.is_superuser or Membership.objects.filter(user_id=user.pk).exists()

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class SuperusersEdit(_ModelAdmin):
    """Goes before MembersAdmin: superusers add and change what others read."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active and request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active and request.user.is_superuser


@admin.register(Tenant)
class TenantAdmin(SuperusersEdit, MembersAdmin):
    tenant_path = ""
    list_display = ("slug", "name", "created_at")
    search_fields = ("slug", "name")
    ordering = ("slug",)
    fields = ("slug", "name", "members_shown")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("slug", "members_shown") if obj else ("members_shown",)  # addresses hold the slug

    @admin.display(description="Members")
    def members_shown(self, tenant: Tenant) -> SafeString:
        rows = tenant.memberships.select_related("user").order_by("user__username")[:200] if tenant.pk else ()
        return table(("User", "Role", "Since"), [(link_to(m, m.user), m.role, m.created_at) for m in rows])


@admin.register(Membership)
class MembershipAdmin(SuperusersEdit, MembersAdmin):
    list_display = ("user", "tenant", "role", "created_at")
    list_filter = ("role", ("tenant", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "tenant__slug")
    ordering = ("tenant__slug", "user__username")
    fields = ("tenant", "user", "role")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("tenant", "user") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Membership, form: ModelForm[Any], change: bool) -> None:
        actor, role = current_user(request), Role(obj.role)
        if change:
            members.change_role(obj, role, actor=actor)
        else:
            obj.pk = members.add_member(obj.tenant, obj.user, role, actor=actor).pk

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        members.remove_member(obj, actor=current_user(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        for membership in queryset:
            self.delete_model(request, membership)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, lambda: super(MembershipAdmin, self).changeform_view(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, lambda: super(MembershipAdmin, self).delete_view(request, *args, **kwargs))

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, lambda: super(MembershipAdmin, self).changelist_view(request, *args, **kwargs))

    def _told(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        """Say why a change was refused; out here, its transaction is rolled back."""
        try:
            return view()
        except MetabuilderError as error:
            self.message_user(request, f"Nothing was changed: {error}.", messages.ERROR)
            return HttpResponseRedirect(reverse("admin:builds_membership_changelist"))


@admin.register(ApiToken)
class ApiTokenAdmin(_ModelAdmin):
    """Everybody on the staff makes and revokes their own tokens; superusers also see and revoke others'."""

    list_display = ("name", "user", "created_at", "last_used_at")
    list_select_related = ("user",)
    ordering = ("-created_at",)
    fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        tokens: QuerySet[ApiToken] = super().get_queryset(request)
        return tokens if current_user(request).is_superuser else tokens.filter(user=current_user(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_staff

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is not None and not self.get_queryset(request).filter(pk=obj.pk).exists():
            return False
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_module_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_view_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        obj.plain = new_token()  # for response_add, and nowhere else: not in a message, which is stored
        obj.user, obj.digest = current_user(request), digest_of(obj.plain)
        obj.save()

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "API token made",
            "opts": self.opts,
            "token": obj,
            "plain": obj.plain,
        }
        response = TemplateResponse(request, "admin/builds/apitoken/created.html", context)
        response["Cache-Control"] = "no-store"
        return response


@admin.register(ScaffoldPlan)
class ScaffoldPlanAdmin(MembersAdmin):
    list_display = ("name", "tenant", "digest", "created_at")
    list_filter = (("tenant", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("tenant",)
    search_fields = ("name", "digest")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = ("id", "name", "tenant", "parent", "digest", "created_at", "plan_shown")

    plan_shown = shown("Plan", lambda plan: pretty(masked_plan(plan.body)))


RunPanel = Callable[[BuildRun], SafeString]


@admin.register(BuildRun)
class BuildRunAdmin(MembersAdmin):
    list_display = ("run_shown", "status", "outcome", "tenant", "source_shown", "created_by", "created_at")
    list_filter = ("status", "outcome", ("tenant", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("tenant", "created_by")
    search_fields = ("id", "source", "branch")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    # (heading, field) pairs that apps above this one add: attempts and gates.
    panels: list[tuple[str, RunPanel]] = []

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return (
            (None, {"fields": ("id", "status", "outcome", "result_note", "tenant", "plan", "created_by")}),
            ("First failure", {"fields": ("failure_shown",)}),
            ("Result", {"fields": ("branch", "delivered", "base_commit", "head_commit")}),
            *((heading, {"fields": (field,)}) for heading, field in [("Steps", self.steps_shown), *self.panels]),
            ("Source", {"fields": ("source_shown", "ref", "include_worktree")}),
            (
                "Progress",
                {
                    "fields": (
                        *("iteration", "created_at", "started_at", "finished_at", "wake_at", "deadline_at"),
                        *("cancel_requested_at", "hold", "foreground", "lease_owner", "lease_expires_at"),
                    )
                },
            ),
        )

    @admin.display(description="Run", ordering="id")
    def run_shown(self, run: BuildRun) -> str:
        return short(run.pk)

    @admin.display(description="Source", ordering="source")
    def source_shown(self, run: BuildRun) -> str:
        return hide_credentials(run.source)

    @admin.display(description="Failure")
    def failure_shown(self, run: BuildRun) -> SafeString:
        signal = run.first_signal or {}
        if not signal:
            return format_html("{}", "none")
        sure = f"{float(signal.get('confidence') or 0):.0%} sure"
        return format_html("<strong>{}</strong> ({}): {}", signal.get("type"), sure, signal.get("message"))

    @admin.display(description="Steps")
    def steps_shown(self, run: BuildRun) -> SafeString:
        steps = run.steps.annotate(times=Count("executions")).order_by("position", "name")
        rows = [(link_to(s), s.kind, s.status, s.last_exit_code, s.times, preformatted(s.command)) for s in steps]
        return table(("Step", "Kind", "Status", "Exit code", "Executions", "Command"), rows)


@admin.register(BuildStep)
class BuildStepAdmin(MembersAdmin):
    tenant_path = "run__tenant"
    list_display = ("name", "kind", "status", "run", "last_exit_code", "started_at", "finished_at")
    list_filter = ("status", "kind")
    list_select_related = ("run",)
    search_fields = ("name", "run__id")
    date_hierarchy = "started_at"
    ordering = ("-started_at",)
    fields = (
        *("run_shown", "name", "kind", "status", "command_shown", "last_exit_code"),
        *("started_at", "finished_at", "executions_shown"),
    )

    run_shown = shown("Run", lambda step: link_to(step.run))
    command_shown = shown("Command", lambda step: preformatted(step.command))

    @admin.display(description="Executions")
    def executions_shown(self, step: BuildStep) -> SafeString:
        rows = [
            (link_to(each, f"#{each.number}"), each.purpose, each.end or "running", each.exit_code, each.started_at)
            for each in step.executions.order_by("-number")[:200]
        ]
        return table(("Execution", "Purpose", "End", "Exit code", "Started"), rows)


@admin.register(StepExecution)
class StepExecutionAdmin(MembersAdmin):
    tenant_path = "step__run__tenant"
    list_display = ("__str__", "purpose", "end", "exit_code", "iteration", "started_at", "finished_at")
    list_filter = ("purpose", "end")
    list_select_related = ("step",)
    search_fields = ("step__name", "step__run__id")
    date_hierarchy = "started_at"
    ordering = ("-started_at",)
    fields = (
        *("step_shown", "number", "iteration", "purpose", "command_shown", "end", "exit_code"),
        *("started_at", "finished_at", "commit", "log_shown"),
    )

    step_shown = shown("Step", lambda execution: link_to(execution.step))
    command_shown = shown("Command", lambda execution: preformatted(execution.command))
    log_shown = shown(
        "End of the log",
        lambda execution: preformatted(
            stored_log(execution.log_ref).text(SHOWN_LOG_BYTES) if execution.log_ref else ""
        ),
    )


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(MembersAdmin):
    """Machines are the platform's, not a tenant's."""

    list_display = ("name", "started_at", "seen_at")
    ordering = ("-seen_at",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active and request.user.is_superuser
