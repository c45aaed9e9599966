{{/* What a schema cannot say: values that contradict each other. Each would install, and fail at the first run. */}}
{{- define "fabula.checks" -}}
{{- $values := .Values -}}
{{- $claim := $values.store.claim.name -}}
{{- if hasPrefix "file://" $values.store.root -}}
{{- if not $claim -}}
{{- fail "store.claim.name: a file:// root lies on a PersistentVolumeClaim, so name the one that each namespace with runs has; without it artifacts would be lost with each pod" -}}
{{- end -}}
{{- else if $claim -}}
{{- fail "store.claim.name: a claim goes with a file:// root, and store.root is s3://; leave one of them out" -}}
{{- end -}}
{{- if and $values.workers.modelCache.claim $values.workers.modelCache.hostPath -}}
{{- fail "workers.modelCache: give a claim or a hostPath, and not both" -}}
{{- end -}}
{{- if and $values.statusServer.tls.secretName (ne $values.statusServer.tls.mode "secret") -}}
{{- fail (printf "statusServer.tls.secretName: mode %s makes a Secret of its own; set statusServer.tls.mode to secret to use yours" $values.statusServer.tls.mode) -}}
{{- end -}}
{{- $groups := dict -}}
{{- range $index, $group := $values.isolation.quotaGroups -}}
{{- if hasKey $groups $group.name -}}
{{- fail (printf "isolation.quotaGroups[%d].name: %s is declared twice" $index $group.name) -}}
{{- end -}}
{{- $_ := set $groups $group.name true -}}
{{- end -}}
{{- $seen := dict -}}
{{- range $index, $tenant := $values.namespaces -}}
{{- if hasKey $seen $tenant.name -}}
{{- fail (printf "namespaces[%d].name: %s is named twice" $index $tenant.name) -}}
{{- end -}}
{{- $_ := set $seen $tenant.name true -}}
{{- if and $values.watch.namespace (ne $tenant.name $values.watch.namespace) -}}
{{- fail (printf "namespaces[%d].name: %s is not looked after, since watch.namespace is %s" $index $tenant.name $values.watch.namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
