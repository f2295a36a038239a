"""Settings of the bundle service: those of all, but one application and two addresses."""

from syringe_project.settings import *  # noqa: F403

# Debug pages show the address asked for, which is the capability.
DEBUG = False
ROOT_URLCONF = "syringe_project.bundle_urls"
# Neither sessions nor pages nor static files; pods call it by whatever name they have for it.
MIDDLEWARE = []
INSTALLED_APPS = ["lessons"]
