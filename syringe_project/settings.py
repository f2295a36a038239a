"""Django's settings, derived from ``environment``; environments differ by variables only."""

from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from redis.backoff import NoBackoff
from redis.retry import Retry

from syringe_project.environment import PROJECT_ROOT, environment, split_list
from syringe_project.kubernetes_environment import kubernetes_environment
from syringe_project.observability import errors as error_reporting
from syringe_project.observability.logs import logging_config

env = environment()

SYRINGE_INSTANCE = env.instance
SYRINGE_TIER = env.tier
SYRINGE_PUBLIC_URL = env.public_url or f"http://localhost:{env.port}"
SYRINGE_TRUSTED_PROXIES = split_list(env.trusted_proxies)
SYRINGE_INSTANCE_FOLDER = env.instance_folder
SYRINGE_WEB_URL = env.web_url
SYRINGE_BACKEND = env.backend
SYRINGE_FAKE_SCRIPT = env.fake_script
SYRINGE_LIVELESSONS_PER_SESSION = env.livelessons_per_session
SYRINGE_SESSIONS_PER_ADDRESS = env.sessions_per_address
SYRINGE_BOOT_TIMEOUT_SECONDS = env.boot_timeout_seconds
SYRINGE_CONFIGURATION_TIMEOUT_SECONDS = env.configuration_timeout_seconds
SYRINGE_START_ATTEMPTS = env.start_attempts
SYRINGE_LEASE_SECONDS = env.lease_seconds
SYRINGE_IDLE_TIMEOUT_SECONDS = env.idle_timeout_seconds
SYRINGE_AWAY_SECONDS = env.away_seconds
SYRINGE_CHECKS_AT_ONCE = env.checks_at_once
SYRINGE_LIFETIME_SECONDS = env.lifetime_seconds
SYRINGE_EXTENSION_SECONDS = env.extension_seconds
SYRINGE_MAX_LIFETIME_SECONDS = env.max_lifetime_seconds
SYRINGE_SESSION_TIMEOUT_SECONDS = env.session_timeout_seconds
SYRINGE_RETENTION_SECONDS = env.retention_seconds
SYRINGE_BUNDLE_MAX_BYTES = env.bundle_max_bytes
SYRINGE_BUNDLE_URL = env.bundle_url
SYRINGE_WORKER_THREADS = env.worker_threads
SYRINGE_KUBERNETES = kubernetes_environment()
SYRINGE_FAILPOINT = env.failpoint
SYRINGE_REDIS_URL = env.redis_url.get_secret_value()
# A request may ask Redis three times, needs none of it, and is answered within a second.
SYRINGE_REDIS_WAIT_SECONDS = 0.2

BASE_DIR = PROJECT_ROOT
SECRET_KEY = env.secret_key.get_secret_value()
DEBUG = env.debug
ALLOWED_HOSTS = split_list(env.allowed_hosts)
ROOT_URLCONF = "syringe_project.urls"
WSGI_APPLICATION = "syringe_project.wsgi.application"
ASGI_APPLICATION = "syringe_project.asgi.application"
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "events",
    "lessons",
    "livelessons",
    "scheduler",
    "garbage_collector",
    "curriculum",
    "gateway",
    "web",
]

MIDDLEWARE = [
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES: dict[str, Any] = {
    "default": {
        **dj_database_url.parse(
            env.database_url.get_secret_value(), conn_max_age=300, conn_health_checks=True
        ),
    }
}
# Every outside call has its own limit: connecting here, running a statement in the server. A server
# behind a line that went dead tells nobody, so the kernel gives it up 15 s after it acknowledged
# nothing more: what was sent, or the probes of a connection that waits for an answer. It cannot
# tell a server that hangs from one that thinks; that is for whoever watches the server.
DATABASES["default"].setdefault("OPTIONS", {}).update(
    connect_timeout=5,
    tcp_user_timeout=15_000,
    keepalives=1,
    keepalives_idle=5,
    keepalives_interval=5,
    keepalives_count=2,
    application_name=f"syringe-{env.instance}",
    options="-c statement_timeout=20000 -c lock_timeout=10000",
)

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
if env.static_folder is None:
    WHITENOISE_USE_FINDERS = True
else:
    STATIC_ROOT = env.static_folder

# Behind a proxy that ends TLS, requests arrive as plain HTTP.
CSRF_TRUSTED_ORIGINS = ["://".join(urlsplit(SYRINGE_PUBLIC_URL)[:2])]
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = SYRINGE_PUBLIC_URL.startswith("https://")

CORS_URLS_REGEX = r"^/(acore/)?exp(/|$)"
if env.cors_allowed_origins.strip() == "*":
    CORS_ALLOW_ALL_ORIGINS = True
else:
    CORS_ALLOWED_ORIGINS = split_list(env.cors_allowed_origins)

# Counts how often things are asked for, which nobody waits for: without Redis there are no limits.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": SYRINGE_REDIS_URL,
        "KEY_PREFIX": f"{env.instance}:cache",
        "OPTIONS": {
            "socket_timeout": SYRINGE_REDIS_WAIT_SECONDS,
            "socket_connect_timeout": SYRINGE_REDIS_WAIT_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        },
    }
}
RATELIMIT_FAIL_OPEN = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["syringe_project.json_bodies.ObjectParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "syringe_project.api.exception_handler",
    "UNAUTHENTICATED_USER": None,
    # Sentences of errors may repeat text that UTF-8 cannot write: lone surrogates.
    "UNICODE_JSON": False,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Syringe",
    "DESCRIPTION": "Live, interactive lessons from a curriculum kept as code.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "GuideType": "lessons.models.Stage.GuideType",
        "PresentationType": "lessons.models.Presentation.Type",
        "ObjectiveState": "livelessons.states.ObjectiveState",
        "State": "livelessons.states.State",
    },
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = logging_config(level=env.log_level)
LOGGING_CONFIG = "logging.config.dictConfig"

error_reporting.initialise(
    dsn=env.sentry_dsn.get_secret_value(), instance=env.instance, tier=env.tier
)
