"""What every engine keeps to: one contract, tried on transformers, on vLLM where it is installed, and on servers.

`make test-vllm` makes vLLM's environment and runs this file with it; without one, its tests are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.chat_server import ChatServer, chat_server
from tests.support.stage_context import stage_context
from tests.support.tuned_adapter import write_adapter
from tests.support.vist_folder import write_vist
from tests.support.vllm_environment import CHECKOUT, VARIABLE, run_python, run_stage, serving, vllm_folder

from fabula_api.artifact import MANIFEST
from fabula_workloads.inference.vllm_engine import check_positions
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, TryAgain
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import local_path
from fabula_workloads.stages import infer, select

SAMPLES = 3
CORPUS = ["Speaker 1: the red boat leaves the harbour\n\nSpeaker 2: and the gulls follow it"]
WINDOW = {"minPixels": 12544, "maxPixels": 50176}
GREEDY = {"temperature": 0, "maxNewTokens": 10, "seeds": [0]}
needs_vllm = pytest.mark.skipif(
    vllm_folder() is None, reason=f"no vLLM: `make test-vllm`, or {VARIABLE} (docs/evaluation.md)"
)
ENGINES = ["transformers", "openai", pytest.param("vllm", marks=needs_vllm)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with chosen sequences and a tiny model whose heads vLLM takes."""
    from fabula_quickstart.tiny import qwen3_vl

    root = tmp_path_factory.mktemp("engines")
    write_vist(root / "vist", SAMPLES)
    qwen3_vl.build(root / "model", CORPUS, head_dim=64)
    chosen = select.run(stage_context(root, "EvalRun", "select", spec("transformers"), "selected"))
    local_path(chosen.uri or "").rename(root / "select")
    return root


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with chat_server() as found:
        yield found


def spec(engine: str, url: str = "http://nobody/v1", **fields: Any) -> dict[str, Any]:
    arm: dict[str, Any] = {"name": "one", "model": {"uri": "model"}, "engine": engine, "gpusPerShard": 0}
    if engine == "openai":
        arm |= {"model": {"name": fields.pop("served", "tiny")}, "endpointUrl": url, "concurrency": 3}
    return {
        "samples": {"uri": "vist", "count": SAMPLES},
        "arms": [arm | fields.pop("arm", {})],
        "pixels": WINDOW,
        "generation": fields.pop("generation", GREEDY),
        "metrics": ["words"],
        **fields,
    }


def answers(
    world: Path,
    engine: str,
    output: str,
    server: ChatServer | str,
    *,
    selected: str = "select",
    shard: int = 0,
    shards: int = 1,
    inputs: dict[str, str] | None = None,
    **fields: Any,
) -> dict[str, dict[str, Any]]:
    """The ledger after one shard has run."""
    url = server if isinstance(server, str) else server.url
    context = stage_context(
        world, "EvalRun", "infer", spec(engine, url, **fields), output, {"select": selected, **(inputs or {})},
        shard=shard, shards=shards, arm="one",
    )  # fmt: skip
    if engine == "vllm":
        run_stage(context.config, shard, world)
    else:
        infer.run(context)
    return dict(Ledger(open_store(f"file://{world}/{output}")).items())


