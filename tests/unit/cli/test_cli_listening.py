"""What a line means to a model that stays loaded, and what a run has tuned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabula_cli.exits import CommandFailed
from fabula_cli.listening import Question, Talk, heard, question
from fabula_cli.speakers import tuned_by
from fabula_cli.story import _Said
from fabula_operator.plan.seen.observed import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", "it's.jpg"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_lines_are_pictures_wishes_or_words_with_a_slash(folder: Path) -> None:
    talk = Talk(Question((folder / "a.PNG",)), wish="in the rain")
    assert heard(talk, f"{folder}/b.jpg {folder}/a.PNG") == Talk(Question((folder / "b.jpg", folder / "a.PNG")))
    assert heard(talk, f"{folder}/*.jpg") == Talk(Question((folder / "b.jpg", folder / "it's.jpg")))
    assert heard(talk, f'"{folder}/it\'s.jpg"') == Talk(Question((folder / "it's.jpg",)))
    assert heard(talk, "it's late, they say") == replace(talk, wish="it's late, they say")
    assert heard(talk, "/again") == replace(talk, seed=1)
    assert heard(talk, "/prompt Say  it.") == replace(talk, prompt="Say  it.", wish=None)
    assert heard(replace(talk, prompt="x"), "/prompt") == replace(talk, wish=None)
    for line in ("", "/help", "/unknown words"):
        assert heard(talk, line) is None
    for line in ("b.jpg", f"{folder}/b.jpg and c.png"):
        with pytest.raises(CommandFailed, match="there is no picture"):
            heard(talk, line)


def test_a_folder_stands_for_its_pictures_and_alone_for_its_sample(folder: Path) -> None:
    files = (folder / "a.PNG", folder / "b.jpg", folder / "it's.jpg")
    assert question([folder]) == Question(files, folder.name)
    assert question([folder], "sample_01") == Question(files, "sample_01")
    assert question([folder, folder / "b.jpg"]) == Question((*files, folder / "b.jpg"))


def test_a_story_is_printed_as_it_comes_without_blank_ends(capsys: pytest.CaptureFixture[str]) -> None:
    said = _Said()
    for piece in ("\n ", "Speaker 1:", " one\n", "\n", "Spea\x1b[2Jker 2: two \n", "\n\n"):
        said.say(piece)
    said.end()
    assert capsys.readouterr().out == "Speaker 1: one\n\nSpea[2Jker 2: two\n"
    _Said().end()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("kind", "status", "code", "words"),
    [
        ("EvalRun", {}, 2, "tunes nothing"),
        ("FineTuneRun", {}, 6, "is Pending"),
        ("FineTuneRun", {"state": "Running"}, 6, "is Running"),
        ("FineTuneRun", {"state": "Failed"}, 1, "is Failed"),
    ],
)
def test_a_run_that_has_tuned_nothing_says_so(kind: str, status: dict[str, Any], code: int, words: str) -> None:
    with pytest.raises(CommandFailed, match=words) as raised:
        tuned_by(run(kind, status))
    assert raised.value.code == code


def test_a_finished_run_has_an_adapter_or_a_model() -> None:
    made = {"uri": "file:///root/made", "digest": "sha256:" + "1" * 64}
    for field in ("adapter", "model"):
        assert tuned_by(run("FineTuneRun", {"state": "Succeeded", field: made})) == (made["uri"], made["digest"])


def run(kind: str, status: dict[str, Any]) -> Run:
    meta = {"namespace": "default", "name": "stories", "uid": "1"}
    return Run.from_object({"kind": kind, "metadata": meta, "spec": {}, "status": status})
