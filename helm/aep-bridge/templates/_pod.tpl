{{/* The pod of the Deployment and of the StatefulSet. */}}
{{- define "bridge.podTemplate" -}}
metadata:
  labels:
    {{- toYaml (merge (include "bridge.selectorLabels" . | fromYaml) (default dict .Values.podLabels) (default dict .Values.commonLabels)) | nindent 4 }}
  annotations:
    {{- /* The bridge reads its configuration once, so that a change has to replace the pods. */}}
    {{- $own := dict "checksum/config" (include "bridge.config" . | sha256sum) }}
    {{- $default := dict "kubectl.kubernetes.io/default-container" "aep-bridge" }}
    {{- toYaml (merge $own (default dict .Values.podAnnotations) (default dict .Values.commonAnnotations) $default) | nindent 4 }}
spec:
  serviceAccountName: {{ include "bridge.serviceAccountName" . | quote }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
  # Kubernetes would set AEP_BRIDGE_SERVICE_HOST and others for our own Service, and the bridge refuses AEP_BRIDGE_
  # variables that it does not know.
  enableServiceLinks: false
  # The drain settles what the pod has read, and leaves the group. After a pod that is killed before its drain ends,
  # other pods send its unsettled records again.
  terminationGracePeriodSeconds: {{ include "bridge.gracePeriod" . }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: aep-bridge
      {{- include "bridge.container" . | nindent 6 }}
      args: [run, --config, /etc/aep-bridge/config.yaml]
      ports:
        - name: admin
          containerPort: {{ include "bridge.adminPort" . }}
      startupProbe:
        httpGet: {path: /livez, port: admin}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: {path: /livez, port: admin}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      resources:
        {{- include "bridge.resources" . | nindent 8 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "bridge.volumes" . | nindent 2 }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - labelSelector:
        matchLabels:
          {{- include "bridge.selectorLabels" $ | nindent 10 }}
      {{- if not $.Values.staticMembership.enabled }}
      matchLabelKeys: [pod-template-hash]
      {{- end }}
      {{- toYaml (omit . "labelSelector" "matchLabelKeys") | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* What the containers of the bridge and of `helm test` have in common. */}}
{{- define "bridge.container" -}}
image: {{ include "bridge.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - {name: config, mountPath: /etc/aep-bridge/config.yaml, subPath: config.yaml, readOnly: true}
  - {name: tmp, mountPath: /tmp}
  {{- if .Values.kafka.existingSecret }}
  - {name: kafka, mountPath: {{ include "bridge.secrets" . }}/kafka, readOnly: true}
  {{- end }}
  {{- if .Values.aep.existingSecret }}
  - {name: aep, mountPath: {{ include "bridge.secrets" . }}/aep, readOnly: true}
  {{- end }}
  {{- if .Values.staticMembership.enabled }}
  - {name: pod, mountPath: /etc/aep-bridge/pod, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "bridge.volumes" -}}
volumes:
  - name: config
    configMap: {name: {{ include "bridge.fullname" . | quote }}}
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 16Mi}
  {{- if .Values.kafka.existingSecret }}
  - name: kafka
    secret:
      secretName: {{ .Values.kafka.existingSecret | quote }}
      defaultMode: 0440
      items:
        {{- range $which, $key := .Values.kafka.secretKeys }}
        - {key: {{ $key | quote }}, path: {{ $which }}}
        {{- end }}
  {{- end }}
  {{- if .Values.aep.existingSecret }}
  - name: aep
    secret:
      secretName: {{ .Values.aep.existingSecret | quote }}
      defaultMode: 0440
      items:
        {{- if (default dict .Values.config.aep).auth }}
        - {key: {{ .Values.aep.secretKeys.clientSecret | quote }}, path: client-secret}
        {{- end }}
        {{- range default dict .Values.aep.secretKeys.topics | values | uniq | sortAlpha }}
        - {key: {{ . | quote }}, path: {{ printf "key-%s" . | quote }}}
        {{- end }}
  {{- end }}
  {{- if .Values.staticMembership.enabled }}
  - name: pod
    downwardAPI:
      items:
        - {path: name, fieldRef: {fieldPath: metadata.name}}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
