"""The Helm chart as Helm renders it, against Kubernetes' schemas and the promises of its README."""

import re
from dataclasses import replace

import helm_python
import pytest

from scheduler.backends.kubernetes.labels import INSTANCE
from scheduler.backends.kubernetes.manifests import environment_manifests
from scheduler.backends.kubernetes.resources import RESOURCES
from syringe_project.celery import app
from syringe_project.environment import Environment
from syringe_project.kubernetes_environment import KubernetesEnvironment
from tests.unit.docker.conftest import (
    CHART,
    SECRET,
    VALUE_SETS,
    named,
    notes,
    pod_templates,
    render,
)
from tests.unit.kubernetes import descriptions as lesson
from tests.unit.kubernetes_schemas import NEWEST, OLDEST, validate

IN_CLUSTER = re.compile(r"syringe-(worker-[a-z]+|watcher)")


def containers(template):
    """Return all containers of a pod, those that come first included."""
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def variables(container):
    """Return a container's own variables."""
    return {variable["name"]: variable for variable in container.get("env", [])}


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


@pytest.mark.parametrize("kube_version", [f"v{OLDEST}.0", None])
def test_helm_has_nothing_to_complain_about(values, kube_version):
    report = helm_python.lint(str(CHART), values, strict=True, kube_version=kube_version)

    # Helm would like an icon: a recommendation, below a warning.
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_is_valid(manifests, version):
    for manifest in manifests:
        validate(manifest, version)


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({"existingSecret": ""}, "existingSecret"),
        ({"existingSecret": "Not A Name"}, "existingSecret"),
        ({"publicUrl": "labs.example.org"}, "publicUrl"),
        ({"publicUrl": "https://labs.example.org/below"}, "publicUrl"),
        ({"instance": "Labs"}, "instance"),
        ({"trustedProxies": ["10.0.0.1"]}, "trustedProxies"),
        ({"settings": {"SYRINGE_SECRET_KEY": "in the open"}}, "SYRINGE_SECRET_KEY"),
        ({"settings": {"SYRINGE_DATABASE_URL": "in the open"}}, "SYRINGE_DATABASE_URL"),
        ({"settings": {"TIER": "prod"}}, "TIER"),
        ({"settings": {"SYRINGE_TIER": ["prod"]}}, "settings"),
        ({"workers": {"lifecycle": {"concurrency": 0}}}, "workers"),
        ({"workers": {"a queue": {"replicas": 1, "concurrency": 1, "resources": {}}}}, "a queue"),
        ({"workers": {"another": {"replicas": 1}}}, "workers"),
        ({"networkPolicy": {"dataPorts": []}}, "dataPorts"),
        ({"embedded": {"storage": "much"}}, "storage"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"replicas": 3}, "replicas"),
        ({"flower": {"enable": True}}, "flower"),
    ],
)
def test_wrong_values_are_refused(change, about):
    with pytest.raises(helm_python.HelmError, match=about):
        render({**SECRET, **change})


def test_a_release_needs_its_secret():
    with pytest.raises(helm_python.HelmError, match="existingSecret"):
        render({})


def test_every_default_is_in_the_schema_and_every_setting_exists(manifests):
    prefixes = (("SYRINGE_", Environment), ("SYRINGE_KUBERNETES_", KubernetesEnvironment))
    known = {f"{prefix}{name.upper()}" for prefix, model in prefixes for name in model.model_fields}
    used = set(named(manifests, "ConfigMap")["data"])
    for template in pod_templates(manifests).values():
        for container in containers(template):
            used |= {name for name in variables(container) if name.startswith("SYRINGE_")}
    assert used - known == set()


def test_settings_become_what_the_processes_read():
    data = named(render(VALUE_SETS["production"]), "ConfigMap")["data"]

    assert data["SYRINGE_ALLOWED_HOSTS"] == "localhost,127.0.0.1,labs.example.org"
    assert data["SYRINGE_BUNDLE_URL"] == "http://syringe-bundles.labs.svc:8002"
    assert data["SYRINGE_KUBERNETES_NAMESPACE"] == "labs"
    assert data["SYRINGE_BOOT_TIMEOUT_SECONDS"] == "900"
    assert data["SYRINGE_DEBUG"] == "false"
    assert data["SYRINGE_TRUSTED_PROXIES"] == "10.42.0.0/16,fd00:42::/56"
    assert data["SYRINGE_KUBERNETES_FORCE_FINALIZE"] == "true"
    assert data["SYRINGE_WEB_URL"] == "http://syringe-web:8000"


