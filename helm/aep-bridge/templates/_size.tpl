{{- define "bridge.replayedTopic" -}}
{{- printf "%s.replayed" (regexReplaceAll "[^A-Za-z0-9._-]" (include "bridge.groupId" .) "_" | trunc 200) -}}
{{- end -}}

{{/* "true" for a topic of dead letters or of the marks of replays, which the bridge never reads: (list . name). */}}
{{- define "bridge.isDeadLetterTopic" -}}
{{- $top := index . 0 -}}
{{- $name := index . 1 -}}
{{- $found := eq $name (include "bridge.replayedTopic" $top) -}}
{{- range $top.Values.config.topics }}{{ if eq (default "" .dead_letter_topic) $name }}{{ $found = true }}{{ end }}{{ end -}}
{{- if and (not $found) (hasSuffix ".parked" $name) -}}
{{- $found = eq "true" (include "bridge.isDeadLetterTopic" (list $top (trimSuffix ".parked" $name))) -}}
{{- else if and (not $found) (hasSuffix ".dlq" $name) -}}
{{- $source := trimSuffix ".dlq" $name -}}
{{- $first := true -}}
{{- range $top.Values.config.topics -}}
{{- if and $first (or (eq .topic $source) (and (hasPrefix "^" .topic) (regexMatch .topic $source))) -}}
{{- $first = false -}}
{{- $found = not .dead_letter_topic -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $found }}true{{ end -}}
{{- end -}}

{{/*
The topics that are read, as JSON, as far as their names are known: those that `config.topics` names, and those of
`partitions` that one of its regexes matches.
*/}}
{{- define "bridge.topics" -}}
{{- $topics := list -}}
{{- range $topic := .Values.config.topics -}}
{{- if hasPrefix "^" $topic.topic -}}
{{- range $name, $_ := default dict $.Values.partitions -}}
{{- if and (regexMatch $topic.topic $name) (not (include "bridge.isDeadLetterTopic" (list $ $name))) -}}{{- $topics = append $topics $name -}}{{- end -}}
{{- end -}}
{{- else -}}
{{- $topics = append $topics $topic.topic -}}
{{- end -}}
{{- end -}}
{{- toJson ($topics | uniq) -}}
{{- end -}}

{{/* The sum of the partitions of all topics that are read; a topic without a count adds 0. */}}
{{- define "bridge.partitions" -}}
{{- $sum := 0 -}}
{{- range include "bridge.topics" . | fromJsonArray }}{{ $sum = add $sum (get (default dict $.Values.partitions) . | default 0 | int) }}{{ end -}}
{{- $sum -}}
{{- end -}}

{{/* "true" when every topic that is read has a count, so that the sum is a bound. */}}
{{- define "bridge.partitionsKnown" -}}
{{- $partitions := default dict .Values.partitions -}}
{{- $known := true -}}
{{- range $topic := .Values.config.topics -}}
{{- $hit := hasKey $partitions $topic.topic -}}
{{- if hasPrefix "^" $topic.topic -}}
{{- range include "bridge.topics" $ | fromJsonArray }}{{ if regexMatch $topic.topic . }}{{ $hit = true }}{{ end }}{{ end -}}
{{- end -}}
{{- if not $hit }}{{ $known = false }}{{ end -}}
{{- end -}}
{{- if $known }}true{{ end -}}
{{- end -}}

{{- define "bridge.maxReplicas" -}}
{{- $sum := include "bridge.partitions" . | int -}}
{{- if .Values.keda.maxReplicas }}{{ min (.Values.keda.maxReplicas | int) $sum }}{{ else }}{{ $sum }}{{ end -}}
{{- end -}}

{{/* A property that is a whole number, else the default, as in bridge/config/settings_kafka.py: (list . default name). */}}
{{- define "bridge.number" -}}
{{- $text := include "bridge.property" . -}}
{{- regexMatch "^[0-9]{1,18}$" $text | ternary $text (toString (index . 1)) -}}
{{- end -}}

{{/*
The memory ceiling in bytes, as the bridge logs it at start (`memory.ceiling`). A test compares this with
bridge/config/memory_ceiling.py for every file in ci/.
*/}}
{{- define "bridge.ceiling" -}}
{{- $inlets := list -}}
{{- range include "bridge.inlets" . | fromJsonArray }}{{ $inlets = append $inlets .aep }}{{ end -}}
{{- $inlets = $inlets | uniq | len -}}
{{- $brokers := splitList "," (include "bridge.setting" (list . "kafka" "bootstrap_servers" "")) | len -}}
{{- $prefetch := mul 1024 (include "bridge.number" (list . 10240 "queued.max.messages.kbytes") | int64) -}}
{{- $message := include "bridge.number" (list . 1000000 "message.max.bytes") | int64 -}}
{{- $fetch := mul $brokers (include "bridge.number" (list . (max (min 52428800 $prefetch) $message) "fetch.max.bytes") | int64) -}}
{{- $letters := mul 1024 (include "bridge.number" (list . 65536 "queue.buffering.max.kbytes") | int64) -}}
{{- $window := mul $inlets (include "bridge.setting" (list . "delivery" "window_bytes" 33554432) | int64) -}}
{{- $request := add (mul 2 (include "bridge.setting" (list . "batch" "max_bytes" 1000000) | int64)) 4194304 -}}
{{- $requests := mul $inlets (include "bridge.setting" (list . "delivery" "max_in_flight" 8) | int64) $request -}}
{{- add 94371840 $prefetch $fetch $letters $window $requests -}}
{{- end -}}

{{/* The memory limit: the ceiling and a sixth more, in steps of 32 MiB. The bridge refuses to start with less than its ceiling. */}}
{{- define "bridge.memoryLimit" -}}
{{- mul 32 (add1 (div (mul (include "bridge.ceiling" . | int64) 7) (mul 6 33554432))) -}}Mi
{{- end -}}

{{/* The bytes of a quantity such as 512Mi; empty for a notation that the chart does not know. */}}
{{- define "bridge.bytes" -}}
{{- $text := kindIs "string" . | ternary (toString .) (toJson .) -}}
{{- $number := regexFind "^[0-9.]+([eE][0-9]+)?" $text -}}
{{- $units := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $unit := trimPrefix $number $text -}}
{{- if and $number (hasKey $units $unit) }}{{ mulf (float64 $number) (get $units $unit) | int64 }}{{ end -}}
{{- end -}}

{{- define "bridge.resources" -}}
{{- $resources := deepCopy (default dict .Values.resources) -}}
{{- $limits := default dict $resources.limits -}}
{{- if eq (toString (default "" $limits.memory)) "auto" -}}
{{- $_ := set $limits "memory" (include "bridge.memoryLimit" .) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
