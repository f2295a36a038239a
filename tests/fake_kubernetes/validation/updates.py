"""What cannot change once it is there."""

from __future__ import annotations

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.errors import Cause, forbidden_field, invalid_value
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest, copy_of


def _immutable(new: Manifest, old: Manifest, field: str) -> list[Cause]:
    if new.get(field) == old.get(field):
        return []
    return [invalid_value(f"spec.{field}", new.get(field), "field is immutable")]


# https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement
def _pod(new: Manifest, old: Manifest) -> list[Cause]:
    before, after = copy_of(old["spec"]), copy_of(new["spec"])
    causes = []
    for part in ("containers", "initContainers"):
        for one, other in zip(before.get(part) or (), after.get(part) or (), strict=False):
            one["image"] = other.get("image")
    earlier, later = before.pop("tolerations", []), after.pop("tolerations", [])
    if any(toleration not in later for toleration in earlier):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        causes.append(forbidden_field("spec.tolerations", detail))
    deadline = before.pop("activeDeadlineSeconds", None), after.pop("activeDeadlineSeconds", None)
    if deadline[0] is not None and (deadline[1] is None or deadline[1] > deadline[0]):
        detail = "must be less than or equal to previous value"
        causes.append(invalid_value("spec.activeDeadlineSeconds", deadline[1], detail))
    if before != after:
        causes.append(
            forbidden_field(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,"
                "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
                "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
                "(allow it to be set to 1 if it was previously negative)",
            )
        )
    return causes


# https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/
def _job(new: Manifest, old: Manifest) -> list[Cause]:
    fields = ("template", "selector", "completions", "completionMode", "podFailurePolicy")
    return [cause for field in fields for cause in _immutable(new["spec"], old["spec"], field)]


# https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/ (clusterIP)
def _service(new: Manifest, old: Manifest) -> list[Cause]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before == after or "ExternalName" in (old["spec"]["type"], new["spec"]["type"]):
        return []
    return [invalid_value("spec.clusterIPs[0]", f"[{after}]", "may not change once set")]


# https://kubernetes.io/docs/concepts/configuration/secret/#secret-immutable
def _secret(new: Manifest, old: Manifest) -> list[Cause]:
    causes = []
    if new.get("type") != old.get("type"):
        causes.append(invalid_value("type", new.get("type"), "field is immutable"))
    if old.get("immutable") and (new.get("data") != old.get("data") or not new.get("immutable")):
        detail = "field is immutable when `immutable` is set"
        causes.append(forbidden_field("data", detail))
    return causes


def problems(kind: Kind, new: Manifest, old: Manifest) -> list[Cause]:
    """Return what may not change and did."""
    rule = {
        kinds.PODS: _pod,
        kinds.JOBS: _job,
        kinds.SERVICES: _service,
        kinds.SECRETS: _secret,
    }.get(kind)
    return rule(new, old) if rule else []
