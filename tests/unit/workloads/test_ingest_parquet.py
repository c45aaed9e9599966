"""The corpus as Parquet: both published layouts, on disk and on S3, give what the JSON lines give."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from tests.support.s3 import BUCKET, S3Server
from tests.support.sporc_files import episode_turns, write_lines
from tests.support.stage_context import stage_context

from fabula_workloads.recipes.podcast.corpus.parquet import ParquetSource, chosen
from fabula_workloads.recipes.podcast.corpus.sporc import episode_id
from fabula_workloads.recipes.podcast.ingest import run
from fabula_workloads.runtime.context import StageResult
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store

EPISODES = [episode_turns(number, show=f"show-{number % 2}") for number in range(6)]


def rows(number: int) -> list[dict[str, Any]]:
    """An episode's turns as the corpus' rows."""
    return [
        {
            "episode_id": episode_id(record["mp3url"]), "podcast_id": f"podcast{number % 2}", "turn_count": place,
            "turn_text": record["turnText"], "speaker": record["speaker"], "start_time": place * 2.5,
        }
        for place, record in enumerate(EPISODES[number])
    ]  # fmt: skip


def write(path: Path, groups: list[list[dict[str, Any]]]) -> None:
    """A Parquet file with a row group for each of `groups`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = [pyarrow.Table.from_pylist(group) for group in groups]
    with pyarrow.parquet.ParquetWriter(path, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)


def by_folder(root: Path) -> None:
    """A folder for each podcast; the podcast's id is in the path only."""
    for podcast in (0, 1):
        group = [row for number in range(podcast, 6, 2) for row in rows(number)]
        without = [{key: value for key, value in row.items() if key != "podcast_id"} for row in group]
        write(root / f"corpus/turns/text/podcast_id=podcast{podcast}/data.parquet", [without])


def by_row_group(root: Path) -> None:
    """One part with a row group a podcast, rows in any order and some twice, among other trees."""
    groups = [[row for number in range(podcast, 6, 2) for row in rows(number)] for podcast in (0, 1)]
    for group in groups:
        group += group[3:6]
        random.Random(1).shuffle(group)
    write(root / "corpus/turns/text/part-000.parquet", groups)
    write(root / "corpus/turns/metrics/part-000.parquet", [[{"episode_id": "x", "words": 1}]])
    write(root / "corpus/metadata/shard_map.parquet", [[{"podcast_id": "podcast0", "row_group": 0}]])


def ingest(root: Path, **source: Any) -> tuple[StageResult, list[dict[str, Any]]]:
    spec = {"source": {"uri": "corpus", "licenseAccepted": True, **source}}
    result = run(stage_context(root, "DatasetBuild", "ingest", spec, "out"))
    assert result.uri is not None
    return result, [json.loads(line) for line in open_store(result.uri).read("episodes.jsonl").splitlines()]


@pytest.mark.parametrize("layout", [by_folder, by_row_group])
@pytest.mark.parametrize("told", ["auto", "sporc-parquet"])
def test_both_layouts_give_the_episodes_of_the_json_lines(tmp_path: Path, layout: Any, told: str) -> None:
    layout(tmp_path / "a")
    result, episodes = ingest(tmp_path / "a", format=told)
    write_lines(tmp_path / "b/corpus", (record for turns in EPISODES for record in turns))
    _, expected = ingest(tmp_path / "b")
    assert [{**one, "podcast": ""} for one in episodes] == [{**one, "podcast": ""} for one in expected]
    assert {one["podcast"] for one in episodes} == {"podcast0", "podcast1"}
    # Rows in any order, and some twice, are told.
    told_of = {"episode/placed/AgainstFileOrder": 6, "turn/dropped/Double": 6} if layout is by_row_group else {}
    assert result.counts == {"episode/ok": 6} | told_of
    assert result.artifact is not None and result.artifact.details["layout"] == "sporc-turns"


def test_a_corpus_without_turns_is_read_by_its_transcripts(tmp_path: Path) -> None:
    records = [{"episode_id": f"{n:016x}", "podcast_id": "p", "transcript": f"word{n} " * 600} for n in range(3)]
    write(tmp_path / "corpus/episodes/part-000.parquet", [records])
    result, episodes = ingest(tmp_path)
    assert [one["id"] for one in episodes] == [f"{n:016x}" for n in range(3)]
    assert result.artifact is not None and result.artifact.details["layout"] == "sporc-episodes"


def test_the_same_corpus_on_s3(tmp_path: Path, s3_environment: S3Server) -> None:
    by_row_group(tmp_path)
    store = open_store(f"s3://{BUCKET}/parquet")
    for file in (tmp_path / "corpus").rglob("*.parquet"):
        store.upload(file, file.relative_to(tmp_path / "corpus").as_posix())
    _, local = ingest(tmp_path)
    _, remote = ingest(tmp_path / "s3", uri=f"s3://{BUCKET}/parquet")
    assert remote == local
    assert list((tmp_path / "s3/cache").iterdir()) == [], "parts are removed after reading"


def test_json_lines_on_s3_are_streamed(tmp_path: Path, s3_environment: S3Server) -> None:
    file = write_lines(tmp_path / "corpus.jsonl.gz", (record for turns in EPISODES for record in turns))
    open_store(f"s3://{BUCKET}/lines").upload(file, "corpus.jsonl.gz")
    _, local = ingest(tmp_path, uri="corpus.jsonl.gz")
    _, remote = ingest(tmp_path / "s3", uri=f"s3://{BUCKET}/lines/corpus.jsonl.gz")
    assert remote == local


def test_memory_does_not_grow_with_the_number_of_row_groups(tmp_path: Path) -> None:
    def peak(groups: int) -> int:
        uri = tmp_path / f"{groups}.parquet"
        write(uri, [[{**row, "episode_id": f"{group:016x}"} for row in rows(0) * 20] for group in range(groups)])
        tracemalloc.start()
        before = pyarrow.total_allocated_bytes()
        assert sum(1 for _ in ParquetSource(uri.as_uri(), tmp_path).lines()) == groups * len(rows(0)) * 20
        top = tracemalloc.get_traced_memory()[1] + pyarrow.total_allocated_bytes() - before
        tracemalloc.stop()
        return top

    text = sum(len(row["turn_text"]) for row in rows(0)) * 20 * 400
    assert peak(400) < text / 10, "only the file's directory grows"


def test_damage_is_told_with_the_file(tmp_path: Path) -> None:
    by_row_group(tmp_path)
    part = tmp_path / "corpus/turns/text/part-000.parquet"
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(InputInvalid, match=r"turns/text/part-000\.parquet cannot be read as Parquet"):
        ingest(tmp_path)
    write(tmp_path / "other/corpus/x.parquet", [[{"a": 1}]])
    with pytest.raises(InputInvalid, match=r"has no column turn_text or transcript; it has a"):
        ingest(tmp_path / "other")


def test_nothing_there_and_nothing_fitting(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        ingest(tmp_path, format="sporc-parquet")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/notes.txt").write_text("x")
    with pytest.raises(InputInvalid, match="but none is named"):
        ingest(tmp_path)


def test_turns_come_before_transcripts() -> None:
    turns, episodes, other = "turns/text/p.parquet", "episodes/p.parquet", "metadata/c.parquet"
    assert chosen([turns, episodes, other]) == [turns]
    assert chosen([episodes, other]) == [episodes]
    assert chosen(["p.parquet", other]) == ["p.parquet"]
