"""Jobs: an author's program, run once against one endpoint, to configure it or to check it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from scheduler.backends.base import (
    BackendRejected,
    EndpointSpec,
    EnvironmentSpec,
    ReasonCode,
    ResourceSpec,
    check_name,
)
from scheduler.backends.file_checks import check_command
from scheduler.backends.kubernetes.labels import OBJECTIVE, RUN, STAGE, Role, endpoint_labels
from scheduler.backends.kubernetes.manifests.amounts import container_resources
from scheduler.backends.kubernetes.manifests.credentials import (
    configuration_login,
    configuration_password_key,
    pod_identity,
    secret_variable,
)
from scheduler.backends.kubernetes.manifests.folder import (
    FOLDER,
    fetch_container,
    folder_mount,
    folder_volume,
    literal,
)
from scheduler.backends.kubernetes.manifests.metadata import metadata
from scheduler.backends.kubernetes.manifests.pods import placement
from scheduler.backends.kubernetes.manifests.privileges import (
    own_privileges,
    pod_privileges,
    runtime_class,
)
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import (
    CHECK_CONTAINER,
    CONFIGURATION_CONTAINER,
    SECRET,
    check_job_name,
    job_name,
)
from scheduler.backends.kubernetes.options import Options

_GRACE_SECONDS = 1
_PASSWORD_VOLUME = "password"  # noqa: S105 - the name of a volume
_PASSWORD_FOLDER = "/run/syringe"  # noqa: S105 - a path

CHECK_START_SECONDS = 120
"""What a check's pod may take to start, in addition to the check's own time."""

_CHECK_KEPT_SECONDS = 60
_VERDICT_FILE = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class _Program:
    """What a job's container runs, against whom, and how long the job may last and stay."""

    endpoint: EndpointSpec
    container: str
    command: list[str]
    language: str
    deadline_seconds: int
    kept_seconds: int
    variables: Mapping[str, str] = field(default_factory=dict)


def configuration_job(
    spec: EnvironmentSpec, *, stage: int, endpoint: str, run: int, options: Options
) -> Manifest:
    """Return the Job that configures an endpoint for a stage; raise BackendRejected if none.

    It is kept as long as configuring a stage may take, so that none is missing while others of
    the same run are still at work.
    """
    target, file = _target(spec, stage, endpoint)
    labels = {**endpoint_labels(endpoint, Role.CONFIGURATION), RUN: str(run)}
    described = metadata(job_name(endpoint, run), spec, options, labels=labels)
    program = _Program(
        endpoint=target,
        container=CONFIGURATION_CONTAINER,
        command=_command(target, file),
        language=target.configuration_type,
        deadline_seconds=options.configuration_timeout_seconds,
        kept_seconds=options.configuration_timeout_seconds,
    )
    return _job(described, program, spec, options)


def check_job(
    spec: EnvironmentSpec,
    *,
    stage: int,
    slug: str,
    endpoint: str,
    path: str,
    language: str,
    environment: Mapping[str, str],
    timeout_seconds: float,
    run: int,
    options: Options,
) -> Manifest:
    """Return the Job of a check; raise BackendRejected for one that no job could do."""
    target = next((entry for entry in spec.lesson.endpoints if entry.name == endpoint), None)
    if target is None:
        raise BackendRejected(reason=f"there is no endpoint {endpoint!r}")
    if language not in {"python", "ansible"}:
        raise BackendRejected(reason=f"checks are not written in {language!r}")
    labels = {
        **endpoint_labels(endpoint, Role.CHECK),
        STAGE: str(stage),
        OBJECTIVE: slug,
        RUN: str(run),
    }
    name = check_job_name(check_name(stage, slug), run)
    command = check_command(
        verdict=_VERDICT_FILE,
        language=language,
        endpoint=endpoint,
        path=f"{FOLDER}/{path}",
        timeout_seconds=timeout_seconds,
    )
    program = _Program(
        endpoint=target,
        container=CHECK_CONTAINER,
        command=[literal(word) for word in command],
        language=language,
        deadline_seconds=CHECK_START_SECONDS + math.ceil(timeout_seconds),
        kept_seconds=_CHECK_KEPT_SECONDS,
        variables=environment,
    )
    return _job(metadata(name, spec, options, labels=labels), program, spec, options)


