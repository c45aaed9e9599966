"""Writes what is generated of the chart, and the page of reasons, or, with --check, says which files would change."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fabula_api.admission import binding, parameters, policy
from fabula_api.crd import crds
from fabula_api.generate import write_or_check
from fabula_chart.monitoring import files as monitoring
from fabula_chart.values_file import schema, table, values_yaml
from fabula_chart.vocabulary import page
from fabula_operator.rights import CLUSTER_RULES, REVIEW_RULES, lease_rules

CHART = "charts/fabula"
_HEADER = "{{- /* Generated from the sources by `make generate`. Do not edit. */ -}}\n"
_KEPT = "metadata:\n  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n"
_LEASE = "THE-LEASE"
"""Stands for the name that the release gives to its lease."""
_READ_ME = Path(__file__).with_name("README.md.in")


def literal(text: str) -> str:
    """Text that a Helm template prints as it stands."""
    return text.replace("{{", '{{ "{{" }}')


def crd_template() -> str:
    """The CRDs as one template: Helm installs what lies in `crds/` once and never upgrades it."""
    parts = [_HEADER, "{{- if .Values.crds.enabled }}\n"]
    for crd in crds():
        text = literal(yaml.safe_dump(crd, sort_keys=False, width=120))
        parts.append("---\n" + text.replace("metadata:\n", _KEPT, 1))
    return "".join([*parts, "{{- end }}\n"])


def rights_template() -> str:
    """The operator's rules, as named templates that the Roles include; the Lease is named by the release."""
    apart = tuple(rule for rule in CLUSTER_RULES if rule not in REVIEW_RULES)
    named = {"runs": apart, "reviews": REVIEW_RULES, "lease": lease_rules(_LEASE)}
    text = "\n".join(_define(name, rules) for name, rules in named.items())
    return _HEADER + text.replace(_LEASE, '{{ include "fabula.fullname" . }}')


def admission_template() -> str:
    """The admission policy; its lists come from the values, its names from the release."""
    namespace, name = "the-namespace", "the-policy"
    parts = [_HEADER, "{{- if .Values.admissionPolicy.enabled }}\n"]
    for manifest in (policy(name), binding(namespace, name), parameters(namespace)):
        if manifest["kind"] == "ConfigMap":
            manifest["data"] = {"endpoints": "the-endpoints", "priorityClasses": "the-classes"}
        parts.append("---\n" + literal(yaml.safe_dump(manifest, sort_keys=False, width=120)))
    text = "".join([*parts, "{{- end }}\n"])
    named = {
        namespace: "{{ .Release.Namespace }}",
        name: '{{ include "fabula.fullname" . }}-runs',
        "the-endpoints": '{{ join "\\n" .Values.admissionPolicy.endpoints | quote }}',
        "the-classes": '{{ join "\\n" .Values.admissionPolicy.priorityClasses | quote }}',
    }
    for mark, value in named.items():
        text = text.replace(mark, value)
    return text


def _define(name: str, rules: Sequence[dict[str, Any]]) -> str:
    text = yaml.safe_dump([dict(rule) for rule in rules], sort_keys=False, default_flow_style=None, width=110)
    return f'{{{{- define "fabula.rights.{name}" -}}}}\n{literal(text)}{{{{- end -}}}}\n'


def outputs() -> dict[str, str]:
    """Path below the repository's root, and content, of each generated file."""
    return {
        f"{CHART}/values.yaml": values_yaml(),
        f"{CHART}/values.schema.json": schema(),
        f"{CHART}/README.md": _READ_ME.read_text().replace("@VALUES@\n", table()),
        f"{CHART}/templates/crds.yaml": crd_template(),
        f"{CHART}/templates/_rights.tpl": rights_template(),
        f"{CHART}/templates/admission-policy.yaml": admission_template(),
        "docs/reasons.md": page(),
        **monitoring.outputs(CHART),
    }


def main(arguments: list[str] | None = None) -> int:
    """Entry of `python -m fabula_chart.generate`."""
    return write_or_check(outputs(), "fabula_chart.generate", __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
