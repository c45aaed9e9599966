"""Objects on disk: one SQLite file in write-ahead mode.

synchronous=NORMAL loses nothing when the process is killed (the operating system holds the log); only a power cut may
take the last moments, which is right for a laptop's cluster and an order of magnitude faster than a sync a write.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 1);
"""


class Database:
    """Durable rows of (kind, namespace, name) -> body, and the revision of the last write."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.executescript(_SCHEMA)

    def revision(self) -> int:
        """Revision of the last write; never goes back."""
        row = self._connection.execute("SELECT revision FROM counter").fetchone()
        return int(row[0])

    def rows(self) -> Iterator[tuple[str, str, str, int, bytes]]:
        """Every object: kind, namespace, name, revision, body."""
        yield from self._connection.execute("SELECT kind, namespace, name, revision, body FROM objects")

    def put(self, kind: str, namespace: str, name: str, revision: int, body: bytes) -> None:
        """Write one object and the revision, together."""
        self._write(
            revision, "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", (kind, namespace, name, revision, body)
        )

    def delete(self, kind: str, namespace: str, name: str, revision: int) -> None:
        """Remove one object and write the revision, together."""
        self._write(
            revision, "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?", (kind, namespace, name)
        )

    def _write(self, revision: int, statement: str, values: tuple[object, ...]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            execute(statement, values)
            execute("UPDATE counter SET revision = ?", (revision,))
            execute("COMMIT")
        except sqlite3.Error:
            # A full disk must not leave a transaction open, or every later write would fail as well.
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
