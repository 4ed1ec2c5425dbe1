"""Addresses of databases and servers: checks and completes them, and reports failures in one line.

An address may hold a password; `hidden` removes it from every text that is shown.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from tisdiss.machine.extras import is_installed

if TYPE_CHECKING:
    from sqlalchemy import URL

ANSWER_SECONDS = 10.0
"""A database that does not answer within this time counts as down."""


class NoAnswerError(ConnectionError):
    """No server listens at the address of a store."""


@dataclass(frozen=True)
class _Server:
    """A kind of database server."""

    port: int
    drivers: dict[str, str]
    """SQLAlchemy's name of each driver and the module that it imports; preferred ones first."""
    install: str

    def installed(self) -> list[str]:
        return [name for name, module in self.drivers.items() if is_installed(module)]


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
"""Drivers that wait forever without a timeout."""
_OTHER_NAMES = {"postgres": "postgresql", "mariadb": "mysql"}
_LIBRARIES = {
    *("alembic", "mlflow", "optuna", "requests", "sqlalchemy", "sqlite3", "urllib3"),
    *(module for server in _SERVERS.values() for module in server.drivers.values()),
}
"""Libraries that access stores for us."""
_REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
"""MLflow's codes for what a user may not do."""


def is_server(address: str) -> bool:
    """Whether a store is an MLflow server, which serves its own pages."""
    return address.lower().startswith(("http://", "https://"))


def sqlite_at(path: Path) -> str:
    """The address of a database file, with special characters of its path quoted."""
    from sqlalchemy import URL

    return _sqlite_text(URL.create("sqlite", database=str(path)))


def sqlite_file(address: str) -> Path | None:
    """The file of a sqlite database; None for other databases."""
    name = _parsed(address, address).database if address.startswith("sqlite") else None
    return Path(name) if name and _is_path(name) else None


def database(given: str) -> str:
    """A database's address as SQLAlchemy can open it here.

    It has an installed driver, or the absolute path of a sqlite file. Raises ValueError if it
    cannot be opened.
    """
    scheme, _, rest = given.partition("://")
    name, _, driver = scheme.lower().partition("+")
    name = _OTHER_NAMES.get(name, name)
    if name == "sqlite":
        return _sqlite(given)
    if name not in _SERVERS:
        kinds = ", ".join(["sqlite", *_SERVERS])
        raise ValueError(f"{hidden(given)}: '{name}' is not a known kind of database; use {kinds}")
    driver = _driver(given, name, driver)
    url = _parsed(f"{name}+{driver}://{rest}", given)
    if driver in _PATIENT and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": f"{ANSWER_SECONDS:.0f}"})
    return url.render_as_string(hide_password=False)


def check_answer(address: str) -> None:
    """Raise NoAnswerError at once if no server listens, because libraries would keep retrying.

    A database whose host is in the query, and a server behind a proxy, are left to the libraries.
    """
    if not (place := _place(address)):
        return
    try:
        socket.create_connection(place, timeout=ANSWER_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise NoAnswerError(f"no answer from {place[0]}:{place[1]} ({reason})") from error


def hidden(text: str) -> str:
    """A text with the passwords of its addresses masked."""
    text = re.sub(r"(//[^:/@\s]*):\S*@", r"\1:***@", text)
    text = re.sub(r"(https?://)[^:/@\s]+@", r"\1***@", text)
    return re.sub(r"(?i)([?&]\w*(?:password|passwd|token|secret|key)=)[^&\s'\"]*", r"\1***", text)


@contextmanager
def answering(what: str, address: str, way_out: str) -> Iterator[None]:
    """Turn an error of a store or its library into a one-line ConnectionError with the way out."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, NoAnswerError) or is_of_a_library(error)):
            raise
        reason = reason_of(error)
        message = hidden(f"{what} {address}: {reason.rstrip('.')}. {_first(error)}, {way_out}")
        raise ConnectionError(_without_password(message, address)) from error


def _place(address: str) -> tuple[str, int] | None:
    """Host and port of the server; None if they are unknown."""
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


def _driver(given: str, name: str, driver: str) -> str:
    """The requested driver, else the preferred one that is installed."""
    server = _SERVERS[name]
    drivers = server.installed()
    if driver in drivers or (driver and driver not in server.drivers):
        return driver  # SQLAlchemy knows more drivers, and reports what is missing
    if driver and drivers:
        raise ValueError(
            f"{hidden(given)}: the driver {driver} is not installed, {drivers[0]} is: write "
            f"{name}://"
        )
    if not drivers:
        raise ValueError(f"{hidden(given)}: no driver for {name} is installed: {server.install}")
    return drivers[0]


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
    """The address as text; a quoted path gets a driver, because MLflow unquotes no bare path."""
    text = url.render_as_string(hide_password=False)
    return re.sub(r"^sqlite:", "sqlite+pysqlite:", text) if "%" in text else text


def is_of_a_library(error: Exception) -> bool:
    """Whether an error is a library's own, or a common one that a library raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    raised_in = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
    modules = (type(error).__module__, raised_in)
    return any(module.partition(".")[0] in _LIBRARIES for module in modules)


def _first(error: Exception) -> str:
    """What to do first about an error."""
    if getattr(error, "error_code", "") in _REFUSED:
        return "Ask for that right, or log in by $MLFLOW_TRACKING_USERNAME and ..._PASSWORD"
    return "Upgrade it so" if "upgrade" in reason_of(error) else "Start it"


def reason_of(error: Exception) -> str:
    """The first line of an error; Optuna's has a database's message as its cause."""
    cause = error.__cause__ if type(error).__name__ == "StorageInternalError" else None
    return (str(cause or error).strip().splitlines() or [type(error).__name__])[0]


def _without_password(text: str, address: str) -> str:
    """A text with the address's password masked, wherever a library put it."""
    match = re.search(r"//[^:/@\s]*:(\S*)@", address)
    for secret in {match[1], unquote(match[1])} if match else ():
        if len(secret) > 3:  # a shorter one may be part of other words
            text = text.replace(secret, "***")
    return text
