from __future__ import annotations

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from metabuilder.builds.models import ApiToken
from metabuilder.builds.tokens import token_for

SCHEMES = ("bearer", "token")


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`, or `Token <token>` as older clients send it."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, plain = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() not in SCHEMES:
            return None
        token = token_for(plain.strip())
        if token is None:
            raise AuthenticationFailed("The token is not valid.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'
