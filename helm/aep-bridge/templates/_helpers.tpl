{{- define "bridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "bridge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "bridge.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bridge.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bridge.instanceLabels" -}}
app.kubernetes.io/name: {{ include "bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* the bridge's own pods; the test's pod is another component */}}
{{- define "bridge.selectorLabels" -}}
{{ include "bridge.instanceLabels" . }}
app.kubernetes.io/component: bridge
{{- end -}}

{{- define "bridge.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "bridge.instanceLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: (list . suffix extra-labels extra-annotations) */}}
{{- define "bridge.metadata" -}}
{{- $top := index . 0 -}}
name: {{ include "bridge.fullname" $top }}{{ index . 1 }}
namespace: {{ $top.Release.Namespace }}
labels:
  {{- include "bridge.labels" $top | nindent 2 }}
  {{- with index . 2 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (deepCopy (index . 3)) $top.Values.commonAnnotations }}
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

{{- define "bridge.adminPort" -}}
{{- dig "admin" "port" 8080 .Values.config | int -}}
{{- end -}}

{{- define "bridge.groupId" -}}
{{- dig "kafka" "group_id" "aep-bridge" .Values.config -}}
{{- end -}}

{{- define "bridge.drainTimeout" -}}
{{- dig "delivery" "drain_timeout_s" 30 .Values.config -}}
{{- end -}}

{{- define "bridge.gracePeriod" -}}
{{- $needed := addf (include "bridge.drainTimeout" . | float64) 15 | ceil | int -}}
{{- if .Values.terminationGracePeriodSeconds -}}{{ .Values.terminationGracePeriodSeconds | int }}{{- else -}}{{ $needed }}{{- end -}}
{{- end -}}

{{/* the sum of the partitions of all topics, 0 where nothing is known */}}
{{- define "bridge.partitions" -}}
{{- $sum := 0 -}}
{{- range $_, $count := .Values.partitions }}{{ $sum = add $sum ($count | int) }}{{ end -}}
{{- $sum -}}
{{- end -}}

{{/* true where every mapped topic has a count, so that the sum can be trusted as a bound */}}
{{- define "bridge.partitionsKnown" -}}
{{- $known := gt (len .Values.partitions) 0 -}}
{{- range .Values.config.topics }}{{ if and (not (hasPrefix "^" .topic)) (not (hasKey $.Values.partitions .topic)) }}{{ $known = false }}{{ end }}{{ end -}}
{{- if $known }}true{{ end -}}
{{- end -}}

{{- define "bridge.scaled" -}}
{{- if or .Values.keda.enabled .Values.autoscaling.enabled }}true{{ end -}}
{{- end -}}

{{- define "bridge.maxReplicas" -}}
{{- $sum := include "bridge.partitions" . | int -}}
{{- if .Values.keda.maxReplicas }}{{ min (.Values.keda.maxReplicas | int) $sum }}{{ else }}{{ $sum }}{{ end -}}
{{- end -}}

{{- define "bridge.workloadKind" -}}
{{- if .Values.staticMembership.enabled }}StatefulSet{{ else }}Deployment{{ end -}}
{{- end -}}

{{- define "bridge.secrets" -}}/etc/aep-bridge/secrets{{- end -}}

{{/*
The configuration as the pod reads it: the user's own, with the paths of the mounted secrets filled in where the user gave none.
*/}}
{{- define "bridge.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $secrets := include "bridge.secrets" . -}}
{{- if .Values.aep.existingSecret -}}
{{- $auth := dig "aep" "auth" dict $config -}}
{{- if and $auth (not (hasKey $auth "client_secret_file")) -}}
{{- $_ := set $auth "client_secret_file" (printf "%s/aep/client-secret" $secrets) -}}
{{- end -}}
{{- end -}}
{{- $kafka := dig "kafka" dict $config -}}
{{- $properties := default dict $kafka.properties -}}
{{- if .Values.kafka.existingSecret -}}
{{- /* librdkafka reads the files of TLS itself; `…_file` is the bridge's own way to a value */ -}}
{{- range $which, $property := dict "username" "sasl.username_file" "password" "sasl.password_file" "ca" "ssl.ca.location" "cert" "ssl.certificate.location" "key" "ssl.key.location" -}}
{{- if and (index $.Values.kafka.secretKeys $which) (not (hasKey $properties $property)) (not (hasKey $properties (trimSuffix "_file" $property))) -}}
{{- $_ := set $properties $property (printf "%s/kafka/%s" $secrets $which) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.staticMembership.enabled -}}
{{- $_ := set $properties "group.instance.id_file" "/etc/aep-bridge/pod/name" -}}
{{- end -}}
{{- if $properties -}}
{{- $_ := set $kafka "properties" $properties -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/*
The memory limit: what the bridge prints as `memory.ceiling` at start, and a sixth more, in steps of 32 MiB. The bridge refuses to start in less than its
ceiling. A test compares this with bridge/memory.py for every value set.
*/}}
{{- define "bridge.memoryLimit" -}}
{{- $properties := default dict (dig "kafka" "properties" dict .Values.config) -}}
{{- $inlets := 1 -}}
{{- range .Values.config.topics }}{{ if .aep }}{{ $inlets = add1 $inlets }}{{ end }}{{ end -}}
{{- $brokers := splitList "," (toString (dig "kafka" "bootstrap_servers" "" .Values.config)) | len -}}
{{- $prefetch := mul 1024 (get $properties "queued.max.messages.kbytes" | default 12288 | int) -}}
{{- $fetch := mul $brokers (get $properties "fetch.max.bytes" | default (max (min 52428800 $prefetch) (get $properties "message.max.bytes" | default 1000000 | int)) | int) -}}
{{- $letters := mul 1024 (get $properties "queue.buffering.max.kbytes" | default 65536 | int) -}}
{{- $window := mul $inlets (dig "delivery" "window_bytes" 33554432 .Values.config | int) -}}
{{- $requests := mul $inlets (dig "delivery" "max_in_flight" 8 .Values.config | int) (add (mul 2 (dig "batch" "max_bytes" 1000000 .Values.config | int)) 4194304) -}}
{{- $ceiling := add 94371840 $prefetch $fetch $letters $window $requests -}}
{{- mul 32 (add1 (div (mul $ceiling 7) (mul 6 33554432))) -}}Mi
{{- end -}}

{{- define "bridge.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- $limits := default dict $resources.limits -}}
{{- if eq (toString (default "" $limits.memory)) "auto" -}}
{{- $_ := set $limits "memory" (include "bridge.memoryLimit" .) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* the port of a URL, or of a host:port */}}
{{- define "bridge.port" -}}
{{- $port := regexFind ":[0-9]+(/|\\?|$)" (regexReplaceAll "^[a-zA-Z_]+://" . "") | trimAll ":/?" -}}
{{- if $port }}{{ $port }}{{ else if hasPrefix "http:" . }}80{{ else }}443{{ end -}}
{{- end -}}

{{/* contradictions end the rendering, with what to do about them */}}
{{- define "bridge.validate" -}}
{{- $v := .Values -}}
{{- if not $v.config -}}
{{- fail "\nconfig is empty: give the bridge's configuration (kafka, aep, topics), for example\n\n  config:\n    kafka:\n      bootstrap_servers: kafka:9092\n    aep:\n      inlet_url: https://dcs.adobedc.net/collection/<inletId>\n      ims_org_id: <id>@AdobeOrg\n    topics:\n      - topic: web-events\n" -}}
{{- end -}}
{{- range $number, $topic := $v.config.topics -}}
{{- if not (or (dig "inlet_url" "" (default dict $v.config.aep)) (dig "inlet_url" "" (default dict $topic.aep))) -}}
{{- fail (printf "\nconfig.topics[%d] (%s) has no inlet: give config.aep.inlet_url, or an aep.inlet_url of its own\n" $number $topic.topic) -}}
{{- end -}}
{{- end -}}
{{- $sum := include "bridge.partitions" . | int -}}
{{- $known := include "bridge.partitionsKnown" . -}}
{{- if and $v.keda.enabled $v.autoscaling.enabled -}}
{{- fail "\nkeda.enabled and autoscaling.enabled: two scalers would fight over one workload; turn one of them off\n" -}}
{{- end -}}
{{- if and $v.staticMembership.enabled (include "bridge.scaled" .) -}}
{{- fail "\nstaticMembership.enabled together with keda.enabled or autoscaling.enabled: the partitions of a static member that was scaled away stay unread until session.timeout.ms; turn one of them off\n" -}}
{{- end -}}
{{- if $v.keda.enabled -}}
{{- range $v.config.topics -}}
{{- if hasPrefix "^" .topic -}}
{{- $regex := .topic -}}
{{- $hits := 0 -}}
{{- range $name, $_ := $v.partitions }}{{ if regexMatch $regex $name }}{{ $hits = add1 $hits }}{{ end }}{{ end -}}
{{- if not $hits -}}
{{- fail (printf "\nkeda.enabled, and no topic of partitions matches %s: KEDA scales by names, so name the topics behind a regex in partitions (aep-bridge partitions -o json prints them)\n" $regex) -}}
{{- end -}}
{{- else if not (hasKey $v.partitions .topic) -}}
{{- fail (printf "\nkeda.enabled, and partitions has no count for %s: without it pods could be started that have no partition; aep-bridge partitions -o json prints the counts\n" .topic) -}}
{{- end -}}
{{- end -}}
{{- if lt $sum ($v.keda.minReplicas | int) -}}
{{- fail (printf "\nkeda.minReplicas is %d, and the topics have %d partitions: a replica without a partition has nothing to do\n" ($v.keda.minReplicas | int) $sum) -}}
{{- end -}}
{{- if and $v.keda.maxReplicas (lt ($v.keda.maxReplicas | int) ($v.keda.minReplicas | int)) -}}
{{- fail (printf "\nkeda.maxReplicas (%d) is below keda.minReplicas (%d)\n" ($v.keda.maxReplicas | int) ($v.keda.minReplicas | int)) -}}
{{- end -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (lt ($v.autoscaling.maxReplicas | int) ($v.autoscaling.minReplicas | int)) -}}
{{- fail (printf "\nautoscaling.maxReplicas (%d) is below autoscaling.minReplicas (%d)\n" ($v.autoscaling.maxReplicas | int) ($v.autoscaling.minReplicas | int)) -}}
{{- end -}}
{{- if and $known $v.autoscaling.enabled (gt ($v.autoscaling.maxReplicas | int) $sum) -}}
{{- fail (printf "\nautoscaling.maxReplicas is %d, and the topics have %d partitions: more replicas would have nothing to do\n" ($v.autoscaling.maxReplicas | int) $sum) -}}
{{- end -}}
{{- if and $known (not (include "bridge.scaled" .)) (gt ($v.replicas | int) $sum) -}}
{{- fail (printf "\nreplicas is %d, and the topics have %d partitions: more replicas would have nothing to do\n" ($v.replicas | int) $sum) -}}
{{- end -}}
{{- $drain := include "bridge.drainTimeout" . | float64 -}}
{{- if and $v.terminationGracePeriodSeconds (lt ($v.terminationGracePeriodSeconds | float64) (addf $drain 15)) -}}
{{- fail (printf "\nterminationGracePeriodSeconds is %d, and config.delivery.drain_timeout_s is %v: a drain would be killed; give at least %v, or 0 for the default\n" ($v.terminationGracePeriodSeconds | int) $drain (addf $drain 15)) -}}
{{- end -}}
{{- if and $v.monitoring.serviceMonitor.enabled $v.monitoring.podMonitor.enabled -}}
{{- fail "\nmonitoring.serviceMonitor.enabled and monitoring.podMonitor.enabled: every pod would be scraped twice, and every rate doubled; turn one of them off\n" -}}
{{- end -}}
{{- range $key, $_ := default dict (dig "kafka" "properties" dict $v.config) -}}
{{- if and (not (hasSuffix "_file" $key)) (has $key (list "sasl.password" "sasl.oauthbearer.client.secret" "sasl.oauthbearer.config" "ssl.key.password" "ssl.key.pem" "ssl.keystore.password")) -}}
{{- fail (printf "\nconfig.kafka.properties.%s: a secret in the values ends in a ConfigMap and in the release's history; put it into a Secret and name that in kafka.existingSecret, or mount it with extraVolumes and give %s_file\n" $key $key) -}}
{{- end -}}
{{- end -}}
{{- $inlets := list (dict "at" "config.aep" "aep" (default dict $v.config.aep)) -}}
{{- range $number, $topic := $v.config.topics }}{{ with $topic.aep }}{{ $inlets = append $inlets (dict "at" (printf "config.topics[%d].aep" $number) "aep" .) }}{{ end }}{{ end -}}
{{- range $inlet := $inlets -}}
{{- if dig "auth" "client_secret" "" $inlet.aep -}}
{{- fail (printf "\n%s.auth.client_secret: a secret in the values ends in a ConfigMap and in the release's history; put it into a Secret and name that in aep.existingSecret\n" $inlet.at) -}}
{{- end -}}
{{- range $name, $_ := default dict $inlet.aep.headers -}}
{{- if and (not (hasSuffix "_file" $name)) (regexMatch "(?i)authorization|cookie|key|token|secret|password" $name) -}}
{{- fail (printf "\n%s.headers.%s: a secret in the values ends in a ConfigMap and in the release's history; mount it with extraVolumes and give %s_file\n" $inlet.at $name $name) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "://[^/]*:[^/]*@" (toString (default "" $inlet.aep.proxy_url)) -}}
{{- fail (printf "\n%s.proxy_url: a password in the values ends in a ConfigMap and in the release's history; mount it with extraVolumes and give proxy_url_file\n" $inlet.at) -}}
{{- end -}}
{{- end -}}
{{- if and $v.kafka.existingSecret (not $v.kafka.secretKeys) -}}
{{- fail "\nkafka.existingSecret without kafka.secretKeys: say which key holds what, for example --set kafka.secretKeys.username=username,kafka.secretKeys.password=password\n" -}}
{{- end -}}
{{- if and $v.kafka.secretKeys (not $v.kafka.existingSecret) -}}
{{- fail "\nkafka.secretKeys without kafka.existingSecret: name the Secret\n" -}}
{{- end -}}
{{- if and $v.aep.existingSecret (not (dig "aep" "auth" dict $v.config)) -}}
{{- fail "\naep.existingSecret is set, and config.aep.auth is not: give token_url, client_id and scope, or leave the Secret out for an inlet without authentication\n" -}}
{{- end -}}
{{- end -}}
