"""The bundle service, on a port of its own: lessons' pods may connect to it and to nothing else."""

import os

from django.core.wsgi import get_wsgi_application

# Not setdefault: under the settings of the other processes it would serve all that they do.
os.environ["DJANGO_SETTINGS_MODULE"] = "syringe_project.bundle_settings"
application = get_wsgi_application()
