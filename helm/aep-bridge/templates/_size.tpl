{{- define "bridge.replayedTopic" -}}
{{- printf "%s.replayed" (regexReplaceAll "[^A-Za-z0-9._-]" (include "bridge.groupId" .) "_" | trunc 200) -}}
{{- end -}}

{{/* true for a topic that takes dead letters or the marks of replays, which the bridge never reads: (list . name) */}}
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

{{/* the topics that are read, as far as their names are known, as JSON: the mapped ones, and those of `partitions` that a regex takes */}}
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

{{/* the sum of the partitions of all topics that are read, 0 where nothing is known */}}
{{- define "bridge.partitions" -}}
{{- $sum := 0 -}}
{{- range include "bridge.topics" . | fromJsonArray }}{{ $sum = add $sum (get (default dict $.Values.partitions) . | default 0 | int) }}{{ end -}}
{{- $sum -}}
{{- end -}}

{{/* true where every mapped topic has a count, so that the sum can be trusted as a bound */}}
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

{{/* a whole property, the default where it is none, as in bridge/settings_kafka.py: (list . default name) */}}
{{- define "bridge.number" -}}
{{- $text := include "bridge.property" . -}}
{{- regexMatch "^[0-9]{1,18}$" $text | ternary $text (toString (index . 1)) -}}
{{- end -}}

{{/*
What the bridge prints as `memory.ceiling` at start, in bytes. A test compares this with bridge/memory.py for every value set.
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

{{/* the memory limit: the ceiling and a sixth more, in steps of 32 MiB; the bridge refuses to start in less than its ceiling */}}
{{- define "bridge.memoryLimit" -}}
{{- mul 32 (add1 (div (mul (include "bridge.ceiling" . | int64) 7) (mul 6 33554432))) -}}Mi
{{- end -}}

{{/* the bytes of a quantity such as 512Mi; empty where it is written in a way that we don't know */}}
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
