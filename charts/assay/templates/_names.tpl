{{- define "assay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* assay-inference-gpu, of [root, "inferenceGpu"] */}}
{{- define "assay.name" -}}
{{- printf "%s-%s" (include "assay.fullname" (index . 0)) (kebabcase (index . 1)) -}}
{{- end }}

{{- define "assay.jobsNamespace" -}}
{{- $root := index . 0 -}}{{- $v := index . 1 -}}
{{- $v.jobs.namespace | default (printf "%s-jobs" $root.Release.Namespace) -}}
{{- end }}

{{/* Of [root] or [root, "inference"]. */}}
{{- define "assay.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- if gt (len .) 1 }}
app.kubernetes.io/component: {{ kebabcase (index . 1) }}
{{- end }}
{{- end }}

{{- define "assay.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ $root.Values.image.tag | default $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: assay
{{ include "assay.selector" . }}
{{- end }}

{{/* Of [root, "registry"]: the image of a service. */}}
{{- define "assay.image" -}}
{{- $root := index . 0 -}}{{- $image := $root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}/{{ index . 1 }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{- define "assay.keysSecret" -}}
{{- .Values.keys.existingSecret | default (printf "%s-keys" (include "assay.fullname" .)) -}}
{{- end }}

{{- define "assay.registryUrl" -}}
http://{{ include "assay.name" (list . "registry") }}:8101
{{- end }}
