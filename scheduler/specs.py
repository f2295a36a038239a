"""Reading a lesson's runtime description from the JSON that lessons and livelessons keep."""

from lessons.specs import EndpointDict, LessonDict, ResourcesDict, stage_objectives
from scheduler.backends.base import (
    ConnectionSpec,
    EndpointSpec,
    ImageSpec,
    LessonSpec,
    PresentationSpec,
    ResourceSpec,
    StageSpec,
)


def _resources(data: ResourcesDict) -> ResourceSpec:
    requests, limits = data.get("requests", {}), data.get("limits", {})
    return ResourceSpec(
        cpu_request=requests.get("cpu", ""),
        cpu_limit=limits.get("cpu", ""),
        memory_request=requests.get("memory", ""),
        memory_limit=limits.get("memory", ""),
    )


def _endpoint(data: EndpointDict) -> EndpointSpec:
    image = data["image"]
    return EndpointSpec(
        name=data["name"],
        image=ImageSpec(
            slug=image["slug"],
            flavor=image["flavor"],
            enable_forwarding=image["enable_forwarding"],
            network_interfaces=tuple(image["network_interfaces"]),
            ssh_user=image["ssh_user"],
            ssh_password=image["ssh_password"],
            config_user=image["config_user"],
            config_password=image["config_password"],
            resources=_resources(image.get("resources", {})),
        ),
        configuration_type=data["configuration_type"],
        additional_ports=tuple(data["additional_ports"]),
        presentations=tuple(PresentationSpec(**p) for p in data["presentations"]),
    )


def lesson_spec(data: LessonDict) -> LessonSpec:
    """Return the frozen form of ``lessons.specs.LessonDict``."""
    return LessonSpec(
        slug=data["slug"],
        digest=data["digest"],
        bundle_sha256=data["bundle_sha256"],
        endpoints=tuple(_endpoint(endpoint) for endpoint in data["endpoints"]),
        stages=tuple(
            StageSpec(guide_type=s["guide_type"], configurations=dict(s["configurations"]))
            for s in data["stages"]
        ),
        connections=tuple(ConnectionSpec(**c) for c in data["connections"]),
        ready_delay_seconds=data["ready_delay_seconds"],
        hidden=_files_of_checks(data),
    )


def _files_of_checks(data: LessonDict) -> tuple[str, ...]:
    """Return the files that judge learners, each once."""
    checks = (
        objective["check"]
        for stage in range(len(data["stages"]))
        for objective in stage_objectives(data, stage)
    )
    return tuple(dict.fromkeys(check["path"] for check in checks if check["kind"] == "file"))
