{{/* Names and labels that the chart's objects share. */}}

{{- define "fabula.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "fabula.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "fabula.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes: a Deployment's selector is fixed. */}}
{{- define "fabula.selector" -}}
app.kubernetes.io/name: fabula-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fabula.labels" -}}
{{ include "fabula.selector" . }}
app.kubernetes.io/part-of: fabula
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels of objects that do not belong to the operator's own pods. */}}
{{- define "fabula.partLabels" -}}
app.kubernetes.io/part-of: fabula
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "fabula.serviceAccountName" -}}
{{- default (include "fabula.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* image: dict "image" .Values.images.cpu "root" $ */}}
{{- define "fabula.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "fabula.statusService" -}}
{{- printf "%s-status" (include "fabula.fullname" .) -}}
{{- end -}}

{{- define "fabula.statusHost" -}}
{{- printf "%s.%s.svc" (include "fabula.statusService" .) .Release.Namespace -}}
{{- end -}}

{{- define "fabula.statusUrl" -}}
{{- default (printf "https://%s:%d" (include "fabula.statusHost" .) (int .Values.statusServer.port)) .Values.statusServer.url -}}
{{- end -}}

{{- define "fabula.tlsSecret" -}}
{{- if eq .Values.statusServer.tls.mode "secret" -}}
{{- required "statusServer.tls.secretName: name the Secret with tls.crt, tls.key and ca.crt, or set statusServer.tls.mode to job or certManager" .Values.statusServer.tls.secretName -}}
{{- else -}}
{{- printf "%s-status-tls" (include "fabula.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "fabula.storeRoot" -}}
{{- required "store.root: say where artifacts lie, for example --set store.root=s3://my-bucket/fabula, or file:///artifacts with store.claim.name" .Values.store.root -}}
{{- end -}}

{{- define "fabula.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "fabula.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "fabula.pullSecrets" -}}
{{- with .Values.images.pullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where `helm test` builds. */}}
{{- define "fabula.trialNamespace" -}}
{{- $first := dict -}}
{{- with .Values.namespaces }}{{ $first = first . }}{{ end -}}
{{- coalesce .Values.trial.namespace .Values.watch.namespace (get $first "name") .Release.Namespace -}}
{{- end -}}

{{/* Annotations of what `helm test` makes, in the order of the weight that is given. */}}
{{- define "fabula.trialHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
