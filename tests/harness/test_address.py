"""Database addresses: quoting, missing drivers, and error messages without the password."""

import socket
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url

from tisdiss.harness import address
from tisdiss.harness.address import answering, check_answer, database, hidden, sqlite_at
from tisdiss.harness.tracking.experiment import store_address


@contextmanager
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def installed(monkeypatch):
    """Pretend that only some drivers are installed."""

    def install(*modules):
        monkeypatch.setattr(address, "is_installed", lambda module: module in modules)

    return install


@pytest.mark.parametrize(
    "name", ["a b", "what?", "50%41", "#1", "a;b&c", "[x]", "u:p@h", "é日", "+"]
)
def test_a_file_of_any_name_is_found_by_its_address(tmp_path, name):
    path = tmp_path / name / "x.db"
    assert make_url(sqlite_at(path)).database == str(path)
    path.parent.mkdir()
    assert database(sqlite_at(path)) == sqlite_at(path)
    assert make_url(sqlite_at(path)).query == {}


def test_a_plain_file_has_the_plain_address(tmp_path, monkeypatch):
    assert sqlite_at(tmp_path / "x.db") == f"sqlite:///{tmp_path}/x.db"
    monkeypatch.chdir(tmp_path)
    assert database("sqlite:///x.db") == f"sqlite:///{tmp_path}/x.db"
    assert database("sqlite:///x.db?timeout=5") == f"sqlite:///{tmp_path}/x.db?timeout=5"


@pytest.mark.parametrize(
    ("modules", "given", "driver"),
    [
        (["psycopg2"], "postgresql", "postgresql+psycopg2"),
        (["psycopg"], "postgresql", "postgresql+psycopg"),
        (["psycopg", "psycopg2"], "postgres", "postgresql+psycopg2"),
        (["psycopg", "psycopg2"], "postgresql+psycopg", "postgresql+psycopg"),
        (["pymysql"], "mysql", "mysql+pymysql"),
        (["MySQLdb"], "mariadb", "mysql+mysqldb"),
    ],
)
def test_the_driver_is_one_that_is_installed(installed, modules, given, driver):
    installed(*modules)
    found = database(f"{given}://me:s%40cret@h:7/x")
    assert found == f"{driver}://me:s%40cret@h:7/x?connect_timeout=10"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("postgresql://me:secret@h/x", "is installed: pip install psycopg2-binary"),
        ("mysql://me:secret@h/x", "no driver for mysql is installed: pip"),
        ("redis://:secret@h:6379/0", "'redis' is not a known kind of database; use sqlite, postg"),
        ("oracle://me:secret@h/x", "'oracle' is not a known kind"),
        ("file:///x/y.journal", "'file' is not a known kind"),
        ("sqlite:////no/such/place/x.db", r"there is no folder /no/such/place; make it first"),
        ("sqlite:////tmp/what?/x.db", "a question mark in a path is written as %3F"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(installed, given, message):
    installed()
    with pytest.raises(ValueError, match=message) as told:
        database(given)
    assert "secret" not in str(told.value) and "\n" not in str(told.value)


def test_a_driver_that_is_asked_for_and_missing_is_named(installed):
    installed("psycopg2")
    with pytest.raises(
        ValueError, match="psycopg is not installed, psycopg2 is: write postgresql://"
    ):
        database("postgresql+psycopg://me@h/x")


@pytest.mark.parametrize("given", ["postgresql://me:se@cret@h/x", "mysql://me:secret@h:port/x"])
def test_a_password_that_is_not_quoted_is_told_how(installed, given):
    installed("psycopg2", "pymysql")
    with pytest.raises(ValueError, match="in a password are written as %40") as told:
        database(given)
    assert "cret" not in str(told.value)


@pytest.mark.parametrize("kind", ["postgresql", "http", "https"])
def test_a_host_where_nobody_answers_is_told_at_once(installed, monkeypatch, kind):
    installed("psycopg2")
    monkeypatch.setattr(address, "getproxies", dict)
    with listening() as port:
        check_answer(f"{kind}://me:secret@127.0.0.1:{port}/x")
    with pytest.raises(ConnectionError) as told, answering("store", f"{kind}://me:secret@h", "or"):
        check_answer(f"{kind}://me:secret@127.0.0.1:{port}/x")
    assert str(told.value) == (
        f"store {kind}://me:***@h: no answer from 127.0.0.1:{port} (Connection refused). "
        "Start it, or"
    )


def test_who_answers_through_a_proxy_or_a_socket_is_not_asked_first(monkeypatch):
    monkeypatch.setattr(address, "getproxies", lambda: {"http": "http://proxy:3128"})
    monkeypatch.setattr(address, "proxy_bypass", lambda host: host == "127.0.0.1")
    check_answer("http://no.such.host.invalid:5000")
    check_answer("postgresql+psycopg2:///x?host=/no/such/socket")
    check_answer("sqlite:////tmp/x.db")
    with pytest.raises(ConnectionError):
        check_answer("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:a@b/c@h/x is down", "postgresql://me:***@h/x is down"),
        ("https://t0ken@h/x", "https://***@h/x"),
        ("postgresql://me@h/x", "postgresql://me@h/x"),
        ("postgresql:///x?password=se&user=me", "postgresql:///x?password=***&user=me"),
        ("http://h:5000/x?api_key=se 'y'", "http://h:5000/x?api_key=*** 'y'"),
        ("http://h:5000/a b:c@d", "http://h:5000/a b:c@d"),
    ],
)
def test_passwords_are_hidden(text, shown):
    assert hidden(text) == shown


def test_an_error_of_a_library_is_one_line_and_any_other_stays():
    import sqlalchemy

    with (
        pytest.raises(ConnectionError) as told,
        answering("store", "sqlite:////a:topsecret@b", "or go"),
    ):
        sqlalchemy.create_engine("nosuch://me:topsecret@h/x")
    assert str(told.value).startswith("store sqlite:////a:***@b: Can't load plugin: ")
    with pytest.raises(ConnectionError, match="invalid keyword"), answering("s", "a", "b"):
        sqlalchemy.create_engine("sqlite://", connect_args={"x": 1}).connect()
    with pytest.raises(KeyError), answering("store", "x", "y"):
        raise KeyError("ours")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("./mlruns", "in a database or on a server: write sqlite:///FOLDER/mlflow.db"),
        ("127.0.0.1:5000", r"or http://HOST:PORT"),
        ("file:///a/mlruns", "in a database or on a server"),
        ("http://", "names no host and port"),
        ("http://h:port", "names no host and port"),
        ("http://[h", "names no host and port"),
        ("redis://h", "'redis' is not a known kind"),
        ("databricks", "in a database or on a server"),
        ("databricks://profile", "'databricks' is not a known kind"),
    ],
)
def test_a_store_that_mlflow_cannot_use_is_refused(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        store_address(given, tmp_path)
