"""Settings, all from the environment. docs/reference/settings.md lists every one.

Processes started by `make run` have a complete environment. For a `manage.py` command in another terminal, what is
missing is read from the brokerage that runs on DATA_DIR.
"""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from brokerage import environment
from brokerage.settings_office import UNFOLD as UNFOLD
from brokerage.settings_openapi import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from brokerage.settings_sweep import SWEEP_JOBS as SWEEP_JOBS
from local.environment import running
from local.ports import host_of
from web import valkey

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
DATA_DIR = Path(env("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
# Commands that need no database must work without one.
_NEEDS_NO_SERVICES = {"collectstatic", "compilemessages", "help", "--help", "version", "--version", "spectacular"}
if "DATABASE_URL" not in os.environ:
    if len(sys.argv) > 1 and sys.argv[1] in _NEEDS_NO_SERVICES:
        os.environ.update(DATABASE_URL="postgres://none@127.0.0.1:1/none", SECRET_KEY="unused", EXCHANGE_SECRET="")  # noqa: S106
    else:
        for name, value in running(DATA_DIR).items():
            os.environ.setdefault(name, value)

PROCESS_NAME = environment.text("PROCESS_NAME", os.environ.get("HONCHO_PROCESS_NAME", "manage"))

# -- secrets, hosts, and cookies
DEBUG = environment.switch("DEBUG")
SECRET_KEY = environment.required("SECRET_KEY", "it takes 50 or more random characters, kept secret.")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
BIND = env("BIND", default="") or "127.0.0.1"
_HOST = host_of(BIND)  # of `web` and `stream` without a load balancer
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=list(dict.fromkeys(["127.0.0.1", "localhost", "[::1]", _HOST])))
CSRF_FAILURE_VIEW = "brokerage.errors.expired_form"
# What web/, which imports no app, needs from the apps.
TOKEN_STORE = "accounts.tokens"  # noqa: S105 — a module
PROBLEMS = "brokerage.errors.TABLE"
PERSONAL_DATA = [f"{app}.personal_data" for app in ("accounts", "trades", "webhooks", "alpaca_api")]
SETTLEMENT_DATE = "exchange.calendar.settlement_date"  # of a trade date; for the postings of the past
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# True if a load balancer terminates TLS in front of `web`. Cookies, redirects and HSTS then require it.
TLS = environment.switch("TLS")
SECURE_SSL_REDIRECT = TLS
SECURE_REDIRECT_EXEMPT = [r"^exchange/callbacks$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS else None
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TLS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SESSION_ENGINE = "brokerage.sessions"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
X_FRAME_OPTIONS = "DENY"

# -- apps, middleware, and templates
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "office.apps.Admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "pgtrigger",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "brokerage",
    "web",
    "accounts",
    "exchange",
    "trades",
    "webhooks",
    "office.apps.OfficeConfig",
    "alpaca_api",
]
MIDDLEWARE = [
    "brokerage.http_metrics.HttpMetrics",
    "brokerage.request_id.RequestId",
    "web.patience.AnswerInTime",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "web.headers.DefaultHeaders",
    "django.middleware.gzip.GZipMiddleware",
    "office.access.ContentPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "office.access.StaffSession",
    "accounts.page_limits.PageLimits",
    "web.problems.Problems",
    "allauth.account.middleware.AccountMiddleware",
    "web.timezones.LocalTime",
]
# The middleware that requests of programs need, and their paths. brokerage.wsgi uses both.
PROGRAM_MIDDLEWARE = [
    "brokerage.http_metrics.HttpMetrics",
    "brokerage.request_id.RequestId",
    "web.patience.AnswerInTime",
    "web.headers.RememberedHeaders",
    "web.problems.Problems",
]
# Called once for each host name, scheme and entry of PROGRAM_PATHS, and may look at nothing else.
REMEMBERED_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "web.headers.DefaultHeaders",
    "office.access.ContentPolicy",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
PROGRAM_PATHS = ("/api/v1/", "/alpaca/", "/exchange/")
# The middleware of health checks and metrics, which are requested by any host name and without TLS.
PROBE_MIDDLEWARE = [
    "brokerage.http_metrics.HttpMetrics",
    "brokerage.request_id.RequestId",
    "web.patience.AnswerInTime",
    "web.headers.DefaultHeaders",
]
PROBE_PATHS = ("/healthz", "/readyz", "/metrics")
# The port of `web` that has only these paths, and answers while all threads for requests are busy. 0: none.
HEALTH_PORT = environment.number("HEALTH_PORT", 0, minimum=0, maximum=65_535)
ROOT_URLCONF = "brokerage.urls"
WSGI_APPLICATION = "brokerage.wsgi.application"
# Each object has one URL: /api/v1/trades/ is not /api/v1/trades, because a redirected POST loses its body.
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
                "exchange.market.context",
                "accounts.pages.context",
            ],
        },
    }
]
AUTH_USER_MODEL = "accounts.Customer"
PASSWORD_HASHERS = [
    "accounts.passwords.BoundedArgon2Hasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": name}
    for name in (
        "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "django.contrib.auth.password_validation.MinimumLengthValidator",
        "django.contrib.auth.password_validation.CommonPasswordValidator",
        "django.contrib.auth.password_validation.NumericPasswordValidator",
        "accounts.passwords.GuessablePasswordValidator",
    )
]
# -- signing in on pages; programs have tokens
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL, LOGIN_REDIRECT_URL = "account_login", "home"
ACCOUNT_ADAPTER = "accounts.adapter.Adapter"
ACCOUNT_SIGNUP_FORM_CLASS = "accounts.forms.NameForm"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_FORMS = {
    "change_password": "accounts.password_forms.ChangePasswordForm",
    "confirm_email_verification_code": "accounts.one_time_codes.EmailForm",
    "confirm_password_reset_code": "accounts.one_time_codes.PasswordResetForm",
    "reset_password_from_key": "accounts.password_forms.ResetPasswordForm",
}
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
PASSWORD_WORDS = ["brokerage"]  # words that don't make a password harder to guess here
ALLAUTH_TRUSTED_PROXY_COUNT = environment.number("TRUSTED_PROXY_COUNT", 0)
MFA_ADAPTER = "accounts.adapter.SecondFactors"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_FORMS = {
    "activate_totp": "accounts.one_time_codes.ActivateForm",
    "authenticate": "accounts.one_time_codes.AuthenticateForm",
    "reauthenticate": "accounts.one_time_codes.ReauthenticateForm",
    "add_webauthn": "accounts.passkeys.AddForm",
    "authenticate_webauthn": "accounts.passkeys.AuthenticateForm",
    "login_webauthn": "accounts.passkeys.LoginForm",
    "reauthenticate_webauthn": "accounts.passkeys.ReauthenticateForm",
}
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not TLS  # browsers themselves insist on https, or on localhost
MFA_TOTP_ISSUER = "Brokerage"
MFA_TOTP_TOLERANCE = 1  # a code may be one step of 30 s late or early (RFC 6238, section 5.2)

