"""`fabula score` and `fabula compare`: files in either layout, the published columns, no model for texts."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fabula_cli.main import app
from fabula_workloads.metrics.answer_files import text_files
from fabula_workloads.recipes.podcast.answers.transcript_file import dump

TEXT = "Speaker 1: the red boat number {0} leaves the harbour\n\nSpeaker 2: and the gulls of pier {0} follow it"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for arm, more in (("32b", " out to the sea"), ("235b", "")):
        (tmp_path / arm).mkdir()
        for index in range(6):
            name = f"sample_{index:02}_story_{index}"
            text = TEXT.format(index) + more * (index + 1)
            (tmp_path / arm / f"{name}.txt").write_text(dump(name, text, 2.5))
    return tmp_path / "32b", tmp_path / "235b"


def run(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "250"})
    return found.exit_code, found.output


def test_the_published_profile_has_the_published_columns(folders: tuple[Path, Path], tmp_path: Path) -> None:
    code, told = run("score", *folders, "--profile", "paper-v1", "--baseline", "235b", "--out", tmp_path / "out")
    assert code == 0, told
    rows = list(csv.DictReader((tmp_path / "out/samples.csv").open()))
    published = ("words", "distinct2", "avg_turn_length", "switch_rate", "num_turns")
    assert list(rows[0])[:11] == ["sample", *(f"{name}_{arm}" for name in published for arm in ("32b", "235b"))]
    assert rows[0]["words_235b"] == "20.0", "labels are words under paper-v1, and the file's header is none"
    summary = list(csv.reader((tmp_path / "out/summary.csv").open()))
    assert summary[0] == ["Metric", "32b", "235b", "Difference"]
    assert "235b" in told and "words" in told
    assert (tmp_path / "out/report.html").read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "out/report.json").read_text())["baseline"] == "235b"


def test_the_published_folders_are_read_with_their_pictures(tmp_path: Path) -> None:
    for index in range(3):
        sample = tmp_path / "data" / f"sample_{index:02}_story_{index}"
        sample.mkdir(parents=True)
        for arm in ("32b", "235b"):
            (sample / f"transcript_{arm}.txt").write_text(dump(sample.name, f"{arm} {index}", 1))
        (sample / "image_1_77.jpg").write_bytes(b"")
        (sample / "ground_truth_story.txt").write_text("no answer")
    found = text_files(tmp_path / "data", str)
    assert [(one.arm, one.sample) for one in found.answers][:2] == [
        ("235b", "sample_00_story_0"), ("32b", "sample_00_story_0"),
    ]  # fmt: skip
    assert [path.name for path in found.pictures["sample_02_story_2"]] == ["image_1_77.jpg"]


def test_a_missing_file_is_an_answer_that_was_not_given(folders: tuple[Path, Path], tmp_path: Path) -> None:
    next(folders[0].glob("*.txt")).unlink()
    code, told = run("score", *folders, "--out", tmp_path / "out")
    assert code == 0, told
    arms = json.loads((tmp_path / "out/report.json").read_text())["arms"]
    assert [(arm["done"], arm["failed"]) for arm in arms] == [(5, 1), (6, 0)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--baseline", "nobody"], "baseline nobody is none of the arms 32b, 235b"),
        (["--metric", "coherence"], "the metric coherence needs a model or data set"),
        (["--metric", "wrods"], "the recipe podcast has no metric wrods"),
    ],
)
def test_what_cannot_be_done_is_said(folders: tuple[Path, Path], tmp_path: Path, words: list[str], says: str) -> None:
    code, told = run("score", *folders, "--out", tmp_path / "out", *words)
    assert code == 1
    assert says in " ".join(told.split())


def test_tables_and_folders_are_compared_alike(folders: tuple[Path, Path], tmp_path: Path) -> None:
    run("score", *folders, "--baseline", "235b", "--out", tmp_path / "out")
    code, of_table = run("compare", tmp_path / "out/samples.csv", "--baseline", "235b")
    assert code == 0, of_table
    code, of_folders = run("compare", *folders, "--baseline", "235b")
    assert code == 0, of_folders
    rows = [line for line in of_table.splitlines() if "lexical_diversity " in line]
    assert rows and rows == [line for line in of_folders.splitlines() if "lexical_diversity " in line]
    assert "…" not in of_table and max(map(len, of_table.splitlines())) <= 80, "in a narrow terminal all can be read"


def test_two_tables_of_one_arm_each_are_compared_by_sample(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("sample,quality\na,2\nb,3\nc,\nd,9\n")
    (tmp_path / "old.csv").write_text("sample,quality\na,1\nb,1\nc,5\ne,7\n")
    code, told = run("compare", tmp_path / "old.csv", tmp_path / "new.csv")
    assert code == 0, told
    assert "3 left out" in told and "1.5" in told
    (tmp_path / "bad.csv").write_text("sample,quality\na,good\n")
    code, told = run("compare", tmp_path / "old.csv", tmp_path / "bad.csv")
    assert code == 1
    assert "row 2, column quality: 'good' is no number" in " ".join(told.split())


def test_programs_are_told_the_report_and_the_lines_as_json(folders: tuple[Path, Path], tmp_path: Path) -> None:
    code, told = run("score", *folders, "--out", tmp_path / "out", "--output", "json")
    assert (code, json.loads(told)["baseline"]) == (0, "32b")
    (tmp_path / "old.csv").write_text("sample,quality\nx,1\n")
    (tmp_path / "new.csv").write_text("sample,quality\nx,2\n")
    code, told = run("compare", tmp_path / "old.csv", tmp_path / "new.csv", "--output", "json")
    (line,) = json.loads(told)
    assert (code, line["column"], line["arm"], line["means"]) == (0, "quality", "new", [2, 1])
    assert line["paired"]["estimate"]["count"] == 1


def test_neither_models_nor_a_clusters_client_is_loaded_for_texts(folders: tuple[Path, Path], tmp_path: Path) -> None:
    program = (
        "import sys\nfrom fabula_cli.main import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'boto3', 'scipy', 'pandas', 'pyarrow', 'kubernetes', 'aiohttp',"
        " 'fabula_operator', 'fabula_kube', 'fabula_local'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    words = ["score", *map(str, folders), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--recipe", "nonsense"), "there is no recipe nonsense; installed are "),
        (("--recipe", "audio-description", "--metric", "audio-description/cider"), "it needs an EvalRun"),
    ],
)
def test_what_files_of_answers_cannot_tell_is_refused_in_a_line(
    folders: tuple[Path, Path], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    code, told = run("score", *folders, *words, "--out", tmp_path / "out")
    assert code != 0 and said in told and "Traceback" not in told


def test_a_recipe_whose_metrics_need_samples_is_scored_by_the_others(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    code, told = run("score", *folders, "--recipe", "audio-description", "--out", tmp_path / "out")
    assert code == 0, told
    assert "cider" not in told and "words" in told
