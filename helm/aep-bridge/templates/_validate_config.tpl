{{/* The rules of bridge/config that a schema can't express. tests/helm/test_parity.py compares them with the bridge's. */}}
{{- define "bridge.validateMapping" -}}
{{- $topics := .Values.config.topics -}}
{{- range $number, $topic := $topics -}}
{{- $name := $topic.topic -}}
{{- $at := printf "config.topics[%d].topic" $number -}}
{{- range $earlier, $other := slice $topics 0 $number -}}
{{- if eq $other.topic $name -}}
{{- fail (printf "\n%s: %s is mapped twice, first as topics[%d]; leave one of them out\n" $at $name $earlier) -}}
{{- end -}}
{{- end -}}
{{- if hasPrefix "^" $name -}}
{{- if regexMatch `\(\?|\\[dD]|[*+?}][?+]` $name -}}
{{- fail (printf "\n%s: Kafka's C client takes POSIX extended regexes; write [0-9] for \\d, and no lazy quantifiers and no (?…) groups\n" $at) -}}
{{- end -}}
{{- if regexMatch `\[[^\]]*(\[[:.=]|\\[^.])|\\([ac-rt-vx-zAC-RT-VX-Z0-9]|[<>'])` $name -}}
{{- fail (printf "\n%s: %s means something else to Kafka's C client; write [0-9] for [[:digit:]] and [\\d], and no backslash inside [ ]\n" $at $name) -}}
{{- end -}}
{{- /* A broken regex matches nothing. A sound one matches here, because of its empty alternative. */ -}}
{{- if not (regexMatch (printf "|%s" $name) "") -}}
{{- fail (printf "\n%s: %s is not a regular expression; correct it\n" $at $name) -}}
{{- end -}}
{{- else -}}
{{- if include "bridge.isDeadLetterTopic" (list $ $name) -}}
{{- fail (printf "\n%s: %s is a dead-letter topic of this bridge, which never reads those; leave it out, or rename the dead-letter topic\n" $at $name) -}}
{{- end -}}
{{- if and (not $topic.dead_letter_topic) (gt (len $name) 245) -}}
{{- fail (printf "\n%s: with .dlq behind it the name is longer than Kafka allows; set dead_letter_topic\n" $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bridge.validateInlets" -}}
{{- $inlets := include "bridge.inlets" . | fromJsonArray -}}
{{- with .Values.config.aep -}}
{{- if .inlet_url -}}
{{- $inlets = prepend $inlets (dict "at" "config.aep" "topic" dict "aep" .) -}}
{{- end -}}
{{- end -}}
{{- range $inlets -}}
{{- $at := .at -}}
{{- $aep := .aep -}}
{{- if not $aep.inlet_url -}}
{{- fail (printf "\n%s (%s) has no inlet: give config.aep.inlet_url, or an aep.inlet_url of its own\n" $at .topic.topic) -}}
{{- end -}}
{{- if and (eq (default "" .topic.format) "entity") (not $aep.ims_org_id) -}}
{{- fail (printf "\n%s has format entity, where the bridge writes the header: give config.aep.ims_org_id\n" $at) -}}
{{- end -}}
{{- if and (hasKey $aep "proxy_url") (hasKey $aep "proxy_url_file") -}}
{{- fail (printf "\n%s: proxy_url is given twice, here and as proxy_url_file; leave one of them out\n" $at) -}}
{{- end -}}
{{- if and $aep.proxy_url (not (regexMatch "^((?i)http://)?[^/?#:@]+(:[0-9]*[1-9][0-9]*)?([/?#].*)?$" $aep.proxy_url)) -}}
{{- fail (printf "\n%s: proxy_url must be http://host:port (other kinds of proxy are not supported), or empty for none\n" $at) -}}
{{- end -}}
{{- if and $aep.client_key_file (not $aep.client_cert_file) -}}
{{- fail (printf "\n%s: client_key_file is the key of no certificate; give client_cert_file too\n" $at) -}}
{{- end -}}
{{- $names := list -}}
{{- range $name, $value := default dict $aep.headers -}}
{{- $base := trimSuffix "_file" $name -}}
{{- if has (lower $base) (list "content-length" "transfer-encoding" "connection" "host") -}}
{{- fail (printf "\n%s.headers.%s: is the bridge's own to set; leave it out\n" $at $name) -}}
{{- end -}}
{{- if and $aep.auth (eq (lower $base) "authorization") -}}
{{- fail (printf "\n%s.headers.%s: auth sets this header; leave one of them out\n" $at $name) -}}
{{- end -}}
{{- if or (has (lower $name) $names) (and (ne $base $name) (hasKey $aep.headers $base)) -}}
{{- fail (printf "\n%s.headers.%s: given twice; leave one of them out\n" $at $name) -}}
{{- end -}}
{{- if not (regexMatch "^[ -~]+$" (toString $value)) -}}
{{- fail (printf "\n%s.headers.%s: must be printable ASCII, and not empty\n" $at $name) -}}
{{- end -}}
{{- $names = append $names (lower $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bridge.validateKafka" -}}
{{- $table := .Files.Get "files/kafka-properties.yaml" | fromYaml -}}
{{- $properties := include "bridge.properties" . | fromJson -}}
{{- range $name, $value := $properties -}}
{{- $base := trimSuffix "_file" $name -}}
{{- $at := printf "config.kafka.properties.%s" $name -}}
{{- with get $table.refused $base -}}
{{- fail (printf "\n%s: not to be set here: %s\n" $at .) -}}
{{- end -}}
{{- if not (has $base $table.known) -}}
{{- fail (printf "\n%s: no such property of librdkafka; correct the name\n" $at) -}}
{{- end -}}
{{- if and (ne $base $name) (hasKey $properties $base) -}}
{{- fail (printf "\n%s: given twice, here and as %s; leave one of them out\n" $at $base) -}}
{{- end -}}
{{- if and (has $base $table.classicOnly) (eq (get $properties "group.protocol" | default "" | toString | lower) "consumer") -}}
{{- fail (printf "\n%s: the client does not take it with group.protocol=consumer, where the broker decides; leave one of them out\n" $at) -}}
{{- end -}}
{{- if and (eq $base "auto.commit.interval.ms") (eq (toString $value) "0") -}}
{{- fail (printf "\n%s: 0 would commit at the end only; give milliseconds, such as 500\n" $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
