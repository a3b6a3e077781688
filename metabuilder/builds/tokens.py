"""Tokens for programs: made once, shown once, kept as a digest."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from metabuilder.builds.models import ApiToken

PREFIX = "mb_"  # lets secret scanners, and people, know one when they see it
# A program that polls would otherwise write to the database with every request.
USE_NOTED_EVERY = timedelta(minutes=1)


def create_token(user: User, *, name: str) -> tuple[ApiToken, str]:
    """Make a token and return its row and the token itself, which cannot be read again."""
    plain = new_token()
    return ApiToken.objects.create(user=user, name=name, digest=digest_of(plain)), plain


def new_token() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(plain: str) -> str:
    """A plain SHA-256: a token is 256 random bits, so there is nothing to guess and nothing to slow down."""
    return hashlib.sha256(plain.encode()).hexdigest()


def token_for(plain: str) -> ApiToken | None:
    """Return the row of a token whose user is active, noting its use; None for any other text."""
    token = ApiToken.objects.select_related("user").filter(digest=digest_of(plain), user__is_active=True).first()
    if token:
        _note_use(token)
    return token


def _note_use(token: ApiToken) -> None:
    now = timezone.now()
    if token.last_used_at and token.last_used_at > now - USE_NOTED_EVERY:
        return
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USE_NOTED_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
