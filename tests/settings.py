"""Settings of the tests: the servers that `make test` started, everything else by default."""

import atexit
import os
import shutil
import sys
import tempfile

_SERVERS = ("SYRINGE_DATABASE_URL", "SYRINGE_REDIS_URL")
_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
_run_folder = tempfile.mkdtemp(prefix="syringe-test-")
# pytest-xdist's first process reads the settings, too, and runs no test that would clean up.
atexit.register(shutil.rmtree, _run_folder, ignore_errors=True)

if missing := [name for name in _SERVERS if name not in os.environ]:
    sys.exit(f"{' and '.join(missing)} not set: run the tests with `make test`.")
for name in [name for name in os.environ if name.startswith("SYRINGE_")]:
    if name not in _SERVERS:
        del os.environ[name]
os.environ.update(
    SYRINGE_ENV_FILE=os.devnull,
    SYRINGE_SECRET_KEY="a key that only tests use, 32 bytes or more",
    # Two test runs may share one Redis.
    SYRINGE_INSTANCE=f"test-{_worker}-{os.getpid()}",
    SYRINGE_RUN_FOLDER=_run_folder,
    SYRINGE_BACKEND="scheduler.backends.fake.FakeBackend",
    SYRINGE_ALLOWED_HOSTS="testserver,localhost,127.0.0.1",
)

from syringe_project.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Threads of a test leave no connection behind that would keep its database from being dropped.
DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405
