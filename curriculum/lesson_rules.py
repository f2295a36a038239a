"""What must hold inside one lesson beyond the schema of its file."""

import json
import re
from collections.abc import Iterable

from curriculum.outline import Endpoint, Named, Outline
from curriculum.problems import Report, quoted
from curriculum.tree import Limits, TreeFile, Unreadable, read_text

NAPALM_DRIVERS = ("junos", "eos", "iosxr", "nxos", "nxos_ssh", "ios")
GUIDE_NAMES = {"markdown": "guide.md", "jupyter": "guide.ipynb"}
META_NAME = "lesson.meta.yaml"
_CONFIG_SUFFIXES = {"python": ".py", "ansible": ".yml"}
_STAGE_FOLDER = re.compile(r"stage(0|[1-9][0-9]{0,5})/")


def _unique(names: Iterable[Named], what: str, report: Report) -> None:
    first: dict[str, int] = {}
    for name in names:
        if name.text and first.setdefault(name.text, name.line) != name.line:
            report.error(
                f"{what} {quoted(name.text)} is used already in line {first[name.text]}",
                line=name.line,
            )


def check_names(lesson: Outline, report: Report) -> None:
    """Report names used twice and connections that lead nowhere."""
    _unique((endpoint.name for endpoint in lesson.endpoints), "endpoint name", report)
    for endpoint in lesson.endpoints:
        names = (presentation.name for presentation in endpoint.presentations)
        _unique(names, "presentation name", report)
    known = {endpoint.name.text for endpoint in lesson.endpoints}
    for a, b in lesson.connections:
        for end in (a, b):
            if end.text and end.text not in known:
                report.error(f"endpoint {quoted(end.text)} does not exist", line=end.line)
        if a.text and a.text == b.text:
            report.error("a connection needs two different endpoints", line=b.line)


def check_files(files: list[TreeFile], folder: str, report: Report) -> None:
    """Report files whose name says that their place is wrong."""
    for file in files:
        if file.name.endswith(f"/{META_NAME}"):
            report.error("is a lesson inside another lesson's folder", file=f"{folder}/{file.name}")
        elif file.name == "lesson.meta.yml":
            report.warning(f"is ignored; the file is named {META_NAME}")


def check_stage_folders(files: list[TreeFile], lesson: Outline, report: Report) -> None:
    """Warn of stage folders that no stage belongs to."""
    matches = (_STAGE_FOLDER.match(file.name) for file in files)
    present = {int(match[1]) for match in matches if match}
    for position in sorted(present):
        if position >= len(lesson.stages):
            report.warning(
                f"folder stage{position} belongs to no stage; "
                f"the lesson has {len(lesson.stages)} (counted from 0)"
            )


def _jupyter_fault(text: str) -> str:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        return "is not valid JSON"
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        return "is not a Jupyter notebook: it has no list of cells"
    return ""


def read_guides(
    files: dict[str, TreeFile], folder: str, lesson: Outline, report: Report, limits: Limits
) -> list[str]:
    """Return every stage's guide; report those that cannot be shown."""
    guides: list[str] = []
    for position, stage in enumerate(lesson.stages):
        guide_type = stage.guide_type
        expected = GUIDE_NAMES.get(guide_type.text)
        if expected is None:
            continue
        name = f"stage{position}/{expected}"
        if name not in files:
            report.error(f"{name} is missing: stage {position} has no guide", line=guide_type.line)
            continue
        try:
            guide = read_text(files[name].path, limit=limits.guide_bytes)
        except Unreadable as exc:
            report.error(str(exc), file=f"{folder}/{name}")
            continue
        if not guide.strip():
            report.warning("is empty", file=f"{folder}/{name}")
        elif guide_type.text == "jupyter" and (fault := _jupyter_fault(guide)):
            report.error(fault, file=f"{folder}/{name}")
        guides.append(guide)
    return guides


def _napalm_file(
    files: dict[str, TreeFile], position: int, endpoint: str
) -> tuple[str | None, str]:
    prefix = f"stage{position}/configs/{endpoint}-"
    found = [name for driver in NAPALM_DRIVERS if (name := f"{prefix}{driver}.txt") in files]
    if len(found) > 1:
        return None, f"{found[0]} and {found[1]} both configure {endpoint}; keep one"
    if not found:
        drivers = ", ".join(NAPALM_DRIVERS)
        return None, f"{prefix}DRIVER.txt is missing, DRIVER being one of {drivers}"
    return found[0], ""


def _configuration(
    files: dict[str, TreeFile], position: int, endpoint: Endpoint
) -> tuple[str | None, str]:
    name, kind = endpoint.name.text, endpoint.configuration_type.text
    if kind == "napalm":
        return _napalm_file(files, position, name)
    path = f"stage{position}/configs/{name}{_CONFIG_SUFFIXES[kind]}"
    if path not in files:
        return None, f"{path} is missing: {name} is configured by {kind}"
    return path, ""


def find_configurations(
    files: dict[str, TreeFile], lesson: Outline, report: Report
) -> list[dict[str, str]]:
    """Return for every stage the file that configures each endpoint; report what is missing."""
    configurations: list[dict[str, str]] = []
    for position in range(len(lesson.stages)):
        stage: dict[str, str] = {}
        for endpoint in lesson.endpoints:
            kind = endpoint.configuration_type
            if not endpoint.name.text or kind.text not in ("napalm", *_CONFIG_SUFFIXES):
                continue
            found, fault = _configuration(files, position, endpoint)
            if found is None:
                report.error(fault, line=kind.line)
            else:
                stage[endpoint.name.text] = found
        configurations.append(stage)
    return configurations
