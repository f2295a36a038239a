"""What must hold between a lesson's objectives, its endpoints and its files."""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from curriculum.objectives import FILE_PATTERN
from curriculum.outline import (
    CheckOutline,
    Endpoint,
    Named,
    ObjectiveOutline,
    Outline,
    StageOutline,
)
from curriculum.problems import Report, printable, quoted
from curriculum.tree import TreeFile, Unreadable, read_text

_SOLUTION = re.compile(r"stage(0|[1-9][0-9]{0,5})/solve/([^/]+)\.sh")
_SOLUTION_BYTES = 64 * 1024
_SHELL = ("run", "output")
_CHECK_FILE = re.compile(FILE_PATTERN)


def objective_file(position: int, number: int) -> str:
    """Return the script of the older form that checks a stage's objective, counted from 0."""
    return f"stage{position}/objectives/objective{number + 1}.py"


def default_endpoint(endpoints: Iterable[Endpoint], kind: str) -> Endpoint | None:
    """Return the endpoint that a check is about when it names none; None: it has to name one."""
    listed = list(endpoints)
    wanted = {"tcp": "", "http": "http"}.get(kind, "ssh")
    for endpoint in listed:
        if not wanted or endpoint.offers(wanted):
            return endpoint
    # A job beside the endpoints may be about one that it cannot log in to.
    return listed[0] if kind == "file" and listed else None


def check_objectives(files: Collection[str], lesson: Outline, report: Report) -> None:
    """Report objectives that cannot be checked or never be reached."""
    for position, stage in enumerate(lesson.stages):
        _Stage(position, stage, lesson, files, report).check()


@dataclass(frozen=True, slots=True)
class _Stage:
    position: int
    stage: StageOutline
    lesson: Outline
    files: Collection[str]
    report: Report

    def check(self) -> None:
        self._check_form()
        self._check_slugs()
        self._check_needs()
        self._check_circles()
        for objective in self.stage.objectives:
            self._check_check(objective.check)
        for number, text in enumerate(self.stage.texts):
            self._check_file(Named(objective_file(self.position, number), text.line))
        if self.stage.texts and default_endpoint(self.lesson.endpoints, "file") is None:
            self._error("the lesson has no endpoint to check", self.stage.verification_line)

    def _error(self, message: str, line: int) -> None:
        self.report.error(message, line=line)

    def _check_form(self) -> None:
        stage = self.stage
        if stage.has_verification and stage.objectives:
            self._error(
                "verification is the older form of objectives; use one of both",
                stage.verification_line,
            )
        counting = stage.texts or [o for o in stage.objectives if not o.optional]
        if stage.gate is not None and not counting:
            self._error(
                "gate needs an objective that is not optional, or the next stage never opens",
                stage.gate.line,
            )
        if stage.complete_message.text and stage.has_verification:
            self._error(
                "completeMessage stands inside verification where that is used",
                stage.complete_message.line,
            )
        elif stage.complete_message.text and not counting:
            self.report.warning(
                "completeMessage is never shown: the stage has no objective that is not optional",
                line=stage.complete_message.line,
            )

    def _check_slugs(self) -> None:
        first: dict[str, int] = {}
        for objective in self.stage.objectives:
            slug = objective.slug
            if slug.text and first.setdefault(slug.text, slug.line) != slug.line:
                self._error(
                    f"objective {quoted(slug.text)} is there already in line {first[slug.text]}",
                    slug.line,
                )

    def _check_needs(self) -> None:
        known = {objective.slug.text: objective for objective in self.stage.objectives}
        for objective in self.stage.objectives:
            for needed in objective.needs:
                other = known.get(needed.text)
                if not needed.text:
                    continue
                if other is None:
                    self._error(
                        f"objective {quoted(needed.text)} does not exist in this stage"
                        f"{_did_you_mean(needed.text, known)}",
                        needed.line,
                    )
                elif other.optional and not objective.optional:
                    self.report.warning(
                        f"objective {quoted(needed.text)} is optional, but "
                        f"{quoted(objective.slug.text)} is not and needs it",
                        line=needed.line,
                    )

    def _check_circles(self) -> None:
        objectives = {o.slug.text: o for o in self.stage.objectives if o.slug.text}
        graph = {
            slug: {needed.text for needed in objective.needs if needed.text in objectives}
            for slug, objective in objectives.items()
        }
        while True:
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as exc:
                # graphlib lists each node before the one that needs it, the first again at the end.
                cycle: list[str] = list(reversed(exc.args[1]))
            else:
                return
            start = min(range(len(cycle) - 1), key=lambda i: _needs_line(objectives[cycle[i]]))
            path = [*cycle[start:-1], *cycle[:start], cycle[start]]
            self._error(
                f"needs go round in a circle: {printable(' -> '.join(path))}",
                _needs_line(objectives[path[0]], path[1]),
            )
            graph = {slug: needs for slug, needs in graph.items() if slug not in cycle}

    def _check_check(self, check: CheckOutline) -> None:
        if len(check.kinds) != 1:
            # The schema says so.
            return
        (kind,) = check.kinds
        if kind == "file":
            self._check_file(check.file)
        endpoint = self._endpoint(check, kind)
        if endpoint is None:
            return
        name = quoted(endpoint.name.text)
        if kind in _SHELL and not endpoint.offers("ssh"):
            self._error(
                f"endpoint {name} has no presentation of type ssh, so nothing can be run on it",
                check.endpoint.line,
            )
        if kind == "http" and not check.port and not endpoint.offers("http"):
            self._error(
                f"endpoint {name} has no presentation of type http, so the port must be named",
                check.endpoint.line,
            )
        if check.port and 0 not in endpoint.ports and check.port not in endpoint.ports:
            self._error(
                f"port {check.port} is in neither the presentations nor the additionalPorts of "
                f"endpoint {name}, so nobody can connect to it",
                check.port_line,
            )

    def _endpoint(self, check: CheckOutline, kind: str) -> Endpoint | None:
        endpoints = {endpoint.name.text: endpoint for endpoint in self.lesson.endpoints}
        named = check.endpoint
        if named.text:
            if named.text not in endpoints:
                self._error(
                    f"endpoint {quoted(named.text)} does not exist"
                    f"{_did_you_mean(named.text, endpoints)}",
                    named.line,
                )
            return endpoints.get(named.text)
        found = default_endpoint(self.lesson.endpoints, kind)
        if found is None and kind == "http" and endpoints:
            self._error("name an endpoint: none has a presentation of type http", check.line)
        elif found is None and endpoints:
            self._error(
                "no endpoint has a presentation of type ssh, so nothing can be run", check.line
            )
        return found

    def _check_file(self, file: Named) -> None:
        # The schema refuses all other paths.
        if _CHECK_FILE.fullmatch(file.text) and file.text not in self.files:
            self._error(f"{quoted(file.text)} is missing in the lesson's folder", file.line)


