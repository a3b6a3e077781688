"""Wiring only. Every variable is in the README's table; a bad one stops start-up with its name."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def _choice(name: str, choices: tuple[str, ...], default: str) -> str:
    value = str(env.str(name, default))
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r}: expected one of {', '.join(choices)}")
    return value


def _number(name: str, default: float, *, minimum: float) -> float:
    try:
        value = float(env.float(name, default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={os.environ[name]!r}: expected a number") from error
    if value < minimum:
        raise ImproperlyConfigured(f"{name}={value:g}: expected at least {minimum:g}")
    return value


def _flag(name: str, default: bool) -> bool:
    value = env.str(name, "true" if default else "false").lower()
    if value not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
        raise ImproperlyConfigured(f"{name}={value!r}: expected true or false")
    return value in {"true", "1", "yes", "on"}


def _own_secret(name: str) -> str:
    """Return the variable, or a secret generated once in the data directory (readable by its owner only)."""
    if value := str(env.str(name, "")):
        return value
    path = METABUILDER_DATA_DIR / name.lower()
    if not path.exists():
        METABUILDER_DATA_DIR.mkdir(parents=True, exist_ok=True)
        # Two processes may start at once: the link is atomic, and the loser reads the winner's secret.
        draft = METABUILDER_DATA_DIR / f".{name.lower()}.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


METABUILDER_ENV = _choice("METABUILDER_ENV", ("development", "staging", "production"), "development")
METABUILDER_DATA_DIR = Path(env.str("METABUILDER_DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
IN_PRODUCTION = METABUILDER_ENV == "production"

DEBUG = _flag("METABUILDER_DEBUG", False)
SECRET_KEY = _own_secret("METABUILDER_SECRET_KEY")
METABUILDER_AUDIT_KEY = _own_secret("METABUILDER_AUDIT_KEY")
ALLOWED_HOSTS = env.list("METABUILDER_ALLOWED_HOSTS", default=[] if IN_PRODUCTION else ["*"])
CSRF_TRUSTED_ORIGINS = env.list("METABUILDER_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "metabuilder.audit",
    "metabuilder.builds",
    "settings_flags",
    "approvals",
    "autofix",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_q",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_prometheus",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "metabuilder.urls"
WSGI_APPLICATION = "metabuilder.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{METABUILDER_DATA_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        # IMMEDIATE: a transaction that will write says so at its start, so that it cannot fail half way.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
    # A file, not memory: tests use several connections and processes.
    DATABASES["default"]["TEST"] = {"NAME": METABUILDER_DATA_DIR / "test.sqlite3"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
    "logs": {
        "BACKEND": env.str("METABUILDER_LOG_STORAGE", "django.core.files.storage.FileSystemStorage"),
        "OPTIONS": env.json("METABUILDER_LOG_STORAGE_OPTIONS", {"location": str(METABUILDER_DATA_DIR / "logs")}),
    },
}
STATIC_URL = "static/"
STATIC_ROOT = METABUILDER_DATA_DIR / "static"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/admin/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _flag("METABUILDER_SECURE_COOKIES", IN_PRODUCTION)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _flag("METABUILDER_BEHIND_TLS_PROXY", False) else None

# The queue carries wake-ups only; the database is the truth. Why each value is what it is: docs/queue.md.
METABUILDER_WORKERS = int(_number("METABUILDER_WORKERS", 2, minimum=1))
METABUILDER_ADVANCE_TASK = "autofix.tasks.advance_run"
Q_CLUSTER = {
    "name": "metabuilder",
    "orm": "default",
    "workers": METABUILDER_WORKERS,
    "queue_limit": METABUILDER_WORKERS,
    "timeout": 90_000,  # above the longest allowed step (24 h)
    "retry": 90_600,
    "poll": 0.2,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": 0,
    "catch_up": False,
    "label": "Queue",
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "metabuilder.builds.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["metabuilder.builds.api.parsing.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "metabuilder.builds.api.pagination.Pagination",
    "DEFAULT_SCHEMA_CLASS": "metabuilder.builds.api.schema.ProblemSchema",
    "EXCEPTION_HANDLER": "metabuilder.builds.api.problems.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Meta-Builder",
    "VERSION": "3",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",  # served by this service, so that /api/docs works offline
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024

METABUILDER_STEP_ENV = env.list("METABUILDER_STEP_ENV", default=[])
METABUILDER_ALLOW_LOCAL_SOURCES = _flag("METABUILDER_ALLOW_LOCAL_SOURCES", False)
METABUILDER_LEASE_SECONDS = _number("METABUILDER_LEASE_SECONDS", 12, minimum=3)
METABUILDER_RECONCILE_SECONDS = _number("METABUILDER_RECONCILE_SECONDS", 5, minimum=0.1)

_json_logs = _flag("METABUILDER_JSON_LOGS", IN_PRODUCTION)
_log_level = _choice(
    "METABUILDER_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO" if IN_PRODUCTION else "WARNING"
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
        "text": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json" if _json_logs else "text",
            "level": _log_level,
        },
        # The heads of the audit trail are its anchors outside the database (`verify_audit --anchor`).
        "audit_heads": {
            "class": "logging.handlers.WatchedFileHandler",
            "filename": METABUILDER_DATA_DIR / "audit-heads.log",
            "formatter": "text",
            "delay": True,
        },
    },
    "loggers": {"metabuilder.audit": {"level": "INFO", "handlers": ["audit_heads"]}},
    "root": {"handlers": ["console"], "level": _log_level},
}
