"""The page of reasons: it lists what the code gives, in whatever form the code gives it."""

import ast

from fabula_api.worker import ExitCode
from fabula_chart import vocabulary
from fabula_chart.meanings import MEANINGS


def listed(code: str) -> list[tuple[str, str]]:
    tree = vocabulary._spelled_out(ast.parse(code))
    return [one for node in ast.walk(tree) for one in (*vocabulary._said(node), *vocabulary._alone(node))]


def test_a_reason_is_found_however_it_stands_beside_its_sentence() -> None:
    assert ("NoPods", "none of … came") in listed('Waiting("NoPods", f"none of {count} came")')
    assert ("Restarting", "") in listed('Waiting("Restarting", words)')
    assert ("BatchTooLarge", "use less of it") in listed('x = ("BatchTooLarge", "use less of it")')
    assert ("DiskFull", "no space is left") in listed('raise InputInvalid("no space is left", "DiskFull")')
    assert ("DiskFull", "no space is left") in listed('raise InputInvalid("no space is left", reason="DiskFull")')
    assert ("TryAgain", "It may work later.") in listed(
        'class Later(E):\n    "It may work later."\n    default_reason: str = "TryAgain"'
    )
    assert ("AtWork", "") in listed('at_work(reason or "AtWork", message)')
    assert ("DiskFull", "no space is left") in listed('FULL = "DiskFull"\nraise InputInvalid("no space is left", FULL)')
    assert ("AllCallsRefused", "all of them") in listed(
        'from fabula_workloads.bedrock.refusals import ALL_REFUSED as A\nraise ConfigInvalid("all of them", A)'
    )
    assert listed('print("DatasetBuild", "is a kind")') == []


def test_the_page_has_what_people_wait_and_look_for() -> None:
    page = vocabulary.page()
    for word in (
        "WaitingFor…",
        "OutsideNamespace",
        "LossSpike",
        "InvalidSpec",
        "StoreUnavailable",
        "NotVisual",
        "AllCallsRefused",
    ):
        assert f"| `{word}` |" in page, word
    assert "| `fabula_api_requests_total` | counter | `verb`, `resource`, `code` |" in page
    assert "| `fabula_training_loss` | gauge | `kind`, `namespace`, `name` |" in page
    assert "| `fabula_stage_figure` | gauge | `stage`, `arm`, `name` |" in page
    assert {code for code, _ in vocabulary.exit_codes(ExitCode, "crds/fabula_api/worker/ends.py")} == {
        str(code.value) for code in ExitCode
    }


def test_every_reason_has_words_and_no_words_are_of_a_reason_that_is_no_more() -> None:
    listed = [*vocabulary.reasons("operator/fabula_operator/plan"), *vocabulary.reasons("workloads/fabula_workloads")]
    assert [reason for reason, about in listed if not about] == []
    said = {reason.strip("`") for reason, about in listed if about == MEANINGS.get(reason.strip("`"))}
    assert set(MEANINGS) - said == set()


def test_events_are_listed_with_their_type_and_words() -> None:
    found = dict(vocabulary.events())
    assert found["`StageFinished` (Normal)"] == "…: …"
    assert found["`Resumed` (Normal)"] == "goes on from what is finished"
