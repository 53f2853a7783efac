{{- define "bridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
Cut at 52 characters. A StatefulSet adds 11 to it in a label; and Kubernetes would cut the names of a Deployment's pods,
by which the alerts select them.
*/}}
{{- define "bridge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimAll "-." -}}
{{- else if contains (include "bridge.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimAll "-." -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bridge.name" .) | trunc 52 | trimAll "-." -}}
{{- end -}}
{{- end -}}

{{- define "bridge.instanceLabels" -}}
app.kubernetes.io/name: {{ include "bridge.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Selects the bridge's own pods. The pod of `helm test` is another component. */}}
{{- define "bridge.selectorLabels" -}}
{{ include "bridge.instanceLabels" . }}
app.kubernetes.io/component: bridge
{{- end -}}

{{/* The labels of an object: (list . own-labels). Own labels never replace those that select pods. */}}
{{- define "bridge.labels" -}}
{{- $top := index . 0 -}}
{{- $chart := dict "helm.sh/chart" (printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_") -}}
{{- $version := dict "app.kubernetes.io/version" $top.Chart.AppVersion "app.kubernetes.io/managed-by" $top.Release.Service -}}
{{- toYaml (merge (include "bridge.instanceLabels" $top | fromYaml) (default dict (index . 1)) (default dict $top.Values.commonLabels) $chart $version) -}}
{{- end -}}

{{/*
The metadata of an object: (list . suffix own-labels own-annotations [name [namespace]]). A name or namespace that is
not empty replaces the release's.
*/}}
{{- define "bridge.metadata" -}}
{{- $top := index . 0 -}}
{{- $name := printf "%s%s" (include "bridge.fullname" $top) (index . 1) -}}
{{- $namespace := $top.Release.Namespace -}}
{{- if gt (len .) 4 -}}{{- $name = default $name (index . 4) -}}{{- end -}}
{{- if gt (len .) 5 -}}{{- $namespace = default $namespace (index . 5) -}}{{- end -}}
name: {{ $name | quote }}
namespace: {{ $namespace | quote }}
labels:
  {{- include "bridge.labels" (list $top (index . 2)) | nindent 2 }}
{{- with merge (deepCopy (default dict (index . 3))) (default dict $top.Values.commonAnnotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "bridge.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bridge.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "bridge.image" -}}
{{- $i := .Values.image -}}
{{- with $i.registry }}{{ . }}/{{ end }}{{ $i.repository }}
{{- if $i.digest }}@{{ $i.digest }}{{ else }}:{{ default .Chart.AppVersion $i.tag }}{{ end -}}
{{- end -}}

{{- define "bridge.workloadKind" -}}
{{- if .Values.staticMembership.enabled }}StatefulSet{{ else }}Deployment{{ end -}}
{{- end -}}

{{- define "bridge.scaled" -}}
{{- if or .Values.keda.enabled .Values.autoscaling.enabled }}true{{ end -}}
{{- end -}}

{{- define "bridge.adminPort" -}}
{{- include "bridge.setting" (list . "admin" "port" 8080) -}}
{{- end -}}

{{- define "bridge.groupId" -}}
{{- include "bridge.setting" (list . "kafka" "group_id" "aep-bridge") -}}
{{- end -}}

{{- define "bridge.drainTimeout" -}}
{{- include "bridge.setting" (list . "delivery" "drain_timeout_s" 30) -}}
{{- end -}}

{{- define "bridge.gracePeriod" -}}
{{- $needed := addf (include "bridge.drainTimeout" . | float64) 15 | ceil | int -}}
{{- if .Values.terminationGracePeriodSeconds -}}{{ .Values.terminationGracePeriodSeconds | int }}{{- else -}}{{ $needed }}{{- end -}}
{{- end -}}