def _needs_line(objective: ObjectiveOutline, slug: str = "") -> int:
    return next(
        (needed.line for needed in objective.needs if slug in ("", needed.text)),
        objective.slug.line,
    )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [text for text in known if text], n=1, cutoff=0.6)
    return f"; did you mean {quoted(close[0])}?" if close else ""


def is_solution(name: str) -> bool:
    """Say whether a lesson's file is a script that solves a stage, by its name."""
    return _SOLUTION.fullmatch(name) is not None


def read_solutions(
    files: dict[str, TreeFile], folder: str, lesson: Outline, report: Report
) -> list[dict[str, str]]:
    """Return for every stage the script that solves it on each endpoint, for authors' tests."""
    solutions: list[dict[str, str]] = [{} for _ in lesson.stages]
    endpoints = {endpoint.name.text: endpoint for endpoint in lesson.endpoints}
    for name, file in files.items():
        match = _SOLUTION.fullmatch(name)
        # A folder of no stage has its warning already.
        if match is None or int(match[1]) >= len(solutions):
            continue
        endpoint = endpoints.get(match[2])
        if endpoint is None:
            report.error("is named after no endpoint", file=f"{folder}/{name}")
        elif not endpoint.offers("ssh"):
            named = quoted(endpoint.name.text)
            report.error(
                f"cannot run: endpoint {named} has no presentation of type ssh",
                file=f"{folder}/{name}",
            )
        else:
            try:
                text = read_text(file.path, limit=_SOLUTION_BYTES)
            except Unreadable as exc:
                report.error(str(exc), file=f"{folder}/{name}")
            else:
                solutions[int(match[1])][endpoint.name.text] = text
    return solutions
