"""Who may do what.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/
https://kubernetes.io/docs/reference/access-authn-authz/authorization/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rule = Mapping[str, Any]

EVERYTHING: tuple[Rule, ...] = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},)

# Everybody who is known has these roles: system:basic-user, system:discovery.
# https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles
BASIC: tuple[Rule, ...] = (
    {
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        "verbs": ["create"],
    },
)


@dataclass(frozen=True, slots=True)
class Attributes:
    """One action, as authorization sees it."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def resource_path(self) -> str:
        """The resource as rules name it, such as ``pods/log``."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def _grants(rule: Rule, action: Attributes) -> bool:
    names = rule.get("resourceNames") or ()
    resources = rule.get("resources") or ()
    return (
        not {"*", action.verb}.isdisjoint(rule.get("verbs") or ())
        and not {"*", action.group}.isdisjoint(rule.get("apiGroups") or ())
        and not {"*", action.resource_path, f"*/{action.subresource or '-'}"}.isdisjoint(resources)
        and (not names or action.name in names)
    )


class Authorizer:
    """The rules of one user: of the whole cluster, and of single namespaces."""

    def __init__(
        self, cluster: Sequence[Rule], namespaces: Mapping[str, Sequence[Rule]] | None = None
    ) -> None:
        self._cluster = (*BASIC, *cluster)
        self._namespaces = dict(namespaces or {})

    def allows(self, action: Attributes) -> bool:
        """Say whether any rule grants an action; there are no denials."""
        local = self._namespaces.get(action.namespace, ()) if action.namespace else ()
        return any(_grants(rule, action) for rule in (*self._cluster, *local))


def refusal(user: str, action: Attributes) -> str:
    """Say what is missing, in the words of a real server."""
    where = f'in the namespace "{action.namespace}"' if action.namespace else "at the cluster scope"
    return (
        f'User "{user}" cannot {action.verb} resource "{action.resource_path}" '
        f'in API group "{action.group}" {where}'
    )
