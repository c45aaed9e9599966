"""Files checked without a cluster, and files to begin from: each wrong one is named by line and field."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.told_runs import manifest

from fabula_api.recipes import API_KINDS, Kind, recipes
from fabula_cli.commands.init import template
from fabula_cli.commands.validate import Verdict, judge, lines, runs_of
from fabula_cli.documents import documents, read
from fabula_cli.exits import CommandFailed, Exit

ROOT = Path(__file__).parents[3]


def verdict(text: str) -> Verdict:
    (one,) = documents("run.yaml", text)
    return judge(one, "file:///artifacts")


def wrong(kind: str, **spec: Any) -> list[str]:
    """What is wrong with a run, as the terminal has it."""
    return lines(verdict(yaml.safe_dump(manifest(kind, "one", **spec), sort_keys=False)))


@pytest.mark.parametrize(
    ("situation", "kind", "spec", "words"),
    [
        ("a misspelt field", "FineTuneRun", {"loraa": {}}, "spec.loraa: is no field of this kind"),
        ("out of its bounds", "FineTuneRun", {"lora": {"rank": 0}}, "spec.lora.rank: Invalid value: 0"),
        ("of a wrong type", "DatasetBuild", {"target": {"samples": "ten"}}, "spec.target.samples: "),
        ("a rule between fields", "FineTuneRun", {"model": {"name": "a/b", "uri": "c"}}, "exactly one of name and uri"),
        ("a gate without its arm", "EvalRun", {"gates": [{"metric": "turns", "arm": "x"}]}, "must name one"),
        ("an unknown recipe", "EvalRun", {"recipe": "opera"}, "spec.recipe: opera has no EvalRun"),
        ("another recipe's block", "DatasetBuild", {"recipe": "opera"}, "podcast goes with recipe podcast only"),
        ("a path that leads out", "DatasetBuild", {"source": {"uri": "../other"}}, "spec.podcast.source.uri: "),
        (
            "more than a GPU holds",
            "FineTuneRun",
            {
                "model": {"name": "Qwen/Qwen3-VL-32B-Instruct"},
                "topology": {"nodes": 1, "gpusPerNode": 1, "product": "NVIDIA-L4"},
            },
            "each rank needs at least",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(situation: str, kind: str, spec: dict[str, Any], words: str) -> None:
    said = wrong(kind, **spec)
    assert any(words in line for line in said), (situation, said)
    assert all(re.match(r"run\.yaml:\d+: ", line) for line in said)


def test_a_problem_has_the_line_of_its_field() -> None:
    text = """apiVersion: fabula.dev/v1alpha1
kind: EvalRun
metadata: {name: one}
spec:
  samples: {uri: vist, format: vist}
  arms:
    - name: base
      model: {uri: m}
    - name: tuned
      modle: {uri: m}
