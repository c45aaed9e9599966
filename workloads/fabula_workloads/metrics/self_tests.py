"""Can the metric fail? Each one is tried on texts that must get different figures, and its real figures are looked at.

The published CLIPScore gave two models the same fifty figures, and nobody saw that it could not have done otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabula_api.asked import Asked, AskedWords
from fabula_api.metrics import Metric, ProfileName
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.metrics.profiles import measure
from fabula_workloads.metrics.records import Tried

PROBES: tuple[str, str] = (
    "Speaker 1: The kitchen smells of fresh bread, and the copper pans hang over a long wooden table in the sun. "
    "Flour lies on every shelf, and the old oven ticks while it cools.\n\n"
    "Speaker 2: My grandmother kept her apron on that iron hook. She kneaded the dough before anybody was awake.\n\n"
    "Speaker 1: And the window stood open for the cat, even in winter, because the fire was never let out.\n\n"
    "Speaker 2: I still have her rolling pin, and the blue bowl with the crack that nobody dared to mend.",
    "**Skipper:** Fishing boats rock in the harbour while the gulls fight over the nets, and a crane swings a rusty "
    "container over the quay. Ropes creak, diesel hangs in the fog, the fog horn sounds, and the ferry comes in late, "
    "as the ferry always comes in late. The dock workers in orange jackets shout across the water, the radio crackles, "
    "and somewhere behind the customs house a brass band is practising a march for the regatta on Sunday.\n\n"
    "**Mate:** Aye.",
)
"""Two unrelated dialogues, longer than CLIP's window, that differ under every metric. Only the first keeps the format.
"""
PROBES_ASKED = Asked(words=AskedWords(min=85, max=120), avoid=["photo", "image"])
"""What the probes are asked for: the first of the usual two is as long, and the second is not."""
_FEWEST_PAIRS = 3


def probe_text_metrics(form: AnswerForm, profile: ProfileName, metrics: Sequence[Metric]) -> list[Tried]:
    """Each text metric must give its two probes different figures."""
    tried = []
    for metric in metrics:
        if metric.over == "answer" and profile in metric.definitions:
            texts = metric.probes or PROBES
            read = [form.read(text, profile) for text in texts]
            first, second = (measure(reading, profile, (metric,), PROBES_ASKED)[metric.name] for reading in read)
            tried.append(probe(metric, profile, first, second))
    return tried


def probe(metric: Metric, profile: ProfileName, first: float | None, second: float | None) -> Tried:
    """Whether two unrelated texts got different figures, or the definition is known not to tell them apart."""
    defect = metric.definitions[profile].defect
    passed = first is not None and second is not None and first != second
    seen = f"two unrelated texts got {_figure(first)} and {_figure(second)}"
    if passed or defect is None:
        return Tried(metric.name, profile, "tells two texts apart", passed, seen)
    return Tried(metric.name, profile, "tells two texts apart", passed, f"{seen}: {defect}", known_defect=True)


def compare_arms(
    metric: Metric,
    profile: ProfileName,
    figures: Mapping[str, Mapping[str, float]],
    texts: Mapping[str, Mapping[str, str]],
) -> Tried | None:
    """Whether some arm's figures differ from another's where their texts do. `figures` and `texts`: arm -> sample.

    None when there is nothing to look at: one arm, a metric of counts, or fewer than three samples with two texts.
    """
    arms = sorted(figures)
    pairs = [
        (figures[arm][sample], figures[other][sample])
        for index, arm in enumerate(arms)
        for other in arms[index + 1 :]
        for sample in sorted(figures[arm].keys() & figures[other].keys())
        if texts[arm].get(sample) != texts[other].get(sample)
    ]
    if not metric.continuous or len(pairs) < _FEWEST_PAIRS:
        return None
    equal = sum(first == second for first, second in pairs)
    known = metric.definitions[profile].defect is not None
    message = f"{equal} of {len(pairs)} pairs of different answers have the same figure"
    failed = equal == len(pairs)
    return Tried(metric.name, profile, "tells the arms apart", not failed, message, known and failed)


def distrusted(tried: Sequence[Tried], profile: str) -> set[str]:
    """Metrics of a profile that failed a self-test, known defects included: no gate may rest on them."""
    return {test.metric for test in tried if test.profile == profile and not test.passed}


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
