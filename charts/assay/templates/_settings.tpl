{{/*
The settings that the chart gives to the services, as environment variables: the one place that knows their names. Each is
one of docs/reference/config.md.
*/}}

{{/* Where a service listens and how it stops, of [section, port, drain and close times]. */}}
{{- define "assay.serverSettings" -}}
{{- $prefix := printf "ASSAY_%s" (upper (index . 0)) -}}{{- $times := index . 2 -}}
- {name: {{ $prefix }}_HOST, value: 0.0.0.0}
- {name: {{ $prefix }}_PORT, value: {{ index . 1 | quote }}}
- {name: {{ $prefix }}_DRAIN_DELAY_MS, value: {{ mul $times.drainDelaySeconds 1000 | quote }}}
- {name: {{ $prefix }}_CLOSE_TIMEOUT_MS, value: {{ mul $times.closeTimeoutSeconds 1000 | quote }}}
{{- end }}

{{/* Of the port. */}}
{{- define "assay.grpcSettings" -}}
- {name: ASSAY_INFERENCE_GRPC_PORT, value: {{ . | quote }}}
{{- end }}

{{- define "assay.commonSettings" -}}
- {name: ASSAY_CONFIG_FILE, value: /etc/assay/assay.yaml}
- {name: ASSAY_LOG_LEVEL, value: {{ .Values.logLevel }}}
{{- end }}

{{/* The registry knows the keys of all; every other service only its own. */}}
{{- define "assay.keySettings" -}}
{{- if eq . "registry" }}
- {name: ASSAY_REGISTRY_BOOTSTRAP_KEYS_DIR, value: /run/secrets/assay/keys}
{{- else }}
- {name: ASSAY_SERVICE_KEY_FILE, value: /run/secrets/assay/keys/{{ . }}}
{{- end }}
{{- end }}

{{/* Of the registry's values: keys that are neither in its database nor in its data folder. */}}
{{- define "assay.registryKeySettings" -}}
{{- if .audit.existingSecret }}
- {name: ASSAY_REGISTRY_AUDIT_KEY_FILE, value: /run/secrets/assay/audit/audit-key.pem}
{{- end }}
{{- if .webhooks.existingSecret }}
- {name: ASSAY_REGISTRY_WEBHOOK_KEY_FILE, value: /run/secrets/assay/webhooks/webhook-key}
{{- end }}
{{- end }}

{{/* Of [values, section]: PostgreSQL, one URL a service. */}}
{{- define "assay.databaseSettings" -}}
{{- $v := index . 0 -}}{{- $section := index . 1 -}}
- name: ASSAY_{{ upper $section }}_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ $v.database.existingSecret }}, key: {{ $section }}}}
{{- end }}

{{/* Of [values, section]: the one object store, a prefix a service. */}}
{{- define "assay.blobSettings" -}}
{{- $v := index . 0 -}}{{- $section := index . 1 -}}
{{- $parts := splitList "?" $v.blobs.url -}}
{{- $url := join "?" (prepend (rest $parts) (printf "%s/%s" (first $parts | trimSuffix "/") $section)) -}}
- {name: ASSAY_{{ upper $section }}_BLOBS_URL, value: {{ $url | quote }}}
{{- end }}

{{- define "assay.kafkaSettings" -}}
- {name: ASSAY_KAFKA_BROKERS, value: {{ join "," .kafka.brokers | quote }}}
{{- if .kafka.tls.enabled }}
- {name: ASSAY_KAFKA_TLS, value: "true"}
{{- if .kafka.tls.caSecret }}
- {name: ASSAY_KAFKA_TLS_CA_FILE, value: /run/secrets/assay/kafka-ca/ca.crt}
{{- end }}
{{- end }}
{{- with .kafka.sasl }}
{{- if .mechanism }}
- {name: ASSAY_KAFKA_SASL_MECHANISM, value: {{ .mechanism }}}
- name: ASSAY_KAFKA_SASL_USERNAME
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: username}}
- {name: ASSAY_KAFKA_SASL_PASSWORD_FILE, value: /run/secrets/assay/kafka-sasl/password}
{{- end }}
{{- end }}
{{- end }}

{{/* Of [root, values, section, component]: where jobs run. */}}
{{- define "assay.jobSettings" -}}
{{- $root := index . 0 -}}{{- $v := index . 1 -}}{{- $section := index . 2 -}}
{{- $prefix := printf "ASSAY_%s" (upper $section) -}}
- {name: {{ $prefix }}_LAUNCHER, value: kubernetes}
- {name: {{ $prefix }}_JOBS_FILE, value: /etc/assay/jobs.yaml}
- {name: {{ $prefix }}_PUBLIC_URL, value: "http://{{ include "assay.name" (list $root $section) }}.{{ $root.Release.Namespace }}.svc:{{ index . 3 }}"}
{{- end }}

{{/* Of [root, values, section]: jobs.yaml, how the pods of jobs look. */}}
{{- define "assay.jobsFile" -}}
{{- $root := index . 0 -}}{{- $v := index . 1 -}}
namespace: {{ include "assay.jobsNamespace" (list $root $v) }}
image: {{ include "assay.image" (list $root (index . 2)) }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
serviceAccount: {{ include "assay.name" (list $root "job") }}
ttlSecondsAfterFinished: {{ $v.jobs.ttlSecondsAfterFinished }}
{{- with $v.jobs.queueName }}
queueName: {{ . }}
{{- end }}
resources: {{- toYaml $v.jobs.resources | nindent 2 }}
nodeSelector: {{- toYaml $v.jobs.nodeSelector | nindent 2 }}
tolerations: {{- toYaml $v.jobs.tolerations | nindent 2 }}
gpu:
  {{- if eq (index . 2) "training" }}
  image: {{ include "assay.image" (list $root "training-gpu") }}
  {{- end }}
  {{- include "assay.gpuPlacement" $v.gpu | nindent 2 }}
{{- end }}