# -- mail: without a server, each message is a file in DATA_DIR/mail
mail_server = env.email_url("EMAIL_URL", default=f"filemail:///{DATA_DIR / 'mail'}")
vars().update(mail_server)
MAIL_SERVER_BACKEND = mail_server["EMAIL_BACKEND"].replace("django.core.mail.backends.smtp.", "web.smtp.")
EMAIL_BACKEND = "accounts.mail.Outbox"  # which the sweep hands to the mail server
EMAIL_TIMEOUT = 10  # seconds for a whole mail, whatever the mail server does
SUPPORT_EMAIL = env("SUPPORT_EMAIL", default="support@localhost")
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="Brokerage <no-reply@localhost>")

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = Path(env("STATIC_DIR", default=str(DATA_DIR / "static")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage" if DEBUG else "brokerage.staticfiles.Storage"
    },
}
WHITENOISE_USE_FINDERS = True  # what was not collected is served from the apps, under its plain name
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # bytes of any body; the docs promise the 100 kB that our haproxy.cfg accepts

# -- PostgreSQL, the only source of truth. Every limit is shorter than the sweep's patience.
environment.url("DATABASE_URL", None, ("postgres", "postgresql"))
DATABASES = {"default": env.db_url("DATABASE_URL", engine="brokerage.database")}
# Only `migrate` signs in with this, as the owner of the tables. The role of DATABASE_URL owns nothing
# (deploy/roles.sql). Empty: one role does both.
MIGRATE_DATABASE: dict[str, Any] = {}
if os.environ.get("MIGRATE_DATABASE_URL"):
    environment.url("MIGRATE_DATABASE_URL", None, ("postgres", "postgresql"))
    MIGRATE_DATABASE = env.db_url("MIGRATE_DATABASE_URL", engine="brokerage.database")
DATABASES["default"].update(
    # Connections stay open, because opening one costs more than a whole trade (docs/how-to/operate.md, "Connections").
    CONN_MAX_AGE=None,
    CONN_HEALTH_CHECKS=True,
    # A verb owns its transaction, visibly.
    ATOMIC_REQUESTS=False,
    # A cursor that lives longer than a transaction needs a session of its own.
    DISABLE_SERVER_SIDE_CURSORS=environment.switch("DATABASE_POOLED"),
)
for _database in (DATABASES["default"], MIGRATE_DATABASE):
    if "," in (_database.get("HOST") or ""):  # of several servers, the one that can be written to
        _database.setdefault("OPTIONS", {}).setdefault("target_session_attrs", "read-write")