def texts(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {key: outcome["text"] for key, outcome in found.items()}


@pytest.mark.torch
@pytest.mark.parametrize("engine", ENGINES)
def test_every_sample_has_an_answer_for_each_seed_and_the_same_again(
    world: Path, server: ChatServer, engine: str
) -> None:
    sampled = {"temperature": 0.9, "topP": 1.0, "maxNewTokens": 10, "seeds": [0, 1]}
    found = answers(world, engine, f"{engine}-a", server, generation=sampled)
    assert len(found) == 2 * SAMPLES
    for outcome in found.values():
        assert outcome["outcome"] == "ok" and outcome["seconds"] >= 0
        assert outcome["finish"] == "length" if outcome["tokens"] == 10 else outcome["finish"] == "stop"
    sample = next(iter(found)).rpartition("-")[0]
    assert found[f"{sample}-0"]["text"] != found[f"{sample}-1"]["text"]
    again = answers(world, engine, f"{engine}-b", server, generation=sampled, shard=1, shards=2)
    assert texts(again) == texts(found), "whichever shard makes them"


@pytest.mark.torch
@pytest.mark.parametrize("engine", ENGINES)
def test_a_photo_that_cannot_be_opened_costs_its_own_answer_alone(world: Path, server: ChatServer, engine: str) -> None:
    import shutil

    from fabula_api.artifact import Manifest, Part, artifact_digest
    from fabula_workloads.runtime.artifact import part_of

    broken = world / f"select-{engine}"
    shutil.copytree(world / "select", broken)
    photo = sorted(broken.rglob("image_2.jpg"))[0]
    photo.write_bytes(b"\xff\xd8 no photo")
    old = Manifest.model_validate_json((broken / MANIFEST).read_bytes())
    parts: list[Part] = [part_of(part.path, broken / part.path) for part in old.parts]
    new = old.replace(parts=parts, digest=artifact_digest(old.kind, parts))
    (broken / MANIFEST).write_text(new.model_dump_json(by_alias=True))
    found = answers(world, engine, f"{engine}-photo", server, selected=broken.name)
    assert sorted(outcome["outcome"] for outcome in found.values()) == ["failed", "ok", "ok"]
    assert [one["reason"] for one in found.values() if one["outcome"] == "failed"] == ["PhotoUnreadable"]


@pytest.mark.torch
@needs_vllm
@pytest.mark.parametrize("prompt", ["Tell a story about the pictures, as a dialogue.", None], ids=["short", "recipe's"])
def test_greedy_answers_of_vllm_are_those_of_transformers(world: Path, prompt: str | None) -> None:
    asked = {"prompt": prompt} if prompt else {}
    ours = answers(world, "transformers", f"greedy-transformers-{bool(prompt)}", "", **asked)
    theirs = answers(world, "vllm", f"greedy-vllm-{bool(prompt)}", "", **asked)
    assert {key: (one["text"], one["tokens"], one["finish"]) for key, one in theirs.items()} == {
        key: (one["text"], one["tokens"], one["finish"]) for key, one in ours.items()
    }


@pytest.fixture(scope="module")
def adapter(world: Path) -> str:
    """An adapter artifact with weights that change what the model says."""
    write_adapter(world, "adapter", "model", WINDOW)
    return "adapter"


@pytest.mark.torch
@needs_vllm
def test_an_adapter_says_the_same_under_both_engines_and_not_what_its_base_says(world: Path, adapter: str) -> None:
    asked = {"prompt": "Tell a story about the pictures, as a dialogue."}
    tuned = {"arm": {"adapter": {"uri": adapter}}, "inputs": {"adapter": adapter}, **asked}
    ours = texts(answers(world, "transformers", "lora-transformers", "", **tuned))
    assert ours != texts(answers(world, "transformers", "base-transformers", "", **asked))
    assert texts(answers(world, "vllm", "lora-vllm", "", **tuned)) == ours


@pytest.mark.torch
@needs_vllm
def test_two_processes_that_share_a_model_say_what_one_says(world: Path) -> None:
    """Tensor parallelism, as `gpusPerShard: 2` asks for it, here of two processes of CPUs."""
    ours = texts(answers(world, "transformers", "shared-transformers", ""))
    asked = world / "shared.json"
    samples = sorted((world / "select" / "pictures").iterdir())
    asked.write_text(json.dumps({one.name: [str(path) for path in sorted(one.iterdir())] for one in samples}))
    told = run_python(
        f"""
import json
from pathlib import Path
from fabula_api.arms import Generation
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.inference.request import Request
from fabula_workloads.inference.vllm_engine import VllmEngine
from fabula_workloads.recipe_parts import parts_of

if __name__ == "__main__":
    root = Path({str(world)!r})
    engine = VllmEngine(
        root / "model", None, device="cpu", gpus=2, pixels=PixelWindow.model_validate({WINDOW}),
        generation=Generation.model_validate({GREEDY}), most_pictures=5,
    )
    prompt = parts_of("podcast").inference_prompt()
    left = [
        Request(name, 0, tuple(map(Path, pictures)), prompt)
        for name, pictures in json.loads((root / "shared.json").read_text()).items()
    ]
    found = {{one.key: answer.text for one, answer in engine.answers(lambda most: [left.pop()] if left else [], bool)}}
    (root / "shared-told.json").write_text(json.dumps(found))
""",
        world,
    )
    assert json.loads((world / "shared-told.json").read_text()) == ours, told


def whole(found: dict[str, str]) -> dict[str, str]:
    """Without what a server leaves out: the character at whose middle an answer was cut off."""
    return {key: text.rstrip("\ufffd") for key, text in found.items()}


def example_arguments(**changed: str) -> list[str]:
    """What the example's Deployment gives to vLLM's server, with what a machine of its own has in its place."""
    (deployment, _) = yaml.safe_load_all((CHECKOUT / "examples" / "serving" / "vllm.yaml").read_text())
    given = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    names = [str(one).partition("=")[0].removeprefix("--") for one in given]
    assert changed.keys() <= set(names)
    return [f"--{name}={changed[name]}" if name in changed else one for name, one in zip(names, given, strict=True)]


@pytest.mark.torch
@needs_vllm
def test_the_examples_server_answers_for_base_and_adapter_as_this_process_does(
    world: Path, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = example_arguments(
        **{
            "model": str(world / "model"), "lora-modules": f"podcast={world / adapter}", "max-model-len": "4096",
            "mm-processor-kwargs": '{"size": {"shortest_edge": 12544, "longest_edge": 50176}}',
        }
    )  # fmt: skip
    with serving(arguments, world, "s3cret") as url:
        monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
        tuned = {"arm": {"adapter": {"uri": adapter}}, "inputs": {"adapter": adapter}}
        for name, fields in (("base", {}), ("podcast", tuned)):
            served = texts(answers(world, "openai", f"served-{name}", f"{url}/v1", served=name))
            ours = texts(answers(world, "transformers", f"here-{name}", "", **fields))
            assert whole(served) == whole(ours)
        with pytest.raises(ConfigInvalid, match="knows no model 'other'"):
            answers(world, "openai", "served-other", f"{url}/v1", served="other")
        monkeypatch.setenv("OPENAI_API_KEY", "wrong")
        with pytest.raises(CredentialsRefused, match="refuses the key"):
            answers(world, "openai", "served-refused", f"{url}/v1", served="base")


def test_a_model_whose_pictures_vllm_would_place_otherwise_is_refused(world: Path, tmp_path: Path) -> None:
    check_positions(world / "model")
    config = json.loads((world / "model" / "config.json").read_text())
    del config["text_config"]["rope_parameters"]["mrope_interleaved"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="mrope_interleaved"):
        check_positions(tmp_path)


def test_a_servers_refusals_and_outages_are_told_apart(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = {"retry-after-ms": "1"}  # the library waits for nothing longer, and as long as it likes for 0
    monkeypatch.setenv("OUR_KEY", "s3cret")
    with chat_server() as server:
        # One sample is refused for good; another one is throttled once, and asked again.
        refused: set[str] = set()

        def fault(body: dict[str, Any], number: int) -> tuple[int, dict[str, str]] | None:
            mark = str(body["messages"][0]["content"][:1])
            if number == 0:
                refused.add(mark)
            if mark in refused:
                return 400, {}
            return (429, at_once) if number == 1 else None

        server.fault = fault
        found = answers(world, "openai", "refused", server, arm={"keyVariable": "OUR_KEY", "concurrency": 1})
        assert sorted(one["outcome"] for one in found.values()) == ["failed", "ok", "ok"]
        assert [one["reason"] for one in found.values() if one["outcome"] == "failed"] == ["RequestRefused"]
        assert set(server.keys) == {"Bearer s3cret"}
        for status, error, words in (
            (401, CredentialsRefused, "refuses the key"),
            (404, ConfigInvalid, "knows no model 'tiny'"),
            (503, TryAgain, "does not answer: InternalServerError 503"),
        ):
            server.fault = lambda body, number, status=status: (status, at_once)  # type: ignore[misc]
            with pytest.raises(error, match=words):
                answers(world, "openai", f"status-{status}", server)
        server.fault = None
        server.keys.clear()
        assert "OPENAI_API_KEY" not in os.environ
        assert len(answers(world, "openai", "status-503", server)) == SAMPLES, "it goes on where it stopped"
        assert set(server.keys) == {None}


def test_what_a_server_is_shown_is_in_the_window(world: Path, server: ChatServer) -> None:
    import base64
    import io

    from PIL import Image

    server.asked.clear()
    answers(world, "openai", "window", server, pixels={"minPixels": 1024, "maxPixels": 4096})
    part = next(part for part in server.asked[0]["messages"][0]["content"] if part["type"] == "image_url")
    picture = Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2])))
    assert 3800 < picture.width * picture.height < 4400
