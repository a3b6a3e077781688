"""Who asks, and what they may: 404 for what is not theirs to know of, 403 for a role too low."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q
from django.shortcuts import get_object_or_404
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request

from metabuilder.builds.models import BuildRun, Tenant
from metabuilder.builds.permissions import Action, check_may, role_of


def caller(request: Request) -> User:
    assert isinstance(request.user, User)  # IsAuthenticated came first
    return request.user


def require(user: User, tenant: Tenant | UUID, action: Action) -> None:
    if role_of(user, tenant) is None:
        raise NotFound
    check_may(user, tenant, action)


def run_for(request: Request, run_id: UUID, action: Action = Action.VIEW) -> BuildRun:
    """Return the run if the caller may do `action` with it."""
    user = caller(request)
    run = get_object_or_404(BuildRun.objects.visible_to(user).select_related("tenant", "plan", "created_by"), pk=run_id)
    if action is not Action.VIEW:
        require(user, run.tenant_id, action)
    return run


def tenant_for(request: Request, named: str | UUID | None, action: Action = Action.VIEW) -> Tenant:
    """Return the tenant of this slug or id; with None the only one the caller belongs to."""
    user = caller(request)
    tenants = Tenant.objects.visible_to(user)
    if named is None:
        own = list(tenants[:2])
        if len(own) != 1:
            raise ValidationError(
                {"tenant": ["You belong to several tenants; name one." if own else "You belong to no tenant."]}
            )
        tenant = own[0]
    else:
        tenant = get_object_or_404(tenants, _is(str(named)))
    if action is not Action.VIEW:
        require(user, tenant, action)
    return tenant


def _is(named: str) -> Q:
    try:
        return Q(pk=UUID(named)) | Q(slug=named)
    except ValueError:
        return Q(slug=named)