# True if PgBouncer is in between and gives each transaction another session (pool_mode = transaction). Settings and
# prepared statements of a session are lost then, so limits must be set for the role (brokerage.database.limits).
POOLED = environment.switch("DATABASE_POOLED")
DATABASE_LIMITS = {  # milliseconds
    "statement_timeout": environment.number("STATEMENT_TIMEOUT_MS", 5_000),
    "lock_timeout": 1_500,
    "idle_in_transaction_session_timeout": environment.number("IDLE_IN_TRANSACTION_TIMEOUT_MS", 5_000),
    "transaction_timeout": environment.number("TRANSACTION_TIMEOUT_MS", 15_000),
}
DATABASES["default"].setdefault("OPTIONS", {}).update(
    connect_timeout=2,
    application_name=PROCESS_NAME,
    # Parameters are sent apart from the statement, so that a frequent statement is planned only once.
    server_side_binding=True,
    prepare_threshold=None if POOLED else 5,
    # With these, a host that has vanished is noticed within 1.2 to 2 s.
    keepalives_idle=1,
    keepalives_interval=1,
    keepalives_count=2,
    tcp_user_timeout=1_200,
    # Our own limits, for what the server's limits do not end, such as a COMMIT that waits for a standby.
    answer_seconds_max=DATABASE_LIMITS["statement_timeout"] / 1000 + 2
    if DATABASE_LIMITS["statement_timeout"]
    else None,
    commit_seconds_max=environment.number("COMMIT_TIMEOUT_MS", 1_000) / 1000 or None,
    options="" if POOLED else " ".join(f"-c {name}={value}" for name, value in DATABASE_LIMITS.items()),
)

# -- the broker, which only carries rings
BROKER_URL = env("BROKER_URL", default="redis://127.0.0.1:6379/0")
BROKER_URLS = [url.strip() for url in BROKER_URL.split(";") if url.strip()]
_schemes = {urlsplit(url).scheme for url in BROKER_URLS}
# RabbitMQ only carries messages. It has no sets of customers that have rung, no counters, and no cache.
BROKER_IS_RABBITMQ = bool(_schemes) and _schemes <= {"amqp", "amqps"}
if not (BROKER_IS_RABBITMQ or (len(BROKER_URLS) == 1 and _schemes <= {"redis", "rediss"})):
    raise ImproperlyConfigured(
        "BROKER_URL takes one redis:// address, or one or more amqp:// addresses separated by ;, not "
        + (", ".join(f"{url.split(':')[0]}://…" for url in BROKER_URLS) or "nothing")
    )
# -- the cache: rate limits, sign-in limits and prices, shared by all processes. Losing it loses only exactness.
# Empty: each process counts and remembers for itself.
CACHE_URL = env("CACHE_URL", default="" if BROKER_IS_RABBITMQ else BROKER_URL)
if CACHE_URL and urlsplit(CACHE_URL).scheme not in {"redis", "rediss"}:
    raise ImproperlyConfigured(f"CACHE_URL takes redis://…, not {CACHE_URL.split(':')[0]}://…")
LANES = environment.number("LANES", 16, minimum=1, maximum=1000)
# The prefix of every key in Valkey. Brokerages with different prefixes can share one server.
KEY_PREFIX = env("KEY_PREFIX", default="")

# -- the central exchange
EXCHANGE_URL = environment.url("EXCHANGE_URL", "http://127.0.0.1:8100", ("http", "https"))
# Several secrets, separated by spaces, while one replaces another.
EXCHANGE_SECRET = environment.required("EXCHANGE_SECRET", "it takes the whsec_… with which the exchange signs.")
# The URL to which the exchange posts its reports. There is no default, because a process can't know the URL of `web`.
CALLBACK_URL = environment.text("CALLBACK_URL", "")

# -- event streams: where the `stream` processes are, as customers reach them
STREAM_URL = env("STREAM_URL", default=f"http://{_HOST}:{env('STREAM_PORT', default='8200')}")

# True if webhooks may go to addresses in private networks and without TLS. Only for tests on one machine.
WEBHOOKS_TO_PRIVATE_ADDRESSES = environment.switch("WEBHOOKS_TO_PRIVATE_ADDRESSES")

