"""`fabula score --recipe audio-description`: references and answers in the published files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fabula_cli.main import app

REFERENCES = {"film a": ["Joey smiles.", "She smiles."], "film b": ["She smiles.", "Ross looks at Joey."]}
SAID = {"film a": ["Joey smiles.", "A man."], "film b": ["She smiles.", ""]}


def run(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(
        app, ["score", "--recipe", "audio-description", *map(str, words)], env={"COLUMNS": "250"}
    )
    return found.exit_code, " ".join(found.output.split())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "gts.json").write_text(json.dumps(REFERENCES))
    (tmp_path / "tuned.json").write_text(json.dumps(SAID))
    (tmp_path / "base.json").write_text(json.dumps({film: ["A man."] * 2 for film in REFERENCES}))
    return tmp_path


def test_the_published_files_are_scored_against_their_references(files: Path) -> None:
    code, told = run(files / "gts.json", files / "base.json", files / "tuned.json", "--out", files / "out")
    assert code == 0, told
    report = json.loads((files / "out/report.json").read_text())
    assert report["baseline"] == "base"
    rows = {row["sample"]: row for row in csv.DictReader((files / "out/samples.csv").open())}
    assert sorted(rows) == ["film-a-000000", "film-a-000001", "film-b-000000", "film-b-000001"]
    assert float(rows["film-a-000000"]["Rouge_L_tuned"]) == 100.0 and float(rows["film-b-000001"]["Rouge_L_tuned"]) == 0
    assert float(rows["film-a-000000"]["Cider_tuned"]) > 0 and float(rows["film-a-000000"]["Cider_base"]) == 0
    html = (files / "out/report.html").read_text()
    assert "Ross looks at Joey." in html and "tuned: best" in html


def test_sentences_in_text_files_are_scored_line_by_line(files: Path) -> None:
    """An empty line is a clip that was not described; a mark in the place of the first letter is none of the text."""
    lines = {"refs": ["Joey smiles.", "She smiles.", "Ross looks."], "one": ["Joey smiles.", "", "A man."]}
    for name, said in lines.items():
        (files / f"{name}.txt").write_text("\ufeff" + "\n".join(said) + "\n", encoding="utf-8")
    code, told = run(files / "refs.txt", files / "one.txt", "--profile", "paper-v1", "--out", files / "out")
    assert code == 0, told
    rows = list(csv.DictReader((files / "out/samples.csv").open()))
    assert [row["sample"] for row in rows] == [f"film-{n:06}" for n in range(3)]
    assert [float(row["Rouge_L_one"]) for row in rows] == [100.0, 0.0, 0.0]
    (files / "one.txt").write_text("Joey smiles.\n")
    code, told = run(files / "refs.txt", files / "one.txt", "--out", files / "out")
    assert code == 1 and "has 1 sentences, and the references in" in told
    (files / "one.txt").write_bytes(b"\xff\xfe\x00")
    code, told = run(files / "refs.txt", files / "one.txt", "--out", files / "out")
    assert code == 1 and "one.txt cannot be read as text" in told


def test_a_table_of_the_check_of_names_has_references_and_casts_of_its_own(files: Path) -> None:
    table = files / "narrator.csv"
    table.write_text("imdbid,text_gt,text_gen,char_list\ntt1,Joey smiles.,Ross smiles.,\"['Joey', 'Ross']\"\n")
    code, told = run(table, "--out", files / "out")
    assert code == 0, told
    (row,) = csv.DictReader((files / "out/samples.csv").open())
    columns = {name: value for name, value in row.items() if "name" in name}
    assert set(columns.values()) == {"0.0"} and len(columns) == 2, "Ross was named and Joey was not"


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"film a": ["One."], "film b": ["She.", ""]}, "film film a has 1 sentences, and the references in"),
     ({"film c": []} | SAID | {"film c": ["x"]}, "film film c has 1 sentences"), ({"film a": "x"}, "has no list of")],
)  # fmt: skip
def test_files_that_do_not_go_together_are_named_by_film(files: Path, changed: object, says: str) -> None:
    (files / "tuned.json").write_text(json.dumps(changed))
    code, told = run(files / "gts.json", files / "tuned.json", "--out", files / "out")
    assert code == 1 and says in told
    code, told = run(files / "gts.json", "--out", files / "out")
    assert code == 1 and "give the references first" in told
