"""The lesson's folder: fetched by an init container, checked, and mounted at ``/antidote``."""

from scheduler.backends.base import EnvironmentSpec
from scheduler.backends.kubernetes.manifests.credentials import BUNDLE_URL_KEY, secret_variable
from scheduler.backends.kubernetes.manifests.privileges import own_privileges
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import FOLDER_CONTAINER
from scheduler.backends.kubernetes.options import Options

FOLDER = "/antidote"

_VOLUME = "folder"
_MOUNT = "/folder"
_LESSON = "lesson"

# A network policy may take a moment to let a new pod out, and Kubernetes' own retry ten seconds.
# Some builds of BusyBox crash at wget's own -T. A folder that is there already, because the node
# restarted, has the learner's work in it.
FETCH = f"""\
[ ! -d {_LESSON} ] || exit 0
tries=0
until timeout 30 wget -q -O bundle "$BUNDLE_URL"; do
  tries=$((tries + 1))
  [ $tries -lt 15 ] || exit 1
  sleep 1
done
echo "$BUNDLE_SHA256  bundle" | sha256sum -c >/dev/null
rm -rf unpacked
mkdir unpacked
tar -xzof bundle -C unpacked
for hidden; do rm -f "unpacked/$hidden"; done
rm bundle
mv unpacked {_LESSON}
"""


def fetch_container(
    spec: EnvironmentSpec, resources: Manifest, options: Options, *, for_job: bool = False
) -> Manifest:
    """Return the init container; with the pod's own resources it needs no more room than it.

    Only a job's folder has all files in it.
    """
    hidden = () if for_job else spec.lesson.hidden
    return {
        "name": FOLDER_CONTAINER,
        "image": options.settings.fetch_image,
        "imagePullPolicy": options.settings.image_pull_policy,
        "command": ["sh", "-ec", FETCH, *(["fetch", *map(literal, hidden)] if hidden else [])],
        "workingDir": _MOUNT,
        "env": [
            secret_variable("BUNDLE_URL", BUNDLE_URL_KEY),
            {"name": "BUNDLE_SHA256", "value": spec.lesson.bundle_sha256},
        ],
        "resources": resources,
        "securityContext": own_privileges(read_only=True),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": _VOLUME, "mountPath": _MOUNT}],
    }


def literal(text: str) -> str:
    """Return what Kubernetes reads as this text in commands and variables: ``$(NAME)`` is one."""
    return text.replace("$", "$$")


def folder_volume(options: Options) -> Manifest:
    """Return the volume of the folder, which lives and dies with its pod."""
    return {"name": _VOLUME, "emptyDir": {"sizeLimit": options.settings.folder_limit}}


def folder_mount() -> Manifest:
    """Return what mounts the unpacked folder, and not the place where it was unpacked."""
    return {"name": _VOLUME, "mountPath": FOLDER, "subPath": _LESSON}