"""
    found = {one.field: one.line for one in verdict(text).problems}
    assert found["spec.arms[1].modle"] == 10
    assert found["spec.arms[1].model"] == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("just words", "is no object"),
        ("{apiVersion: fabula.dev/v2, kind: EvalRun, metadata: {name: a}}", "this version knows fabula.dev/v1alpha1"),
        ("{apiVersion: fabula.dev/v1alpha1, kind: Dataset, metadata: {name: a}}", "DatasetBuild, FineTuneRun"),
        ("{apiVersion: fabula.dev/v1alpha1, kind: EvalRun}", "metadata.name: is missing"),
        ("{apiVersion: fabula.dev/v1alpha1, kind: EvalRun, metadata: {name: a}}", "spec: Required value"),
        ("{apiVersion: fabula.dev/v1alpha1, kind: EvalRun, metadata: {name: a}, spec: 3}", "spec: Invalid value"),
    ],
)
def test_files_that_are_no_runs(text: str, words: str) -> None:
    assert any(words in line for line in lines(verdict(text)))


@pytest.mark.parametrize("text", ["kind: [", "!!python/object:os.system {}"])
def test_what_is_no_yaml_or_asks_for_more_than_values(text: str) -> None:
    with pytest.raises(CommandFailed, match="is no YAML") as raised:
        verdict(text)
    assert raised.value.code is Exit.BAD


def test_other_kinds_are_left_alone() -> None:
    found = verdict("{apiVersion: v1, kind: Secret, metadata: {name: a}}")
    assert (found.problems, found.notes) == ((), ("not one of Fabula's kinds; not looked at",))
    assert lines(found) == ["run.yaml:1: Secret/a: not one of Fabula's kinds; not looked at"]


def test_a_file_of_which_there_is_something_to_say_is_valid_as_well() -> None:
    found = wrong("FineTuneRun", model={"name": "some/model"}, topology={"nodes": 1, "gpusPerNode": 1})
    assert found[0] == "run.yaml:1: FineTuneRun/one: valid"
    assert "billionParameters" in found[1]
    assert wrong("DatasetBuild") == ["run.yaml:1: DatasetBuild/one: valid"]


def test_every_example_is_valid() -> None:
    folders = [folder for folder in (ROOT / "examples").rglob("*") if folder.is_dir() and list(folder.glob("*.yaml"))]
    found = [judge(one, "file:///artifacts") for one in read(folders)]
    assert len(found) >= 7
    assert [one.problems for one in found] == [()] * len(found)
    judged = next(one for one in found if one.file.endswith("podcast/eval.yaml"))
    # Two arms against the base in two orders of 50 samples, and four calls on each of six samples.
    assert judged.notes[0].startswith("judges: opus 224 calls, about $")
    assert "in all 672 calls, about $" in judged.notes[0]


@pytest.mark.parametrize("every", [True, False], ids=["every field", "short"])
@pytest.mark.parametrize(("recipe", "kind"), [(name, kind) for name, one in recipes().items() for kind in one.stages])
def test_a_new_file_is_valid_as_it_is(kind: Kind, recipe: str, every: bool) -> None:
    text = template(kind, recipe, "mine", every=every)
    found = verdict(text)
    assert (found.name, found.problems) == (f"{kind}/mine", ())
    assert max(map(len, text.splitlines())) <= 120


def test_a_recipe_without_examples_says_what_has_to_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = {"podcast": replace(recipes()["podcast"], examples={})}
    monkeypatch.setattr("fabula_cli.commands.init.recipes", lambda: bare)
    text = template("FineTuneRun", "podcast", "mine", every=False)
    assert "\n  dataset: <map>\n" in text and "\n  model: <map>\n" in text
    assert {one.field for one in verdict(text).problems} >= {"spec.dataset", "spec.model"}


@pytest.mark.parametrize("kind", API_KINDS)
def test_every_field_of_a_new_file_can_be_uncommented(kind: Kind) -> None:
    text = template(kind, "podcast", "mine")
    field = re.compile(r"^( *)# ( *[a-z][A-Za-z0-9]*:)( [^<].*)?$")
    opened = "\n".join(field.sub(r"\1\2\3", line) for line in text.splitlines())
    assert opened.count("\n") == text.count("\n") - 1
    found = [one for one in verdict(opened).problems if one.message == "is no field of this kind"]
    assert found == []
    fields = API_KINDS[kind].spec.model_fields.items()
    kept = {info.alias or name for name, info in fields if info.is_required() or info.get_default() is not None}
    assert kept <= set(yaml.safe_load(opened)["spec"])


RUN = "apiVersion: fabula.dev/v1alpha1\nkind: FineTuneRun\nmetadata: {name: one}\nspec:\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RUN + "  loraa: {}\n", "run.yaml:5: spec.loraa: is no field of this kind; did you mean lora?"),
        (RUN + "  learningRate: 1\n",
         "run.yaml:5: spec.learningRate: is no field of this kind; it belongs to spec.training"),
        (RUN + "  training: {seeed: 1}\n", "spec.training.seeed: is no field of this kind; did you mean seed?"),
        (RUN + "  model: {uri: a}\n  model: {uri: b}\n", "run.yaml:6: model: stands twice in its block"),
        (RUN.replace("fabula.dev", "fabla.dev"),
         "run.yaml:1: apiVersion: is fabla.dev/v1alpha1; write fabula.dev/v1alpha1"),
        (RUN.replace("one", "My Run"), "run.yaml:3: metadata.name: My Run is no name"),
        (RUN.replace("one", "2026-01-01"), "metadata.name: is no text but 2026-01-01; put it in quotes"),
        (RUN.replace("name: one", "nmae: one"), "metadata.name: is missing (is it meant by nmae?)"),
        (RUN.replace("apiVersion", "apiVerson"), "apiVersion: is missing (is it meant by apiVerson?); write fabula"),
        (RUN.replace("kind", "knd"), "kind: is missing (is it meant by knd?); there is DatasetBuild"),
        (RUN.replace("FineTuneRun", "EvalRun") + "  prices: {gpt-5.2: {inputPerMilion: 1}}\n",
         "spec.prices.gpt-5.2.inputPerMilion: is no field of this kind; did you mean inputPerMillion?"),
        (RUN.replace("metadata", "metdata"), "metadata.name: is missing (is it meant by metdata?)"),
        ("kind: List\napiVersion: v1\nitems:\n- apiVersion: fabula.dev/v1alpha1\n  kind: EvalRuns\n",
         "run.yaml:5: kind: is no kind of fabula.dev/v1alpha1"),
    ],
)  # fmt: skip
def test_what_was_meant_is_told(text: str, said: str) -> None:
    told = lines(verdict(text))
    assert any(said in line for line in told), told
    assert not any("<nil>" in line for line in told)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a:\n\tb: 1\n", "run.yaml:2: is no YAML: .*the line is set in by a tab, and YAML knows spaces only"),
        ("a: 1".encode("utf-16"), "run.yaml is no text in UTF-8 .it is in UTF-16, as PowerShell"),
        (b"a: \xff\n", "run.yaml is no text in UTF-8 .byte 3 is none"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_the_line_and_what_to_do(
    data: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_bytes(data)
    with pytest.raises(CommandFailed, match=said):
        list(read([tmp_path / "run.yaml"]))


def test_windows_ends_of_lines_a_mark_at_the_start_and_empty_documents_are_no_matter(tmp_path: Path) -> None:
    text = "---\n---\n" + RUN + "  dataset: {ref: d}\n  model: {uri: m}\n"
    (tmp_path / "run.yaml").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (one,) = read([tmp_path / "run.yaml"])
    assert lines(judge(one, "file:///artifacts"))[0].endswith("run.yaml:3: FineTuneRun/one: valid")


def test_runs_of_the_same_files_are_looked_at_together_and_two_of_one_name_are_told() -> None:
    evaluation = manifest("EvalRun", "one", pixels={"minPixels": 1024, "maxPixels": 4096},
                          arms=[{"name": "tuned", "model": {"uri": "m"}, "adapter": {"ref": "tune"}}])  # fmt: skip
    tune = manifest("FineTuneRun", "tune")
    given = list(documents("run.yaml", "---\n".join(yaml.safe_dump(one) for one in (evaluation, tune, tune))))
    told = [line for one in given for line in lines(judge(one, "file:///artifacts", runs_of(given)))]
    assert any("spec.pixels: 1024 to 4096, but the adapter of arm tuned is trained with" in line for line in told), told
    assert any("metadata.name: FineTuneRun/tune stands in run.yaml:" in line for line in told), told
