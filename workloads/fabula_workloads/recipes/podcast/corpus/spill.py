"""Turns grouped by episode on disk: a corpus of a million episodes must not need its size in memory.

SQLite sorts outside of memory, so the order of the source does not matter.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fabula_workloads.recipes.podcast.corpus.placing import Said
from fabula_workloads.runtime.failures import TryAgain

MAX_EPISODE_CHARACTERS = 16 * 1024 * 1024
"""Above it, what claims to be one episode is a mistake of the source; ten days of talk are less."""
_BATCH_CHARACTERS = 4 * 1024 * 1024
_OFFSET = 2**63
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32768;
PRAGMA temp_store = FILE;
CREATE TABLE episode (id INTEGER PRIMARY KEY, podcast TEXT NOT NULL, line INTEGER NOT NULL);
CREATE TABLE turn (episode INTEGER NOT NULL, line INTEGER NOT NULL, speaker TEXT NOT NULL, text TEXT NOT NULL,
    count REAL, start REAL);
"""


class Spill:
    """Turns by episode. First `add` all, then read `episodes`, once."""

    def __init__(self, connection: sqlite3.Connection, limit: int | None) -> None:
        self._connection = connection
        self._limit = limit
        self._pending: list[tuple[int, int, str, str, float | None, float | None]] = []
        self._pending_characters = 0
        self._last: tuple[str, bool] | None = None
        self.num_episodes = 0
        """Episodes taken so far."""

    def add(self, episode: str, podcast: str, line: int, said: Said) -> bool:
        """Take a line's turn; False when its episode is beyond the limit (the first ones in the source are taken)."""
        if not self._admit(episode, podcast, line):
            return False
        # Lone surrogates are legal in JSON and not in SQLite; `tidy` drops them later anyway.
        text, speaker = (part.encode("utf-8", "ignore").decode() for part in (said.text, said.speaker))
        self._pending.append((_key(episode), line, speaker, text, said.count, said.start))
        self._pending_characters += len(text) + 100
        if self._pending_characters >= _BATCH_CHARACTERS:
            self._flush()
        return True

    def has(self, episode: str) -> bool:
        """Whether a turn of the episode was taken already."""
        return self._connection.execute("SELECT 1 FROM episode WHERE id = ?", (_key(episode),)).fetchone() is not None

    def episodes(self) -> Iterator[tuple[str, str, int, list[Said] | None]]:
        """(episode, podcast, first line, turns in the file's order) by episode id.

        The turns are None where they are too long to be an episode; they were not all read.
        """
        self._flush()
        self._connection.execute("CREATE INDEX turn_by_episode ON turn (episode, line)")
        for key, podcast, line in self._connection.execute("SELECT id, podcast, line FROM episode ORDER BY id"):
            yield f"{key + _OFFSET:016x}", podcast, line, self._turns(key)

    def _turns(self, key: int) -> list[Said] | None:
        turns, characters = [], 0
        query = "SELECT speaker, text, count, start FROM turn WHERE episode = ? ORDER BY line"
        for row in self._connection.execute(query, (key,)):
            characters += len(row[1])
            if characters > MAX_EPISODE_CHARACTERS:
                return None
            turns.append(Said(*row))
        return turns

    def _admit(self, episode: str, podcast: str, line: int) -> bool:
        if self._last is not None and self._last[0] == episode:
            return self._last[1]
        known = self.has(episode)
        admitted = known or self._limit is None or self.num_episodes < self._limit
        if admitted and not known:
            self._connection.execute("INSERT INTO episode VALUES (?, ?, ?)", (_key(episode), podcast, line))
            self.num_episodes += 1
        self._last = episode, admitted
        return admitted

    def _flush(self) -> None:
        self._connection.executemany("INSERT INTO turn VALUES (?, ?, ?, ?, ?, ?)", self._pending)
        self._pending.clear()
        self._pending_characters = 0


@contextmanager
def open_spill(folder: Path, limit: int | None) -> Iterator[Spill]:
    """A spill in a scratch folder. Raises TryAgain (NoSpace) when the disk is full."""
    # SQLite takes the folder for its sorting from here only; the system's /tmp may be small, or memory.
    os.environ["SQLITE_TMPDIR"] = str(folder)
    try:
        with closing(sqlite3.connect(folder / "turns.sqlite", isolation_level=None)) as connection:
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            yield Spill(connection, limit)
    except sqlite3.OperationalError as error:
        if "full" in str(error) or "disk" in str(error):
            raise TryAgain(f"{folder}: no space to sort the source; give the pod a larger volume", "NoSpace") from error
        raise


def _key(episode: str) -> int:
    """16 hex digits as SQLite's signed 64-bit integer, in the same order."""
    return int(episode, 16) - _OFFSET