def test_large_and_broken_numbers_stay_as_they_were_written():
    settings = {"SYRINGE_BUNDLE_MAX_BYTES": 2**32, "SYRINGE_KUBERNETES_TIMEOUT_SECONDS": 2.5}
    data = named(render({**SECRET, "settings": settings}), "ConfigMap")["data"]

    assert data["SYRINGE_BUNDLE_MAX_BYTES"] == "4294967296"
    assert data["SYRINGE_KUBERNETES_TIMEOUT_SECONDS"] == "2.5"


def test_a_setting_of_the_operator_wins():
    values = {**SECRET, "settings": {"SYRINGE_BUNDLE_URL": "http://elsewhere:8002"}}
    assert named(render(values), "ConfigMap")["data"]["SYRINGE_BUNDLE_URL"] == (
        "http://elsewhere:8002"
    )


def test_pods_keep_to_the_restricted_standard(manifests):
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    for name, template in pod_templates(manifests).items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}, name
        allowed = {"emptyDir", "secret", "configMap", "persistentVolumeClaim", "projected"}
        for volume in pod.get("volumes", []):
            assert volume.keys() - {"name"} <= allowed, name
        for container in containers(template):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_pods_say_what_they_need_and_can_write_to_tmp(manifests):
    for name, template in pod_templates(manifests).items():
        for container in containers(template):
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}, name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name


def test_no_service_gives_a_pod_settings_of_its_own(manifests):
    # Kubernetes sets SYRINGE_PORT in every pod beside a Service called syringe, unless told not to.
    for name, template in pod_templates(manifests).items():
        assert template["spec"]["enableServiceLinks"] is False, name


