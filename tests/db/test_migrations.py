"""The migrations make the models' schema, and take it away again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from migrations import run
from tests.databases import Server, using

LEFT = text("""
    SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND relkind IN ('r', 'S', 'i') AND relname NOT LIKE 'alembic%'
""")
CHECKS = text("""
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
""")
INDEXES = text("SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
               " AND tablename <> 'alembic_version' ORDER BY 1, 2")  # fmt: skip


@pytest.fixture
def empty(postgres: Server) -> Iterator[Engine]:
    """A database with nothing in it."""
    url = postgres.fresh(empty=True)
    with using(url) as made:
        yield made
    postgres.drop(url)


def test_up_down_and_up_again_is_the_models_schema(empty: Engine) -> None:
    run.upgrade()
    with empty.connect() as conn:
        first = run.version(conn)
        assert first is not None
        assert run.differences(conn) == []
    run.downgrade("base")
    with empty.connect() as conn:
        assert run.version(conn) is None
        assert conn.execute(LEFT).all() == []
    run.upgrade()
    with empty.connect() as conn:
        assert run.version(conn) == first
        assert run.differences(conn) == []


def test_constraints_and_indexes_are_those_of_the_models(empty: Engine, postgres: Server) -> None:
    """Autogenerate does not compare checks or the conditions of partial indexes."""
    from db.models import Base

    run.upgrade()
    other = postgres.fresh(empty=True)
    with empty.connect() as conn:
        migrated = [row for row in conn.execute(CHECKS).all() if "alembic" not in row[0]]
        indexes = conn.execute(INDEXES).all()
    with using(other) as engine:
        Base.metadata.create_all(engine)
        with engine.connect() as conn:
            assert conn.execute(CHECKS).all() == migrated
            assert conn.execute(INDEXES).all() == indexes
    postgres.drop(other)


def test_a_migration_waits_for_no_lock_for_long(empty: Engine) -> None:
    with empty.begin() as conn:
        conn.execute(text("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"))
    with empty.begin() as holder:
        holder.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(Exception, match="lock timeout"):
            run.upgrade()
