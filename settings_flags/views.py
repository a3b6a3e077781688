"""Settings -> Builder -> Auto-Fix (v3): what counts for a tenant, where it comes from, and changing it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.models import Membership, Tenant
from metabuilder.builds.permissions import Action, may, role_of
from settings_flags import services
from settings_flags.forms import SettingsForm
from settings_flags.models import KillSwitch


@require_GET
@login_required
def to_auto_fix(request: HttpRequest) -> HttpResponse:
    return redirect("settings_flags:auto-fix")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """The caller's tenants; superusers also turn everyone's kill switch here (POST)."""
    user = _user(request)
    if request.method == "POST":
        if not user.is_superuser:
            raise PermissionDenied
        _turn_kill_switch(request, None)
        return redirect("settings_flags:auto-fix")
    memberships = Membership.objects.filter(user=user).select_related("tenant").order_by("tenant__name")
    if len(memberships) == 1 and not user.is_superuser:
        return redirect("settings_flags:auto-fix-tenant", memberships[0].tenant.slug)
    switch = KillSwitch.objects.filter(pk=KillSwitch.EVERYONE).first()
    context = {"memberships": memberships, "everyone_switch": switch}
    return render(request, "settings_flags/index.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def tenant_page(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, may_edit = _tenant_for(request, slug)
    if request.method != "POST":
        return _page(request, tenant, may_edit, SettingsForm(services.tenant_settings_view(tenant)))
    if not may_edit:
        raise PermissionDenied
    if name := request.POST.get("reset", ""):
        return _reset(request, tenant, name)
    form = SettingsForm(services.tenant_settings_view(tenant), request.POST.dict())
    changes = form.changes(services.platform_settings())
    if form.errors:
        return _page(request, tenant, may_edit, form, status=400)
    if changes:
        services.set_tenant_settings(tenant, changes, actor=_user(request))
    messages.success(request, "Settings saved." if changes else "Nothing was changed.")
    return redirect("settings_flags:auto-fix-tenant", slug)


@require_POST
@login_required
def kill_switch(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, may_edit = _tenant_for(request, slug)
    if not may_edit:
        raise PermissionDenied
    _turn_kill_switch(request, tenant)
    return redirect("settings_flags:auto-fix-tenant", slug)


def _reset(request: HttpRequest, tenant: Tenant, name: str) -> HttpResponse:
    """Reset one setting at once; other edits on the page stay as typed, unsaved."""
    try:
        services.set_tenant_settings(tenant, {name: None}, actor=_user(request))
    except MetabuilderError as error:
        messages.error(request, str(error))
        return redirect("settings_flags:auto-fix-tenant", tenant.slug)
    form = SettingsForm(services.tenant_settings_view(tenant), request.POST.dict())
    form.forget(name)
    unsaved = any(control.text != control.was for control in form.fields.values())
    messages.success(request, f"{name} is inherited again.")
    if not unsaved:
        return redirect("settings_flags:auto-fix-tenant", tenant.slug)
    messages.warning(request, "Your other changes are not saved yet.")
    return _page(request, tenant, True, form)


def _turn_kill_switch(request: HttpRequest, tenant: Tenant | None) -> None:
    reason, engage = request.POST.get("reason", "").strip(), request.POST.get("engage") == "yes"
    if not reason:
        messages.error(request, "The kill switch was not changed: say why.")
        return
    turn = services.engage_kill_switch if engage else services.release_kill_switch
    turn(tenant, reason=reason, actor=_user(request))
    messages.success(request, "The kill switch is engaged." if engage else "The kill switch is released.")


def _page(request: HttpRequest, tenant: Tenant, may_edit: bool, form: SettingsForm, status: int = 200) -> HttpResponse:
    own_switch = KillSwitch.objects.filter(pk=tenant.pk).select_related("changed_by").first()
    context = {
        "tenant": tenant,
        "may_edit": may_edit,
        "form": form,
        "switch": own_switch,
        "everyone_switch": KillSwitch.objects.filter(pk=KillSwitch.EVERYONE, engaged=True).first(),
    }
    return render(request, "settings_flags/auto_fix.html", context, status=status)


def _tenant_for(request: HttpRequest, slug: str) -> tuple[Tenant, bool]:
    """The tenant, and whether the caller may change its settings. Outsiders get 404."""
    user = _user(request)
    tenant = get_object_or_404(Tenant.objects.visible_to(user), slug=slug)
    return tenant, may(role_of(user, tenant), Action.SETTINGS)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # login_required came first
    return request.user
