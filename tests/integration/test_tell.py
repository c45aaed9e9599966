"""`fabula tell`: the story that an evaluation's arm would tell, streamed; and a word for all that can go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_server import ChatServer, chat_server
from tests.support.stage_context import stage_context
from tests.support.tuned_adapter import write_adapter
from tests.support.vist_folder import draw_photo, write_vist
from typer.testing import CliRunner, Result

from fabula_api.outside import plain_lines
from fabula_cli.main import app
from fabula_workloads.recipe_parts import parts_of
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import local_path
from fabula_workloads.stages import infer, select

CORPUS = ["Speaker 1: the red boat leaves the harbour\n\nSpeaker 2: and the gulls follow it"]
WINDOW = {"minPixels": 1024, "maxPixels": 4096}
DRAWN = {"temperature": 0.9, "topP": 0.95, "maxNewTokens": 24, "seeds": [0, 1], "batchSize": 1}
AS_DRAWN = ("--temperature", "0.9", "--top-p", "0.95", "--max-new-tokens", "24")
PROMPT = parts_of("podcast").inference_prompt()


def fabula(*words: object, stdin: str | None = None, **environment: str) -> Result:
    env = {"COLUMNS": "250", "KUBECONFIG": "/nowhere", "FABULA_ARTIFACT_ROOT": "", **environment}
    return CliRunner().invoke(app, ["tell", *map(str, words)], input=stdin, env=env)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(3):
        draw_photo(folder / f"{number}.jpg", number)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a tiny model, an adapter for it, and a chosen sequence."""
    from fabula_quickstart.tiny import qwen3_vl

    root = tmp_path_factory.mktemp("told")
    write_vist(root / "vist", 1)
    qwen3_vl.build(root / "model", CORPUS)
    write_adapter(root, "adapter", "model", WINDOW)
    chosen = select.run(stage_context(root, "EvalRun", "select", spec(), "selected"))
    local_path(chosen.uri or "").rename(root / "select")
    return root


def spec(**arm: Any) -> dict[str, Any]:
    return {
        "samples": {"uri": "vist", "count": 1},
        "arms": [{"name": "one", "model": {"uri": "model"}, "gpusPerShard": 0, **arm}],
        "pixels": WINDOW,
        "generation": DRAWN,
        "metrics": ["words"],
    }


def evaluated(world: Path, output: str, **arm: Any) -> dict[str, str]:
    """An evaluation's answers by sample and seed."""
    inputs = {"select": "select"} | ({"adapter": "adapter"} if arm else {})
    infer.run(stage_context(world, "EvalRun", "infer", spec(**arm), output, inputs, arm="one"))
    return {key: outcome["text"] for key, outcome in Ledger(open_store(f"file://{world}/{output}")).items()}


@pytest.mark.torch
@pytest.mark.invariant
@pytest.mark.parametrize("tuned", [False, True], ids=["base", "adapter"])
def test_an_arm_and_a_person_get_the_same_answer_for_the_same_seed(world: Path, tuned: bool) -> None:
    answers = evaluated(world, f"infer-{tuned}", **({"adapter": {"uri": "adapter"}} if tuned else {}))
    assert len(set(answers.values())) == 2
    (folder,) = (world / "select" / "pictures").iterdir()
    what = ("--adapter", world / "adapter", "--artifact-root", world) if tuned else ("--model", world / "model")
    window = () if tuned else ("--min-pixels", "1024", "--max-pixels", "4096")
    for seed in (0, 1):
        found = fabula(folder, *what, *window, *AS_DRAWN, "--seed", seed, "--device", "cpu")
        assert found.exit_code == 0, found.output
        assert found.stdout.rstrip("\n") == plain_lines(answers[f"{folder.name}-{seed}"]).strip()
        assert f"seed {seed}" in found.stderr and "loaded in" in found.stderr


@pytest.mark.torch
def test_a_full_fine_tunings_model_stands_in_the_place_of_its_base(world: Path, tmp_path: Path) -> None:
    from fabula_workloads.runtime.artifact import add_parts, commit, require_manifest

    told = require_manifest(open_store(f"file://{world}/adapter")).details
    store = open_store(tmp_path.as_uri())
    files = [(one.name, one) for one in sorted((world / "model").iterdir())]
    commit(store, kind="model", parts=add_parts(store, files), details=told | {"method": "full"})
    (folder,) = (world / "select" / "pictures").iterdir()
    greedy = ("--temperature", "0", "--max-new-tokens", "6", "--device", "cpu")
    found = fabula(folder, "--adapter", tmp_path, *greedy)
    base = fabula(folder, "--model", world / "model", "--min-pixels", "1024", "--max-pixels", "4096", *greedy)
    assert (found.exit_code, found.stdout) == (0, base.stdout), found.output
    assert "tuned in full" in found.stderr