def test_only_workers_and_the_watcher_may_talk_to_the_cluster(manifests):
    binding = named(manifests, "ClusterRoleBinding")
    assert [subject["name"] for subject in binding["subjects"]] == ["syringe-lessons"]
    for name, template in pod_templates(manifests).items():
        pod = template["spec"]
        talks = bool(IN_CLUSTER.fullmatch(name))
        assert pod["automountServiceAccountToken"] is talks, name
        assert pod["serviceAccountName"] == ("syringe-lessons" if talks else "syringe"), name
    for account in (m for m in manifests if m["kind"] == "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("forced", [False, True])
def test_the_role_grants_what_the_backend_uses_and_nothing_else(forced):
    manifests = render({**SECRET, "lessons": {"forceFinalize": forced}})
    granted = {
        (group, resource, verb)
        for rule in named(manifests, "ClusterRole")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    used = {
        (resource.group, resource.plural, verb)
        for resource in RESOURCES.values()
        for verb in resource.verbs
    }
    finalize = {("", "namespaces/finalize", "update")}
    assert granted - finalize == used
    assert (finalize <= granted) is forced


def test_every_process_reads_the_secret_and_no_manifest_holds_one(manifests):
    assert not [manifest for manifest in manifests if manifest["kind"] == "Secret"]
    needed = {"SYRINGE_SECRET_KEY", "SYRINGE_DATABASE_URL", "SYRINGE_REDIS_URL"}
    for name, template in pod_templates(manifests).items():
        if name in {"syringe-postgresql", "syringe-redis"}:
            continue
        for container in containers(template):
            for variable in needed:
                reference = variables(container)[variable]["valueFrom"]["secretKeyRef"]
                assert reference == {"name": "syringe-secrets", "key": variable}, name


def test_flower_is_off_and_else_behind_a_password():
    assert "syringe-flower" not in pod_templates(render(SECRET))

    template = pod_templates(render(VALUE_SETS["trial"]))["syringe-flower"]
    password = variables(template["spec"]["containers"][0])["FLOWER_BASIC_AUTH"]
    assert password["valueFrom"]["secretKeyRef"] == {
        "name": "syringe-secrets",
        "key": "FLOWER_BASIC_AUTH",
    }


def test_services_and_budgets_select_the_pods_they_are_for(manifests):
    labels = {
        name: template["metadata"]["labels"] for name, template in pod_templates(manifests).items()
    }
    for manifest in manifests:
        if manifest["kind"] == "Service":
            selector = manifest["spec"]["selector"]
        elif manifest["kind"] == "PodDisruptionBudget":
            selector = manifest["spec"]["selector"]["matchLabels"]
        else:
            continue
        found = [name for name in labels if selects(selector, labels[name])]
        assert found == [manifest["metadata"]["name"]]
        if manifest["kind"] == "Service":
            ports = pod_templates(manifests)[found[0]]["spec"]["containers"][0]["ports"]
            for port in manifest["spec"]["ports"]:
                target = next(p for p in ports if p["name"] == port["targetPort"])
                # Network policies see the pod's port, settings name the Service's.
                assert target["containerPort"] == port["port"]


def test_two_releases_do_not_take_each_others_pods(values):
    first = render(values, name="one-syringe", namespace="labs")
    second = render(values, name="two-syringe", namespace="labs")

    for manifest in first:
        if manifest["kind"] == "Deployment":
            selector = manifest["spec"]["selector"]["matchLabels"]
            for template in pod_templates(second).values():
                assert not selects(selector, template["metadata"]["labels"])
    assert not _names(first) & _names(second)


def test_a_long_name_still_makes_valid_names():
    for name in ("s" * 53, "syringe-" + "x" * 45):
        for manifest in render(VALUE_SETS["trial"], name=name):
            assert len(manifest["metadata"]["name"]) <= 63
            validate(manifest, OLDEST)


def _names(manifests):
    return {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}


def test_every_queue_has_workers_of_its_own(manifests):
    routed = {route["queue"] for route in app.conf.task_routes.values()}
    served = {
        word.removeprefix("--queues=")
        for template in pod_templates(manifests).values()
        for word in template["spec"]["containers"][0].get("command", [])
        if word.startswith("--queues=")
    }
    assert served == routed | {app.conf.task_default_queue}


def test_workers_are_as_many_as_the_values_say():
    manifests = render(VALUE_SETS["production"])
    for queue, replicas, threads in (("lifecycle", 4, 16), ("gc", 1, 2), ("objectives", 2, 4)):
        deployment = named(manifests, "Deployment", f"syringe-worker-{queue}")
        command = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
        assert deployment["spec"]["replicas"] == replicas
        assert {f"--queues={queue}", f"--concurrency={threads}"} <= set(command)


def test_probes_ask_what_can_answer(manifests):
    for name, template in pod_templates(manifests).items():
        container = template["spec"]["containers"][0]
        if "migrations" in name:
            continue
        if "ports" in container:
            assert "readinessProbe" in container, name
        else:
            # Whoever is stuck stops touching the file that the probe looks at.
            file = variables(container)["SYRINGE_HEARTBEAT_FILE"]["value"]
            assert file in " ".join(container["livenessProbe"]["exec"]["command"]), name


def test_a_terminal_does_not_end_because_web_is_away(manifests):
    gateway = pod_templates(manifests)["syringe-gateway"]["spec"]["containers"][0]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert gateway[probe]["httpGet"]["path"] == "/healthz/gateway"


def test_pods_are_replaced_when_their_settings_change():
    before, after = (
        pod_templates(render({**SECRET, "settings": {"SYRINGE_TIER": tier}}))
        for tier in ("prod", "ptr")
    )
    for name in before.keys() & after.keys():
        annotations = (
            template["metadata"]["annotations"] for template in (before[name], after[name])
        )
        assert len({annotation["checksum/settings"] for annotation in annotations}) == 2, name


def test_migrations_run_anew_for_another_image_only():
    def job(**changes):
        manifests = render({**SECRET, **changes})
        return next(m["metadata"]["name"] for m in manifests if m["kind"] == "Job")

    assert job() == job(gateway={"replicas": 5})
    assert job() != job(image={"tag": "2"})
    assert job() != job(settings={"SYRINGE_TIER": "ptr"})


def test_every_process_waits_for_the_migrations(manifests):
    for name, template in pod_templates(manifests).items():
        if name in {"syringe-postgresql", "syringe-redis"} or "migrations" in name:
            continue
        waiting = template["spec"]["initContainers"][0]["command"][-1]
        assert "manage.py migrate --check" in waiting, name


def confined(*, forced=False):
    lessons = {"admissionPolicy": True, "forceFinalize": forced}
    return render({**VALUE_SETS["production"], "lessons": lessons})


@pytest.mark.parametrize("version", ["1.30", NEWEST])
def test_the_admission_policies_are_valid(version):
    for manifest in confined(forced=True):
        validate(manifest, version)


@pytest.mark.parametrize("forced", [False, True])
def test_the_account_of_lessons_is_kept_to_their_namespaces(forced):
    manifests = confined(forced=forced)
    policies = [m for m in manifests if m["kind"] == "ValidatingAdmissionPolicy"]
    bound = {
        m["spec"]["policyName"]: m["spec"]["validationActions"]
        for m in manifests
        if m["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert bound == {policy["metadata"]["name"]: ["Deny"] for policy in policies}

    covered = set()
    [subject] = named(manifests, "ClusterRoleBinding")["subjects"]
    account = f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
    for policy in policies:
        [condition] = policy["spec"]["matchConditions"]
        assert condition["expression"] == f"request.userInfo.username == '{account}'"
        for validation in policy["spec"]["validations"]:
            assert f"'{INSTANCE}'] == 'labs-eu'" in validation["expression"]
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]:
            covered |= {(rule["apiGroups"][0], one, o.lower()) for one in rule["resources"]
                        for o in rule["operations"]}  # fmt: skip
    written = {
        (group, resource, {"patch": "update"}.get(verb, verb))
        for rule in named(manifests, "ClusterRole")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb in {"create", "patch", "update", "delete"}
    }
    assert (("", "namespaces/finalize", "update") in written) is forced
    assert written <= covered


def test_network_policies_isolate_every_pod(values, manifests):
    policies = [m["spec"] for m in manifests if m["kind"] == "NetworkPolicy"]
    for name, template in pod_templates(manifests).items():
        labels = template["metadata"]["labels"]
        found = [p for p in policies if selects(p["podSelector"]["matchLabels"], labels)]
        if values.get("networkPolicy", {}).get("enabled", True):
            assert len(found) == 1, name
            assert set(found[0]["policyTypes"]) == {"Ingress", "Egress"}, name
        else:
            assert found == [], name


def test_who_may_connect_to_whom():
    manifests = render(VALUE_SETS["production"])

    def policy(component):
        return named(manifests, "NetworkPolicy", f"syringe-{component}")["spec"]

    gateway = {
        "app.kubernetes.io/name": "syringe",
        "app.kubernetes.io/instance": "syringe",
        "app.kubernetes.io/component": "gateway",
    }
    lessons = {"namespaceSelector": {"matchLabels": {INSTANCE: "labs-eu"}}}
    assert policy("web")["ingress"] == [
        {
            "from": [{"podSelector": {"matchLabels": gateway}}],
            "ports": [{"protocol": "TCP", "port": 8000}],
        }
    ]
    assert policy("bundles")["ingress"] == [
        {"from": [lessons], "ports": [{"protocol": "TCP", "port": 8002}]}
    ]
    for component in ("worker", "watcher", "beat", "flower", "migrations"):
        assert policy(component)["ingress"] == []
    for component in ("gateway", "worker"):
        assert {"to": [lessons]} in policy(component)["egress"]
    for component in ("web", "bundles", "watcher", "beat"):
        assert {"to": [lessons]} not in policy(component)["egress"]
    data = [{"protocol": "TCP", "port": 5432}, {"protocol": "TCP", "port": 6379}]
    assert {"to": [{"ipBlock": {"cidr": "10.9.0.0/24"}}], "ports": data} in policy("web")["egress"]


@pytest.mark.parametrize(
    ("text", "ports"), [("", [53]), ("[5353]", [5353]), ("[53, 54]", [53, 54])]
)
def test_our_pods_and_those_of_lessons_reach_the_same_dns(text, ports):
    settings = {"SYRINGE_KUBERNETES_DNS_PORTS": text} if text else {}
    manifests = render({**SECRET, "settings": settings})
    expected = [
        {"protocol": protocol, "port": port} for port in ports for protocol in ("UDP", "TCP")
    ]

    options = lesson.options(**({"dns_ports": ports} if text else {}))
    made = environment_manifests(lesson.environment(), options)
    isolation = lesson.of_kind(made, "NetworkPolicy")["isolation"]["spec"]
    assert isolation["egress"][1]["ports"] == expected
    for component in ("web", "worker", "watcher", "migrations"):
        policy = named(manifests, "NetworkPolicy", f"syringe-{component}")
        assert policy["spec"]["egress"][0]["ports"] == expected


def test_web_believes_whoever_connects_only_where_that_is_the_gateway():
    trusted = {}
    for name in ("production", "open"):
        web = pod_templates(render(VALUE_SETS[name]))["syringe-web"]["spec"]["containers"][0]
        trusted[name] = variables(web)["SYRINGE_TRUSTED_PROXIES"]["value"]
    assert trusted == {"production": "0.0.0.0/0,::/0", "open": ""}


def test_the_ingress_leads_to_the_gateway():
    manifests = render(VALUE_SETS["production"])
    spec = named(manifests, "Ingress")["spec"]

    assert spec["tls"] == [{"hosts": ["labs.example.org"], "secretName": "labs-tls"}]
    assert spec["rules"][0]["host"] == "labs.example.org"
    backend = spec["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert named(manifests, "Service", backend["name"])["spec"]["ports"][0]["name"] == "http"
    assert backend["name"] == "syringe-gateway"
    assert "tls" not in named(render(VALUE_SETS["open"]), "Ingress")["spec"]


def test_the_notes_name_what_is_missing():
    assert "port-forward service/syringe-gateway" in notes(SECRET)
    assert "keep no backups" in notes(VALUE_SETS["trial"])
    assert "trustedProxies is empty" in notes(VALUE_SETS["open"])
    assert "every pod of the cluster" in notes(VALUE_SETS["open"])
    assert "port-forward" not in notes(VALUE_SETS["production"])


def test_lessons_let_in_the_pods_of_this_chart():
    """The policies of lessons name our pods by label, and so do ours name lessons' namespaces."""
    manifests = render(VALUE_SETS["production"])
    data = named(manifests, "ConfigMap")["data"]
    options = lesson.options(
        instance=data["SYRINGE_INSTANCE"], namespace=data["SYRINGE_KUBERNETES_NAMESPACE"]
    )
    spec = replace(lesson.environment(), bundle_url=f"{data['SYRINGE_BUNDLE_URL']}/bundles/x")
    made = environment_manifests(spec, options)
    isolation = lesson.of_kind(made, "NetworkPolicy")["isolation"]["spec"]
    to_bundles = isolation["egress"][-1]

    assert _admitted(isolation["ingress"][-1]["from"], manifests) == {
        "syringe-gateway",
        "syringe-worker-gc",
        "syringe-worker-lifecycle",
        "syringe-worker-objectives",
    }
    assert _admitted(to_bundles["to"], manifests) == {"syringe-bundles"}
    bundles = pod_templates(manifests)["syringe-bundles"]["spec"]["containers"][0]
    assert [port["port"] for port in to_bundles["ports"]] == [bundles["ports"][0]["containerPort"]]

    namespace = next(iter(lesson.of_kind(made, "Namespace").values()))
    ours = named(manifests, "NetworkPolicy", "syringe-bundles")["spec"]["ingress"][0]["from"][0]
    wanted = ours["namespaceSelector"]["matchLabels"]
    assert selects(wanted, namespace["metadata"]["labels"])


def _admitted(peers, manifests):
    """Name the pods in the namespace ``labs`` that peers select by labels."""
    admitted = set()
    for peer in peers:
        assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "labs"}}
        for name, template in pod_templates(manifests).items():
            labels = template["metadata"]["labels"]
            selector = peer["podSelector"]
            if selects(selector.get("matchLabels", {}), labels) and all(
                labels.get(wanted["key"]) in wanted["values"]
                for wanted in selector.get("matchExpressions", [])
            ):
                admitted.add(name)
    return admitted
