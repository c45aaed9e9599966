{{/* The file that `fabula-operator --workers-file` reads. */}}
{{- define "fabula.workersFile" -}}
{{- $env := dict -}}
{{- with .Values.store.s3.endpointUrl }}{{- $_ := set $env "AWS_ENDPOINT_URL_S3" . }}{{- end -}}
{{- with .Values.store.s3.region }}{{- $_ := set $env "AWS_REGION" . }}{{- end -}}
{{- $env = merge (deepCopy .Values.workers.env) $env -}}
{{- with .Values.workers.serviceAccountName -}}
serviceAccountName: {{ . }}
{{ end -}}
{{- with .Values.workers.secretName -}}
secretName: {{ . }}
{{ end -}}
env: {{- toYaml $env | nindent 2 }}
imagePullSecrets: {{- toYaml .Values.images.pullSecrets | nindent 2 }}
scratchLimit: {{ .Values.workers.scratchLimit | quote }}
sharedMemoryLimit: {{ .Values.workers.sharedMemoryLimit | quote }}
{{ with .Values.workers.modelCache }}{{ if or .claim .hostPath -}}
modelCache:
  {{- with .claim }}
  claim: {{ . | quote }}
  {{- end }}
  {{- with .hostPath }}
  hostPath: {{ . | quote }}
  {{- end }}
{{ end }}{{ end -}}
cpu: {{- include "fabula.placement" .Values.workers.cpu | nindent 2 }}
gpu: {{- include "fabula.placement" .Values.workers.gpu | nindent 2 }}
{{- end -}}

{{- define "fabula.placement" -}}
nodeSelector: {{- toYaml .nodeSelector | nindent 2 }}
tolerations: {{- toYaml .tolerations | nindent 2 }}
{{- end -}}
