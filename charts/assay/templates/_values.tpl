{{/*
The values with the defaults of their mode: use it as `$v := fromYaml (include "assay.values" .)`. The defaults are not in
values.yaml, so that the schema sees what was set, and refuses what the mode would not read.
*/}}
{{- define "assay.values" -}}
{{- $defaults := .Files.Get (printf "defaults/%s.yaml" .Values.mode) | fromYaml -}}
{{- include "assay.overlay" (list $defaults .Values) -}}
{{- end }}

{{/* [base, over] as YAML: over wins, also with false, 0 and "" (which mergeOverwrite would skip); maps are merged. */}}
{{- define "assay.overlay" -}}
{{- $base := index . 0 -}}
{{- $result := deepCopy $base -}}
{{- range $key, $value := index . 1 -}}
{{- $below := get $base $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $below) -}}
{{- $_ := set $result $key (fromYaml (include "assay.overlay" (list $below $value))) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $result $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $result -}}
{{- end }}

{{/* The services of a distributed installation that run, with what tells them apart. */}}
{{- define "assay.components" -}}
{{- $v := . -}}
registry: {image: registry, section: registry, port: 8101, replicas: {{ $v.registry.replicas }}, strategy: RollingUpdate, database: true, kafka: true, blobs: true, clients: true, calls: []}
inference: {image: inference, section: inference, port: 8102, grpcPort: {{ ternary 9001 0 $v.inference.grpc.enabled }}, replicas: {{ $v.inference.replicas }}, strategy: RollingUpdate, cache: true, kafka: true, clients: true, calls: [registry]}
{{- if $v.inferenceGpu.enabled }}
inferenceGpu: {image: inference-gpu, section: inference, port: 8102, grpcPort: {{ ternary 9001 0 $v.inferenceGpu.grpc.enabled }}, replicas: {{ $v.inferenceGpu.replicas }}, strategy: RollingUpdate, cache: true, kafka: true, gpu: true, clients: true, calls: [registry]}
{{- end }}
{{- if $v.streaming.enabled }}
streaming: {image: inference, section: inference, port: 8102, replicas: {{ $v.streaming.replicas }}, strategy: RollingUpdate, cache: true, kafka: true, pipelines: true, clients: false, calls: [registry]}
{{- end }}
training: {image: training, section: training, port: 8103, replicas: 1, strategy: Recreate, database: true, kafka: true, jobs: true, clients: true, calls: [registry]}
{{- if $v.batch.enabled }}
batch: {image: batch, section: batch, port: 8104, replicas: 1, strategy: Recreate, database: true, kafka: true, jobs: true, clients: true, calls: [registry]}
{{- end }}
{{- if $v.monitoring.enabled }}
monitoring: {image: monitoring, section: monitoring, port: 8105, replicas: 1, strategy: Recreate, database: true, kafka: true, blobs: true, clients: true, calls: [registry]}
{{- end }}
{{- end }}

{{/* What a schema cannot say in words that a person understands. */}}
{{- define "assay.check" -}}
{{- if eq .Values.image.tag "latest" -}}
{{- fail "\nimage.tag: latest names whatever was pushed last, so pods of one release may differ; name a version" -}}
{{- end -}}
{{- if eq .Values.mode "distributed" -}}
{{- $v := fromYaml (include "assay.values" .) -}}
{{- if and $v.kafka.sasl.mechanism (not $v.kafka.sasl.existingSecret) -}}
{{- fail (printf "\nkafka.sasl.existingSecret: %s needs a Secret with username and password" $v.kafka.sasl.mechanism) -}}
{{- end -}}
{{- if and $v.kafka.tls.caSecret (not $v.kafka.tls.enabled) -}}
{{- fail "\nkafka.tls.caSecret is set and kafka.tls.enabled is false: the brokers would be spoken to in clear" -}}
{{- end -}}
{{- if and $v.inferenceGpu.enabled (eq $v.gpu.preset "none") (not $v.gpu.nodeSelector) -}}
{{- fail "\ngpu.preset: inferenceGpu is enabled and there is no GPU pool; choose generic, aks, eks, eks-karpenter or gke, or set gpu.nodeSelector" -}}
{{- end -}}
{{- end -}}
{{- end }}
