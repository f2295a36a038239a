"""Makes curricula of any size: for measuring, and for tests that need a whole one."""

import argparse
import random
from pathlib import Path

_WORDS = [
    *("address", "bridge", "cable", "daemon", "endpoint", "frame", "gateway", "host", "interface"),
    *("join", "kernel", "link", "mask", "network", "octet", "packet", "queue", "route", "socket"),
    *("table", "uplink", "vlan", "window"),
]


def _guide(source: random.Random, title: str, words: int) -> str:
    text = " ".join(source.choices(_WORDS, k=words))
    return f"# {title}\n\n{text}.\n\n```\necho {source.choice(_WORDS)}\n```\n"


def _lesson_meta(source: random.Random, number: int, stages: int) -> str:
    lines = [
        "---",
        f"name: Lesson {number} on the {source.choice(_WORDS)}",
        f"slug: lesson-{number}",
        f"category: {source.choice(('fundamentals', 'tools', 'workflows'))}",
        "tier: prod",
        f"collection: collection-{number % 6}",
        f"description: About {' and '.join(source.sample(_WORDS, 3))}.",
        f"shortDescription: {source.choice(_WORDS)}",
        f"tags: [{source.choice(_WORDS)}, generated]",
        "authors:",
        "  - name: A generator",
        "    link: https://example.org/",
    ]
    # Only earlier lessons, so that there is never a cycle.
    if number:
        lines.append("prereqs:")
        lines += [f"  - lesson-{n}" for n in sorted({number // 2, max(0, number - 7)})]
    lines.append("endpoints:")
    for endpoint in range(1 + number % 3):
        lines += [
            f"  - name: linux{endpoint}",
            f"    image: {'utility' if endpoint == 0 else f'image-{number % 13}'}",
            "    configurationType: python",
            "    additionalPorts: [830]",
            "    presentations:",
            "      - name: cli",
            "        port: 22",
            "        type: ssh",
        ]
    if number % 3:
        lines += ["connections:", "  - a: linux0", "    b: linux1", "    subnet: 10.1.0.0/24"]
    lines.append("stages:")
    for stage in range(stages):
        lines += [f"  - description: Step {stage}", "    guideType: markdown"]
    return "\n".join(lines) + "\n"


def generate_curriculum(folder: Path, *, lessons: int = 1000, seed: int = 1) -> Path:
    """Write a valid curriculum with this many lessons; the same arguments write the same files.

    Sizes are those of real lessons: three stages, guides of some kilobytes, a script for each
    endpoint and stage. 14 images and 6 collections.
    """
    source = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "curriculum.meta.yaml").write_text(
        f"name: generated-{lessons}\ndescription: {lessons} lessons.\naVer: 0.6.0\n"
    )
    for number in range(6):
        place = folder / "collections" / f"collection-{number}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "collection.meta.yaml").write_text(
            f"slug: collection-{number}\ntitle: Collection {number}\ntype: vendor\ntier: prod\n"
        )
    for slug in ["utility", *(f"image-{number}" for number in range(13))]:
        place = folder / "images" / slug
        place.mkdir(parents=True, exist_ok=True)
        (place / "image.meta.yaml").write_text(
            f"slug: {slug}\ndescription: {slug}\nflavor: untrusted\nsshUser: antidote\n"
            "sshPassword: antidotepassword\n"
            "configUser: antidote\nconfigPassword: antidotepassword\n"
        )
    for number in range(lessons):
        _write_lesson(source, folder / "lessons" / f"lesson-{number}", number)
    return folder


def _write_lesson(source: random.Random, folder: Path, number: int) -> None:
    stages = 2 + number % 3
    for stage in range(stages):
        configs = folder / f"stage{stage}" / "configs"
        configs.mkdir(parents=True, exist_ok=True)
        guide = _guide(source, f"Lesson {number}, step {stage}", source.randint(200, 900))
        (configs.parent / "guide.md").write_text(guide)
        for endpoint in range(1 + number % 3):
            (configs / f"linux{endpoint}.py").write_text(f"print('step {stage} of {number}')\n")
    (folder / "lesson.meta.yaml").write_text(_lesson_meta(source, number, stages))


def main() -> None:
    """Generate a curriculum from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lessons", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    generate_curriculum(arguments.folder, lessons=arguments.lessons, seed=arguments.seed)


if __name__ == "__main__":
    main()
