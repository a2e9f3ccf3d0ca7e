import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from saescope.errors import BadValue, BrokenHome, NoSpace, Unreachable, WrongRequest
from saescope.home import Home
from saescope.store import Database, catalogue, open_database, schema, sqlite, sqlite_status
from support.catalogue import a_dataset


def in_another_process(code: str, *args: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *args]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_fresh_home_gets_an_empty_catalogue(any_home: Home) -> None:
    with open_database(any_home) as db:
        assert catalogue.datasets(db) == []


def test_a_current_home_opens_without_alembic_and_at_once(home: Home) -> None:
    open_database(home).close()
    code = """
        import sys, time
        from saescope.home import Home
        from saescope.store import open_database
        home = Home(sys.argv[1])
        times = []
        for _ in range(20):
            start = time.perf_counter()
            open_database(home).close()
            times.append(time.perf_counter() - start)
        print("alembic" in sys.modules, "torch" in sys.modules, min(times))
    """
    out, err = in_another_process(code, str(home.root)).communicate(timeout=60)
    assert err == ""
    alembic, torch, seconds = out.split()
    assert (alembic, torch) == ("False", "False")
    assert float(seconds) < 0.01


def test_opening_says_nothing_in_the_log(any_home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    open_database(any_home).close()
    assert caplog.records == []


def test_four_processes_may_open_a_fresh_home_at_once(any_home: Home) -> None:
    code = """
        import sys, time
        from saescope.home import Home
        from saescope.store import open_database, catalogue
        from saescope.records import Dataset
        home, number, start = Home(sys.argv[1]), sys.argv[2], float(sys.argv[3])
        time.sleep(max(0, start - time.time()))
        db = open_database(home)
        catalogue.add_dataset(db, Dataset(number, f"d{number}", "", None, "", 1, 0, 1, ""))
    """
    start = str(time.time() + 1.5)
    processes = [in_another_process(code, str(any_home.root), str(number), start) for number in range(4)]
    for process in processes:
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
    with open_database(any_home) as db:
        assert {dataset.name for dataset in catalogue.datasets(db)} == {f"d{number}" for number in range(4)}


def test_a_home_of_a_newer_saescope_is_refused_naming_both_revisions(any_home: Home) -> None:
    with open_database(any_home) as db, db.writing() as connection:
        connection.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9876'"))
    with pytest.raises(BrokenHome, match=rf"9876.*{schema.REVISION}.*newer saescope"):
        open_database(any_home)


def test_a_file_that_is_no_database_is_refused_and_left_alone(home: Home) -> None:
    home.database_file.write_bytes(b"my diary, " * 1000)
    with pytest.raises(BrokenHome, match="not a whole database"):
        open_database(home)
    assert home.database_file.read_bytes() == b"my diary, " * 1000


def test_somebody_elses_database_is_refused_and_left_alone(home: Home) -> None:
    with sqlite3.connect(home.database_file) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")
    connection.close()
    with pytest.raises(BrokenHome, match="not a catalogue of saescope"):
        open_database(home)
    with sqlite3.connect(home.database_file) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("diary",)]
    connection.close()


def test_a_cut_off_database_is_refused(home: Home) -> None:
    open_database(home).close()
    whole = home.database_file.read_bytes()
    home.database_file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BrokenHome), open_database(home) as db:  # noqa: PT012
        for kind in (catalogue.datasets, catalogue.models, catalogue.saes, catalogue.extractions):
            kind(db)
        catalogue.add_dataset(db, a_dataset())


def test_reading_only_refuses_to_write(any_home: Home) -> None:
    open_database(any_home).close()
    with open_database(any_home, read_only=True) as db:
        assert catalogue.datasets(db) == []
        with pytest.raises(WrongRequest, match="reading only"):
            catalogue.add_dataset(db, a_dataset())
        with pytest.raises((WrongRequest, sa.exc.DBAPIError)), db.reading() as connection:
            connection.execute(schema.datasets.delete())


def test_a_fresh_home_can_be_opened_for_reading(any_home: Home) -> None:
    with open_database(any_home, read_only=True) as db:
        assert catalogue.datasets(db) == []


