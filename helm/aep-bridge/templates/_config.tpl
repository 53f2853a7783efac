{{- define "bridge.secrets" -}}/etc/aep-bridge/secrets{{- end -}}

{{/*
A key of the configuration, as text: (list . section key default). An empty section or key means the default.
*/}}
{{- define "bridge.setting" -}}
{{- $section := default dict (get (default dict (index . 0).Values.config) (index . 1)) -}}
{{- $value := get $section (index . 2) -}}
{{- if not (and (hasKey $section (index . 2)) (not (kindIs "invalid" $value))) -}}{{- $value = index . 3 -}}{{- end -}}
{{- kindIs "string" $value | ternary $value (toJson $value) -}}
{{- end -}}

{{/* The properties of librdkafka that the user configured, as JSON. */}}
{{- define "bridge.properties" -}}
{{- toJson (default dict (get (default dict .Values.config.kafka) "properties")) -}}
{{- end -}}

{{/* One property, by any of its names, as text: (list . default name…). */}}
{{- define "bridge.property" -}}
{{- $properties := include "bridge.properties" (index . 0) | fromJson -}}
{{- $value := index . 1 -}}
{{- range slice . 2 }}{{ if hasKey $properties . }}{{ $value = get $properties . }}{{ end }}{{ end -}}
{{- kindIs "string" $value | ternary $value (toJson $value) -}}
{{- end -}}

{{/*
The configuration as the pod reads it: the user's own, with the paths of the mounted secrets where the user gave none.
*/}}
{{- define "bridge.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $secrets := include "bridge.secrets" . -}}
{{- if .Values.aep.existingSecret -}}
{{- $auth := default dict (get (default dict $config.aep) "auth") -}}
{{- if and $auth (not (hasKey $auth "client_secret_file")) -}}
{{- $_ := set $auth "client_secret_file" (printf "%s/aep/client-secret" $secrets) -}}
{{- end -}}
{{- range $topic := $config.topics -}}
{{- $auth := default dict (get (default dict $topic.aep) "auth") -}}
{{- $key := get (default dict $.Values.aep.secretKeys.topics) $topic.topic -}}
{{- if and $auth $key (not (hasKey $auth "client_secret_file")) -}}
{{- /* The path names the key, not the topic: equal inlets stay equal, and share their requests. */ -}}
{{- $_ := set $auth "client_secret_file" (printf "%s/aep/key-%s" $secrets $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $kafka := default dict $config.kafka -}}
{{- $properties := default dict $kafka.properties -}}
{{- if .Values.kafka.existingSecret -}}
{{- /* librdkafka reads the files of TLS itself. The bridge reads a property from a file when it ends in `_file`. */ -}}
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
Each topic's inlet, as JSON: the default inlet with the topic's own keys laid over it, as bridge/config/settings_aep.py
does it, with the paths of the secrets. Equal inlets have equal values, so that `uniq` of their `aep` counts the inlets
that the bridge counts.
*/}}
{{- define "bridge.inlets" -}}
{{- $config := include "bridge.config" . | fromYaml -}}
{{- $default := default dict $config.aep -}}
{{- $inlets := list -}}
{{- range $number, $topic := $config.topics -}}
{{- $own := default dict $topic.aep -}}
{{- $aep := deepCopy $default -}}
{{- if or (hasKey $own "proxy_url") (hasKey $own "proxy_url_file") -}}{{- $aep = omit $aep "proxy_url" "proxy_url_file" -}}{{- end -}}
{{- range $key, $value := $own -}}
{{- if eq $key "headers" -}}
{{- $headers := deepCopy (default dict $value) -}}
{{- $names := list -}}
{{- range $name, $_ := $headers }}{{ $names = append $names (trimSuffix "_file" $name | lower) }}{{ end -}}
{{- range $name, $given := default dict $default.headers -}}
{{- if not (has (trimSuffix "_file" $name | lower) $names) -}}{{- $_ := set $headers $name $given -}}{{- end -}}
{{- end -}}
{{- $_ := set $aep "headers" $headers -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $aep $key $value -}}
{{- else if ne $key "inlet_url" -}}
{{- $_ := unset $aep $key -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := $aep }}{{ if or (kindIs "invalid" $value) (and (eq $key "headers") (not $value)) }}{{ $aep = omit $aep $key }}{{ end }}{{ end -}}
{{- with $aep.inlet_url }}{{ $_ := set $aep "inlet_url" (regexReplaceAll "/collection/batch/" (trim .) "/collection/") }}{{ end -}}
{{- $inlets = append $inlets (dict "at" (printf "config.topics[%d]" $number) "topic" $topic "aep" $aep) -}}
{{- end -}}
{{- toJson $inlets -}}
{{- end -}}

{{/* The port of a URL. */}}
{{- define "bridge.port" -}}
{{- $port := regexFind ":[0-9]+([/?#]|$)" (regexReplaceAll "^[a-zA-Z_]+://" . "") | trimAll ":/?#" -}}
{{- if $port }}{{ $port }}{{ else if regexMatch "^(?i)http:" . }}80{{ else }}443{{ end -}}
{{- end -}}