def _job(
    described: Manifest, program: _Program, spec: EnvironmentSpec, options: Options
) -> Manifest:
    resources = container_resources(ResourceSpec(), options.settings)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": described,
        "spec": {
            "activeDeadlineSeconds": program.deadline_seconds,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": program.kept_seconds,
            "template": {
                "metadata": {"labels": described["labels"]},
                "spec": {
                    **pod_identity(options),
                    **runtime_class("untrusted", options),
                    **placement(options),
                    "containers": [_container(spec, program, resources, options)],
                    "enableServiceLinks": False,
                    "initContainers": [fetch_container(spec, resources, options, for_job=True)],
                    "restartPolicy": "Never",
                    "securityContext": pod_privileges(),
                    "terminationGracePeriodSeconds": _GRACE_SECONDS,
                    "volumes": [folder_volume(options), *_password_volumes(program)],
                },
            },
        },
    }


def _target(spec: EnvironmentSpec, stage: int, name: str) -> tuple[EndpointSpec, str]:
    endpoint = next((entry for entry in spec.lesson.endpoints if entry.name == name), None)
    if endpoint is None or not 0 <= stage < len(spec.lesson.stages):
        raise BackendRejected(reason=f"there is no endpoint {name!r} with stage {stage}")
    file = spec.lesson.stages[stage].configurations.get(name)
    if file is None or not endpoint.configuration_type:
        raise BackendRejected(
            reason=f"endpoint {name!r} has no configuration for stage {stage}",
            reason_code=ReasonCode.CONFIGURATION_UNSUPPORTED,
        )
    return endpoint, file


def _container(
    spec: EnvironmentSpec, program: _Program, resources: Manifest, options: Options
) -> Manifest:
    endpoint = program.endpoint
    login = configuration_login(spec, endpoint)
    key = configuration_password_key(endpoint.name)
    variables: list[Manifest] = [
        *({"name": name, "value": literal(text)} for name, text in program.variables.items()),
        {"name": "ANTIDOTE_TARGET_HOST", "value": endpoint.name},
        {"name": "ANTIDOTE_TARGET_USERNAME", "value": login.username},
        secret_variable("ANTIDOTE_TARGET_PASSWORD", key),
        {"name": "PYTHONUNBUFFERED", "value": "1"},
    ]
    mounts = [folder_mount()]
    if program.language == "ansible":
        # For playbooks that name neither user nor password.
        variables += [
            {"name": "ANSIBLE_HOST_KEY_CHECKING", "value": "False"},
            {"name": "ANSIBLE_REMOTE_USER", "value": login.username},
            {
                "name": "ANSIBLE_CONNECTION_PASSWORD_FILE",
                "value": f"{_PASSWORD_FOLDER}/{_PASSWORD_VOLUME}",
            },
        ]
        mounts.append({"name": _PASSWORD_VOLUME, "mountPath": _PASSWORD_FOLDER, "readOnly": True})
    return {
        "name": program.container,
        "image": options.settings.configurator_image,
        "imagePullPolicy": options.settings.image_pull_policy,
        "command": program.command,
        "env": variables,
        "resources": resources,
        "securityContext": own_privileges(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _command(endpoint: EndpointSpec, file: str) -> list[str]:
    path = f"{FOLDER}/{file}"
    match endpoint.configuration_type:
        case "python":
            return ["python", path]
        case "ansible":
            return ["ansible-playbook", "-vvvv", "-i", f"{endpoint.name},", path]
        case "napalm":
            return ["configure-napalm", _napalm_driver(endpoint.name, file), path]
    raise BackendRejected(
        reason=f"endpoint {endpoint.name!r} is configured by "
        f"{endpoint.configuration_type!r}, which is unknown here",
        reason_code=ReasonCode.CONFIGURATION_UNSUPPORTED,
    )


def _napalm_driver(endpoint: str, file: str) -> str:
    """Return the driver that a file's name ends in; endpoints have hyphens of their own."""
    stem = PurePosixPath(file).stem
    driver = stem.removeprefix(f"{endpoint}-")
    if driver in {stem, ""}:
        raise BackendRejected(
            reason=f"{file} names no NAPALM driver for endpoint {endpoint!r}",
            reason_code=ReasonCode.CONFIGURATION_UNSUPPORTED,
        )
    return driver


def _password_volumes(program: _Program) -> list[Manifest]:
    if program.language != "ansible":
        return []
    key = configuration_password_key(program.endpoint.name)
    items = [{"key": key, "path": _PASSWORD_VOLUME}]
    # Not executable: Ansible would run it instead of reading it.
    secret = {"secretName": SECRET, "items": items, "defaultMode": 0o444}
    return [{"name": _PASSWORD_VOLUME, "secret": secret}]