# -- the REST API; brokerage/settings_openapi.py says how it is described
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["web.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "web.problems.handle_exception",
    "UNAUTHENTICATED_USER": None,
    # The number of load balancers in front of `web`, which name the client in X-Forwarded-For. 0: none.
    "NUM_PROXIES": environment.number("NUM_PROXIES", 0),
}
# Requests per minute with all tokens and pages of a customer, unless the back office sets other limits. They are far
# above what one program needs, but low enough that a runaway loop doesn't affect other customers.
READS_A_MINUTE = environment.number("READS_A_MINUTE", 60_000)
ORDERS_A_MINUTE = environment.number("ORDERS_A_MINUTE", 30_000)
# The most customers for whom a turn may be due, and the most waiting trades of one customer. More orders are refused.
OPEN_TRADES_MAX = environment.number("OPEN_TRADES_MAX", 50_000)
OPEN_TRADES_OF_A_CUSTOMER_MAX = environment.number("OPEN_TRADES_OF_A_CUSTOMER_MAX", 1_000)
DOCUMENTS_A_MINUTE = environment.number("DOCUMENTS_A_MINUTE", 20)  # PDF and CSV files of one customer
STRANGERS_A_MINUTE = environment.number("STRANGERS_A_MINUTE", 6_000)  # unauthenticated requests from one address
# How far above the last price a BUY may execute, which determines its hold. 5% is usual among brokers.
BUY_COLLAR = environment.ratio("BUY_COLLAR", "0.05")
# After this many good-faith violations within 12 months, an account buys with settled cash only for this many days.
GOOD_FAITH_VIOLATIONS_MAX = environment.number("GOOD_FAITH_VIOLATIONS_MAX", 3, minimum=1)
GOOD_FAITH_RESTRICTION_DAYS = environment.number("GOOD_FAITH_RESTRICTION_DAYS", 90, minimum=1)
CACHES = {
    "default": {
        "BACKEND": "web.cache.BestEffortCache",
        "LOCATION": CACHE_URL,
        "KEY_PREFIX": KEY_PREFIX,
        "OPTIONS": valkey.CACHE_OPTIONS,
    }
    if CACHE_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# -- pages
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "connect-src": ["'self'", f"{urlsplit(STREAM_URL).scheme}://{urlsplit(STREAM_URL).netloc}"],
        "img-src": ["'self'", "data:"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    },
}

# -- the back office; brokerage/settings_office.py has its appearance
# How many days calls to the exchange are kept. Those of open trades and of open exceptions are kept longer.
EXCHANGE_CALLS_KEPT_DAYS = environment.number("EXCHANGE_CALLS_KEPT_DAYS", 90, minimum=1, maximum=36_500)
# brokerage/settings_sweep.py has more jobs of the sweep.

# -- logs: one line per event, to standard output, with colors on a terminal
LOGGING_CONFIG = "brokerage.logs.configure"
LOGGING = {
    "level": environment.one_of("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO"),
    "format": environment.one_of("LOG_FORMAT", ("text", "json"), "text"),
}

# -- errors go to Sentry if a DSN is set (deploy/extras-requirements.txt), never with customers' data
SENTRY_DSN = env("SENTRY_DSN", default="")
if SENTRY_DSN:
    import sentry_sdk

    sentry_sdk.init(
        SENTRY_DSN,
        server_name=PROCESS_NAME,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
    )

# -- production: no process starts with unsafe settings
PRODUCTION = environment.switch("PRODUCTION")
# Whether demo accounts, whose passwords are public, may be created in this database.
DEMO = environment.switch("DEMO")
if PRODUCTION:
    _unsafe = {
        "DEMO must be off: it creates accounts with public passwords": DEMO,
        "DEBUG must be off": DEBUG,
        "TLS must be on: cookies would travel in the open": not TLS,
        "SECRET_KEY must be random and have 50 characters or more": len(SECRET_KEY) < 50
        or len(set(SECRET_KEY)) < 5
        or SECRET_KEY.startswith("django-insecure-"),
        "EXCHANGE_SECRET must be whsec_ and 24 random bytes or more": not EXCHANGE_SECRET.split()
        or any(len(secret) < len("whsec_") + 32 for secret in EXCHANGE_SECRET.split()),
        "ALLOWED_HOSTS must name the hosts": "*" in ALLOWED_HOSTS,
        "NUM_PROXIES and TRUSTED_PROXY_COUNT must be set to the number of load balancers, since without it all callers "
        "share the limits of one address": not {"NUM_PROXIES", "TRUSTED_PROXY_COUNT"} <= os.environ.keys(),
    }
    if _reasons := [reason for reason, is_so in _unsafe.items() if is_so]:
        raise ImproperlyConfigured("; ".join(_reasons) + ".")
