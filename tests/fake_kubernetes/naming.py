"""Rules for names, label keys and label values.

https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set
"""

from __future__ import annotations

import re

from tests.fake_kubernetes.errors import Cause, invalid_value

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PORT = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])*")

LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character"
)
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character"
)
VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character"
)
QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character"
)

RULES = {
    "label": (_LABEL, 63, LABEL_TEXT),
    "label-1035": (_LABEL_1035, 63, LABEL_1035_TEXT),
    "subdomain": (_SUBDOMAIN, 253, SUBDOMAIN_TEXT),
}


def problem_of_name(value: str, rule: str) -> str:
    """Return what is wrong with a name under a rule, or nothing."""
    pattern, longest, text = RULES[rule]
    if len(value) > longest:
        return f"must be no more than {longest} characters"
    return "" if pattern.fullmatch(value) else text


def check_name(field: str, value: str, rule: str) -> list[Cause]:
    """Return what is wrong with a name as causes."""
    problem = problem_of_name(value, rule)
    return [invalid_value(field, value, problem)] if problem else []


def problem_of_key(key: str) -> str:
    """Return what is wrong with a key of labels or annotations, or nothing."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not prefix or problem_of_name(prefix, "subdomain")):
        return "prefix part " + (problem_of_name(prefix, "subdomain") or "must be non-empty")
    if len(name) > 63:
        return "name part must be no more than 63 characters"
    return "" if _QUALIFIED.fullmatch(name) else QUALIFIED_TEXT


def problem_of_value(value: str) -> str:
    """Return what is wrong with a label's value, or nothing."""
    if len(value) > 63:
        return "must be no more than 63 characters"
    return "" if not value or _QUALIFIED.fullmatch(value) else VALUE_TEXT


def check_labels(field: str, labels: dict[str, str]) -> list[Cause]:
    """Return what is wrong with labels or a match on labels."""
    causes = []
    for key, value in labels.items():
        if problem := problem_of_key(key):
            causes.append(invalid_value(field, key, problem))
        if problem := problem_of_value(value):
            causes.append(invalid_value(field, value, problem))
    return causes


def check_annotations(field: str, annotations: dict[str, str]) -> list[Cause]:
    """Return what is wrong with annotations: keys, and 256 KiB in all."""
    causes = [
        invalid_value(field, key, problem)
        for key in annotations
        if (problem := problem_of_key(key.lower()))
    ]
    if sum(len(key) + len(value) for key, value in annotations.items()) > 256 * 1024:
        causes.append(
            Cause("FieldValueTooLong", field, "Too long: may not be more than 262144 bytes")
        )
    return causes


def problem_of_port_name(name: str) -> str:
    """Return what is wrong with an IANA service name, or nothing."""
    if len(name) > 15:
        return "must be no more than 15 characters"
    if not _PORT.fullmatch(name):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", name):
        return "must contain at least one letter (a-z)"
    return "must not contain consecutive hyphens" if "--" in name else ""
