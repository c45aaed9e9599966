"""What of a spec reaches a pod as data arrives unchanged: Kubernetes expands nothing in it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.support.launches import CASES, SETTINGS, launch_of, templates

from fabula_api.recipes import Kind
from fabula_api.worker import CONFIG_VARIABLE, WorkerConfig
from fabula_operator.render import manifest

PROMPT = "costs $$5, $(AWS_SECRET_ACCESS_KEY) and ${HOME}; $$(A) $"


def expanded(text: str) -> str:
    """What Kubernetes makes of a value without knowing any variable: `$$` is one `$`, an unknown `$(NAME)` stays."""
    return re.sub(r"\$(\$)?", "$", text)


@pytest.mark.parametrize(("kind", "stage"), [("EvalRun", "infer"), ("FineTuneRun", "train")])
def test_dollars_of_a_spec_arrive_as_they_are(kind: Kind, stage: str) -> None:
    launch = replace(launch_of(kind, stage), output=f"file:///{PROMPT}")
    for template in templates(manifest(launch, SETTINGS)):
        written = {one["name"]: one.get("value", "") for one in template["spec"]["containers"][0]["env"]}
        assert "$(AWS" not in re.sub(r"\$\$", "", written[CONFIG_VARIABLE])
        assert WorkerConfig.model_validate_json(expanded(written[CONFIG_VARIABLE])).output == f"file:///{PROMPT}"


def test_fields_of_a_template_mean_what_they_mean_in_a_pod() -> None:
    template = {
        "image": "x/y", "command": ["sh", "-c", "echo $$1"], "args": ["--key=$(KEY)"], "env": {"A": "$(HOME)/a"},
    }  # fmt: skip
    launch = launch_of("FineTuneRun", "train", {"template": template})
    for made in templates(manifest(launch, SETTINGS)):
        container = made["spec"]["containers"][0]
        assert (container["command"], container["args"]) == (template["command"], template["args"])
        assert {"name": "A", "value": "$(HOME)/a"} in container["env"]
        config = next(one["value"] for one in container["env"] if one["name"] == CONFIG_VARIABLE)
        assert '"$$(HOME)/a"' in config


@pytest.mark.parametrize("name", CASES)
def test_every_value_of_ours_is_escaped(name: str) -> None:
    settings = replace(SETTINGS, artifact_root="s3://a$(B)", status_url="https://a$$b")
    for template in templates(manifest(CASES[name], settings)):
        for one in template["spec"]["containers"][0]["env"]:
            given = re.sub(r"\$\$", "", one.get("value", ""))
            assert "$" not in given or one["name"] in CASES[name].template.env
