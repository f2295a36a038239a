"""The walk-throughs' commands, as far as they can be held against what they are about."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scheduler.backends.kubernetes.manifests import environment_manifests
from scheduler.backends.kubernetes.names import bridge_name
from tests.unit.docker.conftest import CHART, named, pod_templates, render
from tests.unit.docker.containerfiles import DOCKER, ROOT, stages
from tests.unit.kubernetes import descriptions as lesson
from tests.unit.kubernetes_schemas import NEWEST, OLDEST, validate

WALKTHROUGHS = [ROOT / "docs" / "kubernetes" / name for name in ("kind.md", "k3s.md")]
LESSON_IMAGES = ROOT / "docs" / "kubernetes" / "lesson-images" / "Dockerfile"
DOCUMENTS = [
    *WALKTHROUGHS,
    DOCKER / "README.md",
    ROOT / "docs" / "kubernetes" / "operating.md",
    ROOT / "docs" / "decisions" / "lesson-networking.md",
]


def commands(document):
    """Return the shell commands of a document."""
    return "\n".join(re.findall(r"```bash\n(.*?)```", document.read_text(), re.DOTALL))


def values_of(document):
    """Return the values that a walk-through installs the chart with."""
    found = re.search(r"cat > (?:kind|k3s)-values\.yaml <<'YAML'\n(.*?)^YAML$", commands(document),
                      re.DOTALL | re.MULTILINE)  # fmt: skip
    assert found
    return yaml.safe_load(found[1])


@pytest.fixture(params=WALKTHROUGHS, ids=lambda document: document.stem)
def walkthrough(request):
    return request.param


@pytest.fixture
def manifests(walkthrough):
    return render(values_of(walkthrough), namespace="syringe")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_a_shell_understands_the_commands(document):
    done = subprocess.run(["bash", "-n"], input=commands(document), text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_peers_of_a_dns_on_the_node_are_what_lessons_may_reach():
    text = (ROOT / "docs" / "kubernetes" / "operating.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    peers = json.loads(yaml.safe_load(example)["SYRINGE_KUBERNETES_DNS_PEERS"])

    made = environment_manifests(lesson.environment(), lesson.options(dns_peers=peers))
    isolation = lesson.of_kind(made, "NetworkPolicy")["isolation"]

    assert isolation["spec"]["egress"][1]["to"] == peers
    validate(isolation, OLDEST)
    [policy] = re.findall(r"<<'YAML'\n(.*?)^YAML$", text, re.DOTALL | re.MULTILINE)
    validate(yaml.safe_load(policy), OLDEST)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_values_make_valid_manifests(manifests, version):
    for manifest in manifests:
        validate(manifest, version)


def test_the_secret_has_what_the_pods_read(walkthrough, manifests):
    made = set(re.findall(r"--from-literal=(\w+)=", commands(walkthrough)))
    read = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for template in pod_templates(manifests).values()
        for container in template["spec"]["containers"]
        for variable in container.get("env", [])
        if "valueFrom" in variable and not variable["valueFrom"]["secretKeyRef"].get("optional")
    }
    assert made == read


def test_everything_named_is_there(walkthrough, manifests):
    text = commands(walkthrough)
    for kind, name in re.findall(r"\b(deployment|service)/(syringe-[a-z-]+)", text):
        named(manifests, kind.capitalize(), name)
    for host, port in re.findall(r"(?:@|redis://)(syringe-[a-z]+):(\d+)", text):
        service = named(manifests, "Service", host)
        assert [listed["port"] for listed in service["spec"]["ports"]] == [int(port)]
    for name, port in re.findall(r"port-forward service/(\S+) (\d+):\2", text):
        service = named(manifests, "Service", name)
        assert [listed["port"] for listed in service["spec"]["ports"]] == [int(port)]


def test_the_images_that_are_used_are_built_and_loaded(walkthrough, manifests):
    text = commands(walkthrough).replace("\\\n", " ")
    built = set(re.findall(r"docker build --tag (\S+)", text))
    loaded = re.search(r"(?:kind load docker-image --name syringe|docker save) ([^|\n]+)", text)
    used = {
        container["image"]
        for template in pod_templates(manifests).values()
        for container in template["spec"]["containers"]
        if "postgres" not in container["image"] and "redis" not in container["image"]
    }
    sample = {folder.name for folder in (ROOT / "curriculum" / "sample" / "images").iterdir()}
    pattern = named(manifests, "ConfigMap")["data"]["SYRINGE_KUBERNETES_IMAGE"]
    wanted = {pattern.format(slug=slug, tag="latest") for slug in sample}

    assert loaded
    assert set(loaded[1].split()) == built
    assert used | wanted <= built


def test_what_is_built_exists(walkthrough):
    text = commands(walkthrough)
    for line in re.findall(r"docker build (.*)", text):
        words = line.split()
        assert (ROOT / words[-1]).is_dir(), line
        for option, value in itertools.pairwise(words):
            if option == "--file":
                assert (ROOT / value).is_file(), line
            if option == "--target":
                assert value in {stage.name for stage in stages(LESSON_IMAGES)}, line
    assert set(re.findall(r"helm (?:install|upgrade) syringe (\S+)", text)) == {
        str(CHART.relative_to(ROOT))
    }


def test_manage_py_knows_the_commands(walkthrough):
    known = {path.stem for path in ROOT.glob("*/management/commands/*.py")} | {"createsuperuser"}
    assert set(re.findall(r"manage\.py (\w+)", commands(walkthrough))) <= known


def test_only_empty_bridges_of_lessons_are_removed():
    [script] = re.findall(
        r"```bash\n(empty_bridges.*?)```",
        (ROOT / "docs" / "decisions" / "lesson-networking.md").read_text(),
        re.DOTALL,
    )
    empty, used = (bridge_name("labs", connection) for connection in ("a", "b"))
    commands = f"""
        set -e
        for bridge in {empty} {used} docker0; do ip link add $bridge type bridge; done
        ip link add port0 type veth peer name port1
        ip link set port0 master {used}
        bash -ec {shlex.quote(script.replace("sleep 60", "true"))}
        ip -o link show type bridge
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "bash", "-c", commands],
        capture_output=True,
        text=True,
    )
    if "not permitted" in done.stderr:
        pytest.skip(f"no network of its own can be made here: {done.stderr}")

    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"^\d+: (\S+?):", done.stdout, re.MULTILINE)) == {used, "docker0"}


def test_hadolint_has_nothing_to_say_about_the_lessons_images():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, LESSON_IMAGES], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