@pytest.mark.torch
def test_what_does_not_fit_is_named_before_anything_is_loaded(
    world: Path, pictures: list[Path], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8 no photo")
    (tmp_path / "empty").mkdir()
    adapter = ("--adapter", world / "adapter", "--artifact-root", world)
    for words, code, expected in (
        ((), 2, "name the pictures"),
        ((pictures[0],), 2, "name a model"),
        ((tmp_path / "none.jpg", *adapter), 3, "there is no picture"),
        ((tmp_path / "empty", *adapter), 3, "has no pictures"),
        ((bad, "--model", world / "model"), 1, "bad.jpg is"),
        ((pictures[0], "--model", "/no/model"), 3, "/no/model does not exist"),
        ((pictures[0], "--model", tmp_path / "empty"), 1, "cannot be loaded"),
        ((pictures[0], "--adapter", "/no/adapter"), 3, "no such folder"),
        ((pictures[0], "--adapter", world / "adapter"), 3, "--artifact-root"),
        ((pictures[0], "--adapter", world / "select"), 1, "holds a sample-set"),
        ((pictures[0], "--model", other, *adapter), 1, "was trained on a base model whose config.json is"),
        ((pictures[0], *adapter, "--max-pixels", 50176), 1, "with pixels 1024..4096, but it is to see 12544..50176"),
        ((pictures[0], *adapter, "--quantization", "nf4"), 1, "leave quantization out"),
        ((pictures[0], *adapter, "--recipe", "nothing"), 1, "'nothing' is not installed"),
        ((pictures[0], "--model", world / "model", "--recipe", "audio-description"), 1, "by an EvalRun"),
        ((pictures[0], "--adapter", "stories"), 4, "no cluster"),
        ((pictures[0], "--engine", "openai", "--model", "m"), 2, "--endpoint-url"),
    ):
        found = fabula(*words)
        assert (found.exit_code, expected in found.stderr) == (code, True), (words, found.output)
        assert found.stdout == ""


@pytest.fixture(scope="module")
def server() -> Any:
    with chat_server() as found:
        yield found


def asked_of(server: ChatServer) -> list[tuple[str, int, int]]:
    """(prompt, pictures, seed) of each request."""
    found = []
    for body in server.asked:
        *shown, text = body["messages"][0]["content"]
        found.append((text["text"], len(shown), body["seed"]))
    return found


def test_a_server_is_asked_as_its_arm_would_and_the_talk_goes_on_with_one_model(
    server: ChatServer, pictures: list[Path]
) -> None:
    server.asked.clear()
    lines = (
        f"{pictures[1]} {pictures[2]}", "in the rain, please", "/again", f"{pictures[0].parent}/none.jpg",
        "/prompt Say it in one word.", "it's late", "/prompt", "/what", "/quit", "never read",
    )  # fmt: skip
    found = fabula(
        pictures[0], "--interactive", "--engine", "openai", "--endpoint-url", server.url, "--model", "m",
        stdin="\n".join(lines),
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    asked = asked_of(server)
    first = asked[0][2]
    assert [(text, shown) for text, shown, _ in asked] == [
        (PROMPT, 1), (PROMPT, 2), (f"{PROMPT}\n\nin the rain, please", 2), (f"{PROMPT}\n\nin the rain, please", 2),
        ("Say it in one word.", 2), ("Say it in one word.\n\nit's late", 2), (PROMPT, 2),
    ]  # fmt: skip
    assert [seed == first for _, _, seed in asked] == [True, True, True, False, False, False, False]
    assert found.stdout.count("Speaker 1: 2 pictures\n\nSpeaker 2: and ") == 6
    assert "there is no picture" in found.stderr and "/what is none of these\npictures or a folder" in found.stderr


def test_what_a_server_says_commands_no_terminal_and_its_failures_are_named(
    server: ChatServer, pictures: list[Path]
) -> None:
    served = ("--engine", "openai", "--endpoint-url", server.url, "--model", "\x1b[31mred")
    found = fabula(pictures[0], *served)
    assert found.exit_code == 0 and "\x1b" not in found.output
    server.fault = lambda body, number: (400, {})
    refused = fabula(pictures[0], *served)
    server.fault = lambda body, number: (401, {})
    unknown = fabula(pictures[0], *served, "--key-variable", "OUR_KEY", OUR_KEY="wrong")
    server.fault = None
    assert (refused.exit_code, "RequestRefused" in refused.stderr) == (1, True), refused.output
    assert (unknown.exit_code, "refuses the key" in unknown.stderr) == (1, True), unknown.output
