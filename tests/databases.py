"""Databases of stacks, next to the one that the tests were given."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg2.extensions

_TEMPLATE = "TESTS_TEMPLATE_DATABASE"
"""The variable that names the template of this run of pytest, for all processes of it."""


def _named(server_url: str, name: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


@contextlib.contextmanager
def _maintaining(server_url: str) -> Iterator[psycopg2.extensions.cursor]:
    """Yield a cursor for statements about databases, outside of all of them."""
    connection = psycopg2.connect(_named(server_url, "postgres"), connect_timeout=5)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        yield cursor


def _maintain(server_url: str, statement: str) -> None:
    with _maintaining(server_url) as cursor:
        cursor.execute(statement)


@contextlib.contextmanager
def fresh_database(server_url: str, *, template: str = "template1") -> Iterator[str]:
    """Copy a database of the same server, yield its URL, drop it whoever is connected."""
    name = f"stack_{uuid4().hex[:16]}"
    _maintain(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield _named(server_url, name)
    finally:
        _maintain(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextlib.contextmanager
def template_of_run(server_url: str) -> Iterator[None]:
    """Let this process and those that it starts make their tables once, and drop them at the end.

    Within the run of another process, which starts this one, there is nothing to do.
    """
    if _TEMPLATE in os.environ:
        yield
        return
    name = os.environ[_TEMPLATE] = f"template_{uuid4().hex[:16]}"
    try:
        yield
    finally:
        del os.environ[_TEMPLATE]
        for each in (name, _unfinished(name)):
            _maintain(server_url, f'DROP DATABASE IF EXISTS "{each}"')


@contextlib.contextmanager
def migrated_database(server_url: str, migrate: Callable[[str], object]) -> Iterator[str]:
    """Yield the URL of a fresh database with all tables.

    ``migrate`` makes them in the database of a URL; in a run of pytest only the first to come does.
    """
    template = os.environ.get(_TEMPLATE)
    if template is None:
        with fresh_database(server_url) as url:
            migrate(url)
            yield url
        return
    _ensure_template(server_url, template, migrate)
    with fresh_database(server_url, template=template) as url:
        yield url


def _unfinished(template: str) -> str:
    return f"{template}_unfinished"


def _ensure_template(server_url: str, name: str, migrate: Callable[[str], object]) -> None:
    with _maintaining(server_url) as cursor:
        # Until the connection is closed: whoever comes second finds it made.
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        if cursor.fetchone() is None:
            unfinished = _unfinished(name)
            cursor.execute(f'DROP DATABASE IF EXISTS "{unfinished}"')
            cursor.execute(f'CREATE DATABASE "{unfinished}"')
            migrate(_named(server_url, unfinished))
            cursor.execute(f'ALTER DATABASE "{unfinished}" RENAME TO "{name}"')


def rows(url: str, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Return what a statement selects from a database."""
    connection = psycopg2.connect(url, connect_timeout=5)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


@contextlib.contextmanager
def refused_database(url: str) -> Iterator[None]:
    """Let nobody use a database, as if its server were away."""
    name = urlsplit(url).path[1:]
    _maintain(url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    try:
        _maintain(
            url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        yield
    finally:
        _maintain(url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
