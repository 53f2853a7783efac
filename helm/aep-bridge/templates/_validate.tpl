{{/* Rules that the schema can't express. Each ends the rendering with a message that says what to do. */}}
{{- define "bridge.validate" -}}
{{- if not .Values.config -}}
{{- fail "\nconfig is empty: give the bridge's configuration (kafka, aep, topics), for example\n\n  config:\n    kafka:\n      bootstrap_servers: kafka:9092\n    aep:\n      inlet_url: https://dcs.adobedc.net/collection/<inletId>\n      ims_org_id: <id>@AdobeOrg\n    topics:\n      - topic: web-events\n" -}}
{{- end -}}
{{- include "bridge.validateEnvironment" . -}}
{{- include "bridge.validateSecrets" . -}}
{{- include "bridge.validateMapping" . -}}
{{- include "bridge.validateInlets" . -}}
{{- include "bridge.validateKafka" . -}}
{{- include "bridge.validateSizes" . -}}
{{- include "bridge.validateScaling" . -}}
{{- include "bridge.validatePod" . -}}
{{- end -}}

{{/*
Refuses variables that override keys which this chart reads too: the bridge would follow the variable, but ports,
memory, scaling and the grace period would follow the key.
*/}}
{{- define "bridge.validateEnvironment" -}}
{{- $keys := list
  "(KAFKA|AEP|TOPICS|BATCH|DELIVERY|ADMIN)"
  "KAFKA__(BOOTSTRAP_SERVERS|GROUP_ID|PROPERTIES)"
  "KAFKA__PROPERTIES__(SECURITY_PROTOCOL|SASL_MECHANISMS?|SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL|GROUP_INSTANCE_ID(_FILE)?|MAX_POLL_INTERVAL_MS)"
  "KAFKA__PROPERTIES__(QUEUED_MAX_MESSAGES_KBYTES|FETCH_MAX_BYTES|MESSAGE_MAX_BYTES|QUEUE_BUFFERING_MAX_KBYTES)"
  "TOPICS__[0-9]+(__(TOPIC|FORMAT|DEAD_LETTER_TOPIC|AEP))?"
  "(AEP|TOPICS__[0-9]+__AEP)__(INLET_URL|AUTH|AUTH__TOKEN_URL)"
  "BATCH__MAX_BYTES"
  "DELIVERY__(WINDOW_BYTES|MAX_IN_FLIGHT|DRAIN_TIMEOUT_S|REQUEST_TIMEOUT_S|REVOKE_TIMEOUT_S)"
  "ADMIN__(HOST|PORT)" -}}
{{- $pattern := printf "^AEP_BRIDGE_(%s)$" (join "|" $keys) -}}
{{- range .Values.extraEnv -}}
{{- if regexMatch $pattern .name -}}
{{- fail (printf "\nextraEnv: %s would override a key that the chart reads too (for ports, memory, scaling or the grace period); set it in config instead\n" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* No secret stands in the values, and each secret that is needed comes from somewhere. */}}
{{- define "bridge.validateSecrets" -}}
{{- $v := .Values -}}
{{- $table := .Files.Get "files/kafka-properties.yaml" | fromYaml -}}
{{- range $name, $_ := include "bridge.properties" . | fromJson -}}
{{- if has $name $table.secret -}}
{{- fail (printf "\nconfig.kafka.properties.%s: a secret in the values ends in a ConfigMap and in the release's history; put it into a Secret and name that in kafka.existingSecret, or mount it with extraVolumes and give %s_file\n" $name $name) -}}
{{- end -}}
{{- end -}}
{{- if and $v.kafka.existingSecret (not $v.kafka.secretKeys) -}}
{{- fail "\nkafka.existingSecret without kafka.secretKeys: say which key holds what, for example --set kafka.secretKeys.username=username,kafka.secretKeys.password=password\n" -}}
{{- end -}}
{{- if and $v.kafka.secretKeys (not $v.kafka.existingSecret) -}}
{{- fail "\nkafka.secretKeys without kafka.existingSecret: name the Secret\n" -}}
{{- end -}}
{{- $given := default dict $v.config.aep -}}
{{- $filled := include "bridge.config" . | fromYaml -}}
{{- $inlets := list (dict "at" "config.aep" "variable" "AEP_BRIDGE_AEP" "given" $given "aep" (default dict $filled.aep) "key" "") -}}
{{- range $number, $topic := $filled.topics -}}
{{- if $topic.aep -}}
{{- $inlets = append $inlets (dict "at" (printf "config.topics[%d].aep" $number) "variable" (printf "AEP_BRIDGE_TOPICS__%d__AEP" $number) "given" (index $v.config.topics $number).aep "aep" $topic.aep "key" $topic.topic) -}}
{{- end -}}
{{- end -}}
{{- $owned := list -}}
{{- range $inlet := $inlets -}}
{{- $auth := default dict $inlet.aep.auth -}}
{{- if $auth.client_secret -}}
{{- fail (printf "\n%s.auth.client_secret: a secret in the values ends in a ConfigMap and in the release's history; put it into a Secret and name that in aep.existingSecret\n" $inlet.at) -}}
{{- end -}}
{{- $variable := printf "^%s__AUTH__CLIENT_SECRET(_FILE)?$" $inlet.variable -}}
{{- $elsewhere := not (empty $v.extraEnvFrom) -}}
{{- range $v.extraEnv }}{{ if regexMatch $variable .name }}{{ $elsewhere = true }}{{ end }}{{ end -}}
{{- if and $auth (not $auth.client_secret_file) (not $elsewhere) -}}
{{- if $inlet.key -}}
{{- fail (printf "\n%s.auth has no secret: a topic with credentials of its own needs its own client secret; name the Secret in aep.existingSecret and its key for this topic in aep.secretKeys.topics, for example --set 'aep.secretKeys.topics.%s=%s-client-secret', or mount a file with extraVolumes and give client_secret_file\n" $inlet.at (replace "." "\\." $inlet.key) $inlet.key) -}}
{{- end -}}
{{- fail (printf "\n%s.auth has no secret: put the client secret into a Secret and name that in aep.existingSecret, or mount it with extraVolumes and give client_secret_file\n" $inlet.at) -}}
{{- end -}}
{{- if and $inlet.key $auth }}{{ $owned = append $owned $inlet.key }}{{ end -}}
{{- range $name, $_ := default dict $inlet.aep.headers -}}
{{- if and (not (hasSuffix "_file" $name)) (regexMatch "(?i)authorization|cookie|key|token|secret|password" $name) -}}
{{- fail (printf "\n%s.headers.%s: a secret in the values ends in a ConfigMap and in the release's history; mount it with extraVolumes and give %s_file\n" $inlet.at $name $name) -}}
{{- end -}}
{{- end -}}
{{- if contains "@" (toString (default "" $inlet.aep.proxy_url)) -}}
{{- fail (printf "\n%s.proxy_url: a password in the values ends in a ConfigMap and in the release's history; mount it with extraVolumes and give proxy_url_file\n" $inlet.at) -}}
{{- end -}}
{{- end -}}
{{- $topics := default dict $v.aep.secretKeys.topics -}}
{{- if and $v.aep.existingSecret (not $topics) (not $given.auth) -}}
{{- fail "\naep.existingSecret is set, and config.aep.auth is not: give token_url, client_id and scope, or leave the Secret out for an inlet without authentication\n" -}}
{{- end -}}
{{- if and $topics (not $v.aep.existingSecret) -}}
{{- fail "\naep.secretKeys.topics without aep.existingSecret: name the Secret\n" -}}
{{- end -}}
{{- range $name, $_ := $topics -}}
{{- if not (has $name $owned) -}}
{{- fail (printf "\naep.secretKeys.topics names %s, and no entry of config.topics of that name has an aep.auth of its own: the others use config.aep.auth and aep.secretKeys.clientSecret\n" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Times and sizes that depend on each other fit together. */}}
{{- define "bridge.validateSizes" -}}
{{- $request := include "bridge.setting" (list . "delivery" "request_timeout_s" 30) | float64 -}}
{{- $drain := include "bridge.drainTimeout" . | float64 -}}
{{- if gt $request $drain -}}
{{- fail (printf "\nconfig.delivery.request_timeout_s is %v s, more than drain_timeout_s (%v s): a drain could not wait for a request; lower it, or raise drain_timeout_s\n" $request $drain) -}}
{{- end -}}
{{- $window := include "bridge.setting" (list . "delivery" "window_bytes" 33554432) | int64 -}}
{{- $batch := include "bridge.setting" (list . "batch" "max_bytes" 1000000) | int64 -}}
{{- if lt $window (mul 2 $batch) -}}
{{- fail (printf "\nconfig.delivery.window_bytes is %d, and does not hold two batches of batch.max_bytes (%d); give at least %d\n" $window $batch (mul 2 $batch)) -}}
{{- end -}}
{{- $revoke := include "bridge.setting" (list . "delivery" "revoke_timeout_s" 10) | float64 -}}
{{- $poll := divf (include "bridge.number" (list . 300000 "max.poll.interval.ms") | float64) 1000 -}}
{{- if ge (mulf 2 $revoke) $poll -}}
{{- fail (printf "\nconfig.delivery.revoke_timeout_s is %v s, not less than half of max.poll.interval.ms (%v s), after which the group takes the partitions away; lower it\n" $revoke $poll) -}}
{{- end -}}
{{- with .Values.terminationGracePeriodSeconds -}}
{{- if lt (. | float64) (addf $drain 15) -}}
{{- fail (printf "\nterminationGracePeriodSeconds is %d, and config.delivery.drain_timeout_s is %v: a drain would be killed; give at least %v, or 0 for the default\n" (. | int) $drain (addf $drain 15)) -}}
{{- end -}}
{{- end -}}
{{- $limit := default "auto" (get (default dict (default dict .Values.resources).limits) "memory") -}}
{{- $ceiling := include "bridge.ceiling" . | int64 -}}
{{- if ne (toString $limit) "auto" -}}
{{- with include "bridge.bytes" $limit -}}
{{- if lt (. | int64) $ceiling -}}
{{- fail (printf "\nresources.limits.memory is %v, and the settings may use %d MiB: the bridge would refuse to start; give at least %s (or auto), or lower delivery.window_bytes or delivery.max_in_flight\n" (kindIs "string" $limit | ternary $limit (toJson $limit)) (div (add $ceiling 1048575) 1048576) (include "bridge.memoryLimit" $)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* No more replicas than partitions, and at most one scaler. */}}
{{- define "bridge.validateScaling" -}}
{{- $v := .Values -}}
{{- $topics := include "bridge.topics" . | fromJsonArray -}}
{{- $sum := include "bridge.partitions" . | int -}}
{{- $known := include "bridge.partitionsKnown" . -}}
{{- if and $v.keda.enabled $v.autoscaling.enabled -}}
{{- fail "\nkeda.enabled and autoscaling.enabled: two scalers would fight over one workload; turn one of them off\n" -}}
{{- end -}}
{{- if and $v.staticMembership.enabled (include "bridge.scaled" .) -}}
{{- fail "\nstaticMembership.enabled together with keda.enabled or autoscaling.enabled: the partitions of a static member that was scaled away stay unread until session.timeout.ms; turn one of them off\n" -}}
{{- end -}}
{{- range $name, $_ := default dict $v.partitions -}}
{{- if not (or (has $name $topics) (include "bridge.isDeadLetterTopic" (list $ $name))) -}}
{{- fail (printf "\npartitions names %s, which no entry of config.topics reads: pods would be started for partitions that nobody reads; correct the name, or leave it out\n" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := default dict $v.keda.lagThresholds -}}
{{- if not (has $name $topics) -}}
{{- fail (printf "\nkeda.lagThresholds names %s, which no entry of config.topics reads; correct the name, or leave it out\n" $name) -}}
{{- end -}}
{{- end -}}
{{- if $v.keda.enabled -}}
{{- range $topic := $v.config.topics -}}
{{- if hasPrefix "^" $topic.topic -}}
{{- $hit := false -}}
{{- range $topics }}{{ if regexMatch $topic.topic . }}{{ $hit = true }}{{ end }}{{ end -}}
{{- if not $hit -}}
{{- fail (printf "\nkeda.enabled, and no topic of partitions matches %s: KEDA scales by names, so name the topics behind a regex in partitions (aep-bridge partitions -o json prints them)\n" $topic.topic) -}}
{{- end -}}
{{- else if not (hasKey (default dict $v.partitions) $topic.topic) -}}
{{- fail (printf "\nkeda.enabled, and partitions has no count for %s: without it pods could be started that have no partition; aep-bridge partitions -o json prints the counts\n" $topic.topic) -}}
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
{{- end -}}

{{/* What Kubernetes would refuse later, or accept without doing what the user means. */}}
{{- define "bridge.validatePod" -}}
{{- $v := .Values -}}
{{- if and (not $v.staticMembership.enabled) (regexMatch "^0+%?$" (toString $v.deployment.maxSurge)) (regexMatch "^0+%?$" (toString $v.deployment.maxUnavailable)) -}}
{{- fail "\ndeployment.maxSurge and deployment.maxUnavailable are both 0: no pod could ever be replaced; set maxUnavailable to 1\n" -}}
{{- end -}}
{{- with $v.podDisruptionBudget -}}
{{- if and .enabled (kindIs "invalid" .maxUnavailable) (empty (toString (default "" .minAvailable))) -}}
{{- fail "\npodDisruptionBudget.maxUnavailable is empty and minAvailable too: give one of them, or set podDisruptionBudget.enabled to false\n" -}}
{{- end -}}
{{- end -}}
{{- if eq (include "bridge.adminPort" . | int) 0 -}}
{{- fail "\nconfig.admin.port is 0, any free one: probes, Service and NetworkPolicy need to know it; give a port\n" -}}
{{- end -}}
{{- $host := include "bridge.setting" (list . "admin" "host" "0.0.0.0") -}}
{{- if regexMatch "^(127\\.|localhost$|::1$|\\[::1\\]$)" $host -}}
{{- fail (printf "\nconfig.admin.host is %s: probes and scrapes come from outside of the pod, which would never get ready; leave it out\n" $host) -}}
{{- end -}}
{{- if and $v.monitoring.serviceMonitor.enabled $v.monitoring.podMonitor.enabled -}}
{{- fail "\nmonitoring.serviceMonitor.enabled and monitoring.podMonitor.enabled: every pod would be scraped twice, and every rate doubled; turn one of them off\n" -}}
{{- end -}}
{{- range $at, $labels := dict "commonLabels" $v.commonLabels "podLabels" $v.podLabels -}}
{{- range list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- if hasKey (default dict $labels) . -}}
{{- fail (printf "\n%s: %s is how the chart finds its own pods; leave it out, or set nameOverride\n" $at .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
