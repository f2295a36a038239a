"""What a Dockerfile says, and what a builder would be given to build it from."""

import re
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
CONTEXTS = {
    DOCKER / "Dockerfile": ROOT,
    DOCKER / "configurator" / "Dockerfile": DOCKER / "configurator",
    DOCKER / "jupyter" / "Dockerfile": DOCKER / "jupyter",
}


@dataclass
class Stage:
    """One FROM, and the instructions below it as (word, rest)."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word):
        """Return what follows an instruction's word, each time."""
        return [rest for instruction, rest in self.instructions if instruction == word]

    def variables(self):
        """Return what ENV sets."""
        return {
            name: value.strip('"')
            for rest in self.all("ENV")
            for name, value in re.findall(r'(\w+)=("[^"]*"|\S+)', rest)
        }


def stages(dockerfile):
    """Return the stages of a Dockerfile, in order."""
    text = "\n".join(
        line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")
    )
    found = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        elif word:
            found[-1].instructions.append((word, rest.strip()))
    return found


def is_ignored(path, patterns):
    """Say whether .dockerignore keeps a path out: the last pattern that matches decides."""
    ignored = False
    parts = PurePosixPath(path).parts
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        prefixes = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        anywhere = wanted.removeprefix("**/")
        if wanted.startswith("**/"):
            matches = any(fnmatch(part, anywhere) for part in parts)
        else:
            depth = wanted.count("/")
            matches = len(parts) > depth and fnmatch(prefixes[depth], wanted)
        if matches:
            ignored = not pattern.startswith("!")
    return ignored


def ignore_patterns():
    """Return the patterns of the project's .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
