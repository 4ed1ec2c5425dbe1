"""Addresses of databases and servers: quoted, completed with an installed driver, told in one line.

An address may hold a password. What is shown of one has gone through `hidden` before.
"""

from __future__ import annotations

import importlib.util
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from sqlalchemy import URL

ANSWER_SECONDS = 10.0
"""A database that has not answered for so long is down."""


class NoAnswerError(ConnectionError):
    """Nobody listens where a store should be."""


@dataclass(frozen=True)
class _Server:
    """A kind of database server."""

    port: int
    drivers: dict[str, str]
    """The names that SQLAlchemy gives them, and the module that each one imports; best first."""
    install: str

    def installed(self) -> list[str]:
        return [name for name, module in self.drivers.items() if _is_installed(module)]


_SERVERS = {
    "postgresql": _Server(
        5432,
        {"psycopg2": "psycopg2", "psycopg": "psycopg"},
        "pip install psycopg2-binary (our extra `postgres`)",
    ),
    "mysql": _Server(
        3306,
        {"pymysql": "pymysql", "mysqldb": "MySQLdb", "mysqlconnector": "mysql"},
        "pip install 'pymysql[rsa]' (our extra `mysql`)",
    ),
}
_PORTS = {"http": 80, "https": 443}
_PATIENT = ("psycopg2", "psycopg", "pymysql", "mysqldb")
"""Drivers that wait for ever unless told how long."""
_OTHER_NAMES = {"postgres": "postgresql", "mariadb": "mysql"}
_LIBRARIES = {
    *("alembic", "mlflow", "optuna", "requests", "sqlalchemy", "sqlite3", "urllib3"),
    *(module for server in _SERVERS.values() for module in server.drivers.values()),
}
"""What speaks to stores for us."""


def is_server(address: str) -> bool:
    """Whether a store is a server that shows its pages itself."""
    return address.lower().startswith(("http://", "https://"))


def sqlite_at(path: Path) -> str:
    """The address of a database file, whatever characters its path holds."""
    from sqlalchemy import URL

    return _sqlite_text(URL.create("sqlite", database=str(path)))


def sqlite_file(address: str) -> Path | None:
    """The file of a database that is one on this machine."""
    name = _parsed(address, address).database if address.startswith("sqlite") else None
    return Path(name) if name and _is_path(name) else None


def database(given: str) -> str:
    """A database's address as SQLAlchemy can open it here.

    It names a driver that is installed, and a sqlite file by its whole path. ValueError for one
    that cannot be opened.
    """
    scheme, _, rest = given.partition("://")
    name, _, driver = scheme.lower().partition("+")
    name = _OTHER_NAMES.get(name, name)
    if name == "sqlite":
        return _sqlite(given)
    if name not in _SERVERS:
        known = ", ".join(["sqlite", *_SERVERS])
        raise ValueError(f"{hidden(given)}: '{name}' is no known kind of database; use {known}")
    driver = _driver(given, name, driver)
    url = _parsed(f"{name}+{driver}://{rest}", given)
    if driver in _PATIENT and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": f"{ANSWER_SECONDS:.0f}"})
    return url.render_as_string(hide_password=False)


def check_answer(address: str) -> None:
    """NoAnswerError at once where nobody answers, for libraries try again and again.

    A database whose host is in the query, and a server behind a proxy, are left to the libraries.
    """
    if not (place := _place(address)):
        return
    try:
        socket.create_connection(place, timeout=ANSWER_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise NoAnswerError(f"nobody answers at {place[0]}:{place[1]} ({reason})") from error


def hidden(text: str) -> str:
    """A text without the passwords of the addresses in it."""
    text = re.sub(r"(//[^:/@\s]*):\S*@", r"\1:***@", text)
    text = re.sub(r"(https?://)[^:/@\s]+@", r"\1***@", text)
    return re.sub(r"(?i)([?&]\w*(?:password|passwd|token|secret|key)=)[^&\s'\"]*", r"\1***", text)


@contextmanager
def answering(what: str, address: str, way_out: str) -> Iterator[None]:
    """ConnectionError, one line with the way out, where a store or its library gives up."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, NoAnswerError) or _is_of_a_library(error)):
            raise
        reason = _reason(error)
        first = "Upgrade it so" if "upgrade" in reason else "Start it"
        told = hidden(f"{what} {address}: {reason.rstrip('.')}. {first}, {way_out}")
        raise ConnectionError(_without(told, address)) from error


def _place(address: str) -> tuple[str, int] | None:
    """Host and port of who is to answer; None where that cannot be told."""
    if is_server(address):
        split = urlsplit(address)
        host, kind = split.hostname or "", split.scheme.lower()
        if kind in getproxies() and not proxy_bypass(host):
            return None
        return host, split.port or _PORTS[kind]
    url = _parsed(address, address)
    if not url.host or "host" in url.query:
        return None
    return url.host, url.port or _SERVERS[url.get_backend_name()].port


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _driver(given: str, name: str, driver: str) -> str:
    """The driver that is asked for, else the best that is installed."""
    server = _SERVERS[name]
    there = server.installed()
    if driver in there or (driver and driver not in server.drivers):
        return driver  # SQLAlchemy knows more of them, and tells what they lack
    if driver and there:
        raise ValueError(
            f"{hidden(given)}: the driver {driver} is not installed, {there[0]} is: write {name}://"
        )
    if not there:
        raise ValueError(f"{hidden(given)}: no driver for {name} is installed: {server.install}")
    return there[0]


def _parsed(address: str, given: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        url = None
    if url is None or "@" in (url.host or ""):
        raise ValueError(
            f"{hidden(given)}: not KIND://USER:PASSWORD@HOST:PORT/DATABASE; characters such as "
            "@ / : ? # in a password are written as %40 %2F %3A %3F %23"
        )
    return url


def _sqlite(given: str) -> str:
    url = _parsed(given, given)
    name = url.database or ""
    if not _is_path(name):
        return given
    _, question, query = given.partition("?")
    if question and not all(re.match(r"\w+=", part) for part in query.split("&")):
        raise ValueError(f"{hidden(given)}: a question mark in a path is written as %3F")
    path = Path(name).absolute()
    if not path.parent.is_dir():
        raise ValueError(f"{hidden(given)}: there is no folder {path.parent}; make it first")
    return _sqlite_text(url.set(database=str(path)))


def _is_path(name: str) -> bool:
    return name not in ("", ":memory:") and not name.startswith("file:")


def _sqlite_text(url: URL) -> str:
    """With its driver where something is quoted: MLflow takes `sqlite:///` for a bare path."""
    text = url.render_as_string(hide_password=False)
    return re.sub(r"^sqlite:", "sqlite+pysqlite:", text) if "%" in text else text


def _is_of_a_library(error: Exception) -> bool:
    """Whether it is a library's error, or a common one that a library has raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    raised_in = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
    modules = (type(error).__module__, raised_in)
    return any(module.partition(".")[0] in _LIBRARIES for module in modules)


def _reason(error: Exception) -> str:
    """The first line of what went wrong; Optuna tells a database's own words as the cause."""
    told = error.__cause__ if type(error).__name__ == "StorageInternalError" else None
    return (str(told or error).strip().splitlines() or [type(error).__name__])[0]


def _without(text: str, address: str) -> str:
    """Leave out the address's password, wherever a library has put it."""
    found = re.search(r"//[^:/@\s]*:(\S*)@", address)
    for secret in {found[1], unquote(found[1])} if found else ():
        if len(secret) > 3:  # a shorter one is part of other words, too
            text = text.replace(secret, "***")
    return text
