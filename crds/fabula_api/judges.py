"""Judges of an EvalRun, as fields of its spec: who judges, by which rubric, and what it may cost."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from fabula_api.base import Digest, Name, Rule, SpecModel, Text, Uri
from fabula_api.pricing import Budget, Price
from fabula_api.quota import Quota
from fabula_api.rubrics import STORY, Rubric


class Judge(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.provider != 'openai' || has(self.endpointUrl)",
            "message": "provider openai needs endpointUrl, such as https://api.openai.com/v1",
            "fieldPath": ".endpointUrl",
        },
    )
    name: Name
    """Name of the judge in status and report."""
    provider: Literal["bedrock", "openai"] = "bedrock"
    """Who runs it: Amazon Bedrock, or any server that speaks OpenAI's chat completions."""
    model: Text
    """Model or inference profile, by the provider's name for it."""
    region: Text = "us-west-2"
    """AWS region of the Bedrock endpoint; unused by `openai`."""
    endpoint_url: Uri | None = None
    """Address of the server, for `openai` with its version, such as `https://api.openai.com/v1`; for `bedrock` a
    private endpoint."""
    key_variable: Annotated[str, StringConstraints(max_length=63, pattern=r"^[A-Z][A-Z0-9_]*$")] = "OPENAI_API_KEY"
    """Variable with the key for `openai`, as the Secret of `secretRef` brings it; without one, none is sent."""
    rubric: Name = STORY.name
    """What it is asked: `story`, one of `rubrics`, or one of the recipe's."""
    pairs: Literal["baseline", "all"] = "baseline"
    """Which arms are compared: each with the baseline, or each with each."""
    tries: int = Field(1, ge=1, le=8)
    """Verdicts on each pair of answers, both orders each; they are averaged."""
    probes: int = Field(6, ge=2, le=64)
    """Samples on which the judge is tried with answers that everybody can tell apart; four calls each."""
    max_tokens: int = Field(2048, ge=128, le=65_536)
    """Longest reply; the quota reserves as much for each request. Models that think first need more."""
    temperature: float | None = Field(None, ge=0, le=2)
    """Sampling temperature. Default: the provider's, since some models take none."""
    quota: Quota = Field(default_factory=Quota)
    """What the provider allows."""
    concurrency: int = Field(4, ge=1, le=64)
    """Requests that one shard has in flight at most."""
    shards: int = Field(1, ge=1, le=64)
    """Pods that ask it."""


class HumanVerdicts(SpecModel):
    """A folder with CSV files, one row a verdict: `sample`, `arm`, `versus`, `verdict` (the better arm, or `tie`), and
    where there are several `seed` and `rater`."""

    uri: Uri
    """Folder with the CSV files."""
    digest: Digest | None = None
    """Digest of its content; a folder with another one is refused. Without it, the run finds it out before it
    starts."""


class Judging(SpecModel):
    """Judges, what they are asked, and what they may cost."""

    cel: ClassVar[tuple[Rule, ...]] = ()
    judges: list[Judge] = Field(default_factory=list, max_length=8, json_schema_extra={
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
    })  # fmt: skip
    """Models that compare the arms' answers, or give them points, without knowing whose they are."""
    rubrics: list[Rubric] = Field(default_factory=list, max_length=8, json_schema_extra={
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
    })  # fmt: skip
    """Rubrics of this run's own."""
    human_verdicts: HumanVerdicts | None = None
    """What people said of the same answers; the report tells how far each judge agrees with them."""
    budget: Budget = Field(default_factory=Budget)
    """What all judges may cost together; each may take its part by its prices."""
    prices: Annotated[dict[Text, Price], Field(max_length=32)] = Field(default_factory=dict)
    """Your prices by model id, in place of the list prices."""
