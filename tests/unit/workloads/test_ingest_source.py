"""Ingest over whole files: any order, any layout, and every kind of damage told with file, line and reason."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.support.sporc_files import episode_turns, turn, write_lines
from tests.support.stage_context import stage_context
from tests.support.worker_process import run_worker_process, worker_config

from fabula_workloads.recipes.podcast.corpus.sporc import episode_id
from fabula_workloads.recipes.podcast.ingest import run
from fabula_workloads.runtime.context import StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, NotFound, TryAgain
from fabula_workloads.runtime.open_store import open_store


def ingest(root: Path, file: str = "in.jsonl", **source: Any) -> tuple[StageResult, list[dict[str, Any]]]:
    spec = {"source": {"uri": file, "licenseAccepted": True, **source}}
    result = run(stage_context(root, "DatasetBuild", "ingest", spec, "out"))
    assert result.uri is not None
    lines = open_store(result.uri).read("episodes.jsonl").splitlines()
    return result, [json.loads(line) for line in lines]


def flat(*episodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for episode in episodes for record in episode]


FOUR = [episode_turns(number, show=f"show-{number % 2}") for number in range(4)]


class TestLayouts:
    def test_turns_become_episodes(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "in.jsonl", flat(*FOUR))
        result, episodes = ingest(tmp_path)
        assert [episode["id"] for episode in episodes] == sorted(episode_id(turns[0]["mp3url"]) for turns in FOUR)
        assert len({episode["podcast"] for episode in episodes}) == 2
        assert result.counts == {"episode/ok": 4}
        first = episodes[0]
        text = "\n\n".join(f"{each['speaker']}: {each['text']}" for each in first["turns"])
        assert (first["words"], first["characters"]) == (len(text.split()), len(text))
        assert first["turns"][0]["speaker"] == "Speaker 1"

    @pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz", "no-suffix"])
    def test_gzip_is_known_by_its_bytes(self, tmp_path: Path, name: str) -> None:
        path = write_lines(tmp_path / name, flat(*FOUR))
        if name == "no-suffix":
            path.write_bytes(gzip.compress(path.read_bytes()))
        assert len(ingest(tmp_path, name)[1]) == 4

    def test_order_of_the_file_does_not_matter(self, tmp_path: Path) -> None:
        """Turns of one episode keep their order; how episodes are interleaved changes nothing."""
        queues = [list(turns) for turns in FOUR]
        dice = random.Random(3)
        mixed = []
        while any(queues):
            mixed.append(dice.choice([queue for queue in queues if queue]).pop(0))
        write_lines(tmp_path / "in.jsonl", flat(*FOUR))
        write_lines(tmp_path / "mixed.jsonl", mixed)
        assert ingest(tmp_path)[1] == ingest(tmp_path, "mixed.jsonl")[1]

    def test_a_folder_is_read_as_one(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "corpus/a.jsonl.gz", flat(*FOUR[:2]))
        write_lines(tmp_path / "corpus/b.jsonl", flat(*FOUR[2:]))
        (tmp_path / "corpus/LICENSE").write_text("terms")
        write_lines(tmp_path / "in.jsonl", flat(*FOUR))
        assert ingest(tmp_path, "corpus")[1] == ingest(tmp_path)[1]

    def test_episodes_without_speakers(self, tmp_path: Path) -> None:
        records = [
            {
                "mp3url": "https://a.example/x/1.mp3",
                "transcript": "The red boat. " * 200,
                "rssUrl": "https://a.example/feed",
            },
            {"mp3_url": "https://a.example/x/2.mp3", "transcript": "Short.", "rssUrl": "https://a.example/feed"},
            {"mp3url": "https://a.example/x/1.mp3", "transcript": "Again. " * 400, "rssUrl": "https://a.example/feed"},
            {"mp3url": "https://a.example/x/3.mp3", "transcript": None},
        ]
        write_lines(tmp_path / "in.jsonl", records)
        result, episodes = ingest(tmp_path)
        assert [len(episode["turns"]) for episode in episodes] == [1]
        assert episodes[0]["turns"][0]["text"].startswith("The red boat.")
        assert result.counts == {
            "episode/ok": 1, "episode/skipped/Duplicate": 1, "episode/skipped/TooShort": 1, "episode/skipped/NoText": 1,
        }  # fmt: skip
        assert result.artifact is not None
        assert result.artifact.details["layout"] == "sporc-episodes"

    def test_from_s3_as_from_a_folder(self, store_uri: str, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "local.jsonl.gz", flat(*FOUR))
        open_store(store_uri).upload(source, "corpus/turns.jsonl.gz")
        ended = run_worker_process(
            tmp_path,
            worker_config(store_uri, "ingest", {"source": {"uri": "corpus/turns.jsonl.gz", "licenseAccepted": True}}),
        )
        assert ended.code == 0, ended.output
        assert ended.result["artifact"]["uri"].startswith(f"{store_uri}/out/ingest/")
        _, expected = ingest(tmp_path, "local.jsonl.gz")
        stored = open_store(ended.result["artifact"]["uri"]).read("episodes.jsonl").splitlines()
        assert [json.loads(line) for line in stored] == expected


class TestChoices:
    def test_a_limit_renumbers_nothing(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "in.jsonl", flat(*FOUR))
        all_episodes = ingest(tmp_path)[1]
        (tmp_path / "other").mkdir()
        write_lines(tmp_path / "other" / "in.jsonl", flat(*FOUR))
        some = ingest(tmp_path / "other", limit=2)[1]
        wanted = {episode_id(turns[0]["mp3url"]) for turns in FOUR[:2]}
        assert some == [episode for episode in all_episodes if episode["id"] in wanted]

    def test_skips_are_counted_and_named(self, tmp_path: Path) -> None:
        write_lines(
            tmp_path / "in.jsonl", flat(FOUR[0], episode_turns(8, turns=3, words=400), episode_turns(9, words=3))
        )
        result, episodes = ingest(tmp_path)
        assert len(episodes) == 1
        assert result.counts["episode/skipped/TooFewTurns"] == 1
        assert result.counts["episode/skipped/TooShort"] == 1
        assert result.uri is not None
        skipped = [json.loads(line) for line in open_store(result.uri).read("skipped.jsonl").splitlines()]
        assert {(line["reason"], line["line"]) for line in skipped} == {("TooFewTurns", 13), ("TooShort", 16)}

    def test_policy_is_applied_and_recorded(self, tmp_path: Path) -> None:
        url = FOUR[0][0]["mp3url"]
        write_lines(
            tmp_path / "in.jsonl", [*FOUR[0], turn(url, "SPEAKER_09", "Yeah."), turn(url, ["SPEAKER_01"], "[Music] x")]
        )
        result, (episode,) = ingest(tmp_path, backChannels="drop", mergeTurns=False, minTurnCharacters=4, minTurns=2)
        assert len(episode["turns"]) == 12
        assert result.counts["turn/dropped/BackChannel"] == 1
        assert result.counts["turn/dropped/Music"] == 1
        assert result.artifact is not None
        details = result.artifact.details
        assert (details["backChannels"], details["mergeTurns"], details["minTurnCharacters"]) == ("drop", False, 4)

    def test_the_licence_must_be_accepted(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "in.jsonl", FOUR[0])
        with pytest.raises(ConfigInvalid, match=r"source\.licenseAccepted is false"):
            ingest(tmp_path, licenseAccepted=False)


class TestReuse:
    def test_the_same_content_is_read_once(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "in.jsonl", flat(*FOUR))
        first, _ = ingest(tmp_path)
        again, _ = ingest(tmp_path)
        assert (first.reused, again.reused) == (False, True)
        assert again.artifact == first.artifact
        assert again.counts == first.counts
        write_lines(tmp_path / "in.jsonl", flat(*FOUR[:3]))
        changed, _ = ingest(tmp_path)
        assert not changed.reused
        assert changed.uri != first.uri

    def test_lineage_names_the_source_and_its_hash(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "in.jsonl", FOUR[0])
        result, _ = ingest(tmp_path)
        (entry,) = result.lineage
        import hashlib

        assert entry.digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry.uri == f"{tmp_path.as_uri()}/in.jsonl"

    def test_told_to_stop_it_commits_nothing(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "in.jsonl", flat(*(episode_turns(number) for number in range(100))))
        context = stage_context(
            tmp_path, "DatasetBuild", "ingest", {"source": {"uri": "in.jsonl", "licenseAccepted": True}}, "out"
        )
        context.stopping.set()
        with pytest.raises(TryAgain, match="told to stop"):
            run(context)
        assert list(context.store.list()) == []
        assert list(context.cache.iterdir()) == []


class TestBadInput:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match=r"nowhere.jsonl.gz does not exist: podcast.source.uri must name"):
            ingest(tmp_path, "nowhere.jsonl.gz")

    def test_not_gzip(self, tmp_path: Path) -> None:
        (tmp_path / "in.jsonl.gz").write_text("plain text")
        with pytest.raises(InputInvalid, match=r"in.jsonl.gz, line 1: the file is named .gz but is not gzip"):
            ingest(tmp_path, "in.jsonl.gz")

    def test_cut_gzip(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "in.jsonl.gz", flat(*FOUR))
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(InputInvalid, match=r"in.jsonl.gz, after line \d+: the gzip data ends too early"):
            ingest(tmp_path, "in.jsonl.gz")

    def test_damaged_gzip(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "in.jsonl.gz", flat(*FOUR))
        data = bytearray(path.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
        path.write_bytes(data)
        with pytest.raises(InputInvalid, match=r"in.jsonl.gz, after line \d+: (damaged gzip data|the gzip data)"):
            ingest(tmp_path, "in.jsonl.gz")

    @pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
    def test_empty(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "in.jsonl").write_bytes(content)
        with pytest.raises(InputInvalid, match="line 1: the source is empty"):
            ingest(tmp_path)

    def test_not_json(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "in.jsonl", [b"<html>%d</html>" % number for number in range(5000)])
        with pytest.raises(
            InputInvalid, match=r"none of the first 100 lines is a record. First: in.jsonl line 1: NotJson"
        ):
            ingest(tmp_path)

    def test_json_of_something_else(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "in.jsonl", [{"name": "x"}, {"name": "y"}])
        with pytest.raises(InputInvalid, match=r"line 1: UnknownLayout \(neither turnText nor transcript\)"):
            ingest(tmp_path)

    def test_a_folder_without_json_lines(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder/notes.txt").write_text("x")
        with pytest.raises(InputInvalid, match="holds 1 files, but none is named"):
            ingest(tmp_path, "folder")

    def test_single_bad_records_are_tolerated_and_counted(self, tmp_path: Path) -> None:
        bad = [b"{", b"\xff\xfe", b"[1]", {"turnText": "x"}, {"mp3url": "u", "turnText": 4}]
        write_lines(tmp_path / "in.jsonl", [*flat(*FOUR), *bad])
        result, episodes = ingest(tmp_path, maxBadFraction=0.1)
        assert len(episodes) == 4
        rejected = {name.removeprefix("record/rejected/"): n for name, n in result.counts.items() if "rejected" in name}
        assert rejected == {"NotJson": 1, "NotUtf8": 1, "NotAnObject": 1, "NoUrl": 1, "NoText": 1}

    def test_too_many_are_told_with_share_and_first_lines(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "in.jsonl", [*FOUR[0], b"{secret words", *FOUR[1], b"[]", b"3", b"4"])
        with pytest.raises(InputInvalid) as failure:
            ingest(tmp_path)
        message = failure.value.message
        assert (
            "4 of 28 records (14.3 %) are unreadable, more than podcast.source.maxBadFraction allows (1 %)" in message
        )
        assert "in.jsonl line 13: NotJson" in message
        assert "line 26: NotAnObject (a JSON list, not an object); in.jsonl line 27: NotAnObject" in message
        assert "line 28" not in message
        assert "secret" not in message

    def test_no_transcript_in_the_log(self, tmp_path: Path) -> None:
        records = [*FOUR[0], b'{"mp3url": "u", "turnText": "zebra', {"mp3url": 3, "turnText": "zebra"}]
        write_lines(tmp_path / "in.jsonl", [*records, *(record | {"turnText": "zebra " * 50} for record in FOUR[1])])
        spec = {"source": {"uri": "in.jsonl", "licenseAccepted": True}}
        ended = run_worker_process(tmp_path, worker_config(tmp_path, "ingest", spec))
        assert ended.code == 65
        assert "zebra" not in ended.output + json.dumps(ended.result)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_source(tmp_path: Path) -> None:
    """12,000 episodes, interleaved, a line of 20 MB among them: below 300 MB at the peak."""
    with gzip.open(tmp_path / "in.jsonl.gz", "wt", compresslevel=1) as file:
        text = "The red boat. " * 100
        for index in range(6):
            for number in range(12_000):
                record = turn(f"https://a.example/{number % 500}/{number}.mp3", [f"S{index % 2}"], text)
                file.write(json.dumps(record) + "\n")
            file.write(json.dumps({"mp3url": "u", "turnText": "x" * 20_000_000}) + "\n")
    spec = {"source": {"uri": "in.jsonl.gz", "licenseAccepted": True}}
    config = worker_config(tmp_path, "ingest", spec)
    # Not ru_maxrss: that one survives exec, and would be the peak of the process that runs the tests.
    watched = (
        "import re, sys\nfrom pathlib import Path\nfrom fabula_workloads.cli import main\ncode = main(['ingest'])\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print('peak', int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) // 1024)\nsys.exit(code)"
    )
    ended = run_worker_process(tmp_path, config, script=watched)
    assert ended.code == 0, ended.output
    assert ended.result["counts"]["episode/ok"] == 12_000
    peak = int(ended.output.split("peak ")[1])
    print(f"peak {peak} MB")
    assert peak < 300