def test_the_pragmas_that_keep_rows_are_set(home: Home) -> None:
    with open_database(home) as db, db.reading() as connection:

        def pragma(name: str) -> object:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

        assert str(pragma("journal_mode")).upper() == sqlite_status().journal_mode
        assert (pragma("synchronous"), pragma("foreign_keys"), pragma("busy_timeout")) == (2, 1, 30_000)


def test_a_failed_block_leaves_nothing(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.writing() as connection:  # noqa: PT012
        connection.execute(schema.datasets.insert().values(a_dataset().to_json()))
        raise ZeroDivisionError
    assert catalogue.datasets(db) == []


def test_writers_wait_for_each_other_and_readers_do_not_see_half(home: Home) -> None:
    code = """
        import sys, time
        from saescope.home import Home
        from saescope.store import open_database, schema
        db = open_database(Home(sys.argv[1]))
        for i in range(10):
            with db.writing() as connection:
                for half in "ab":
                    name = f"{sys.argv[2]}-{i}{half}"
                    row = dict(id=name, name=name, source="", fingerprint="", created="")
                    row |= dict(documents=0, blank_documents=0, characters=0)
                    connection.execute(schema.datasets.insert().values(row))
    """
    with open_database(home) as db:
        writers = [in_another_process(code, str(home.root), str(number)) for number in range(3)]
        while any(writer.poll() is None for writer in writers):
            assert len(catalogue.datasets(db)) % 2 == 0
            time.sleep(0.005)
        assert [(writer.returncode, writer.communicate()[1]) for writer in writers] == [(0, "")] * 3
        assert len(catalogue.datasets(db)) == 60


def test_an_old_catalogue_is_migrated_and_equals_the_tables(any_home: Home) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with open_database(any_home) as db, db.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, schema.metadata) == []


def test_the_revision_of_the_tables_is_the_newest_migration() -> None:
    from alembic.script import ScriptDirectory

    from saescope.store.migrations.run import config

    scripts = ScriptDirectory.from_config(config())
    assert scripts.get_heads() == [schema.REVISION]
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True), "revisions are compared as text: keep them numbered"


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), False),
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 9), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_versions_with_the_wal_defect_are_known(version: tuple[int, int, int], safe: bool) -> None:
    assert sqlite.wal_is_safe(version) is safe


def test_an_unsafe_sqlite_keeps_a_rollback_journal_and_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    open_database(home).close()  # in WAL, where the library is safe
    monkeypatch.setattr(sqlite, "wal_is_safe", lambda version: False)
    status = sqlite_status()
    assert (status.safe, status.journal_mode) == (False, "TRUNCATE")
    assert "pip install pysqlite3" in status.message
    with open_database(home) as db:
        catalogue.add_dataset(db, a_dataset())
        with db.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "truncate"


def test_a_full_disk_is_one_clear_line(home: Home) -> None:
    with open_database(home) as db:
        with pytest.raises(NoSpace, match="no space left"), db.writing() as connection:  # noqa: PT012
            connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite's own way to be full
            row = {**a_dataset().to_json(), "source": "x" * 1_000_000}
            connection.execute(schema.datasets.insert().values(row))
        assert catalogue.datasets(db) == []


@pytest.mark.parametrize("address", ["mysql://root@host/db", "sqlite:///x.db", "hello", "postgresql://h:port/x"])
def test_an_address_that_is_not_postgresqls_is_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("SAESCOPE_DATABASE_URL", address)
    with pytest.raises(BadValue, match="SAESCOPE_DATABASE_URL"):
        open_database(home)
    assert not home.database_file.exists()


def test_a_missing_postgresql_driver_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAESCOPE_DATABASE_URL", "postgresql://u:secret@127.0.0.1/x")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(BadValue, match=r"psycopg is not installed; pip install 'saescope\[postgres\]'"):
        open_database(home)


def test_a_server_that_does_not_answer_is_named_without_its_password(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    monkeypatch.setenv("SAESCOPE_DATABASE_URL", "postgresql://u:secret@127.0.0.1:1/x")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1/x") as caught:
        open_database(home)
    assert "secret" not in str(caught.value)


def test_an_unwritable_home_is_named(home: Home, tmp_path: Path) -> None:
    home.database_file.mkdir()
    with pytest.raises(WrongRequest, match="cannot be opened"):
        open_database(home)
