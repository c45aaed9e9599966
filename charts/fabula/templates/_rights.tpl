{{- /* Generated from the sources by `make generate`. Do not edit. */ -}}
{{- define "fabula.rights.runs" -}}
- apiGroups: [fabula.dev]
  resources: [datasetbuilds, evalruns, finetuneruns]
  verbs: [get, list, watch, delete]
- apiGroups: [fabula.dev]
  resources: [datasetbuilds/status, evalruns/status, finetuneruns/status]
  verbs: [patch]
- apiGroups: [fabula.dev]
  resources: [datasetbuilds/finalizers, evalruns/finalizers, finetuneruns/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [kubeflow.org]
  resources: [pytorchjobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: ['']
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: ['']
  resources: [configmaps]
  verbs: [get, create, patch]
- apiGroups: ['']
  resources: [services]
  verbs: [create]
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [get, list]
- apiGroups: ['']
  resources: [events]
  verbs: [create]
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end -}}

{{- define "fabula.rights.reviews" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end -}}

{{- define "fabula.rights.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
{{- end -}}
