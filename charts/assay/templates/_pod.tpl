{{/* What the PodSecurity standard `restricted` asks of a pod and of a container, and a read-only root besides. */}}
{{- define "assay.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "assay.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/*
Probes of [port]. Liveness is shallow and patient: a process that is busy is not dead. A start may fetch and warm models
first. Readiness is quick to say no, so that a drain delay of a few seconds is enough.
*/}}
{{- define "assay.probes" -}}
{{- $port := index . 0 -}}
startupProbe:
  httpGet: {path: /livez, port: {{ $port }}}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: {{ $port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ $port }}}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: 1
{{- end }}

{{/*
Of [name of the section, its values, services that stop after each other]: a pod is killed only after it has drained; what
comes after the requests (jobs, event bus, database) gets 5 seconds.
*/}}
{{- define "assay.checkGrace" -}}
{{- $name := index . 0 -}}{{- $times := index . 1 -}}{{- $drains := index . 2 -}}
{{- $stop := add $times.drainDelaySeconds $times.closeTimeoutSeconds -}}
{{- $stopAll := mul $drains $stop -}}
{{- if lt (int $times.terminationGracePeriodSeconds) (int (add $stopAll 5)) -}}
{{- fail (printf "\n%s: terminationGracePeriodSeconds is %v, so the pod would be killed while it drains; set it to at least drainDelaySeconds + closeTimeoutSeconds%s + 5 = %v" $name $times.terminationGracePeriodSeconds (ternary "" (printf ", for %v services after each other," $drains) (eq (int $drains) 1)) (add $stopAll 5)) -}}
{{- end -}}
{{- end }}

{{/* Of [root, the component's values]: where pods go. */}}
{{- define "assay.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Of the gpu section: node selector and tolerations of the pool, by what each cloud labels and taints. */}}
{{- define "assay.gpuPlacement" -}}
{{- $any := dict "key" "nvidia.com/gpu" "operator" "Exists" "effect" "NoSchedule" -}}
{{- $selector := dict -}}{{- $tolerations := list $any -}}
{{- if eq .preset "none" -}}
{{- $tolerations = list -}}
{{- else if eq .preset "generic" -}}
{{- $selector = dict "nvidia.com/gpu.present" "true" -}}
{{- with .accelerator }}{{ $_ := set $selector "nvidia.com/gpu.product" . }}{{ end -}}
{{- else if eq .preset "aks" -}}
{{- $selector = dict "kubernetes.azure.com/accelerator" "nvidia" -}}
{{- $tolerations = append $tolerations (dict "key" "sku" "operator" "Equal" "value" "gpu" "effect" "NoSchedule") -}}
{{- else if eq .preset "eks" -}}
{{- $selector = dict "nvidia.com/gpu.product" (required "\ngpu.accelerator: the preset eks needs the value of the label nvidia.com/gpu.product, such as NVIDIA-L4" .accelerator) -}}
{{- else if eq .preset "eks-karpenter" -}}
{{- $selector = dict "karpenter.k8s.aws/instance-gpu-name" (required "\ngpu.accelerator: the preset eks-karpenter needs the value of the label karpenter.k8s.aws/instance-gpu-name, such as l4" .accelerator) -}}
{{- else if eq .preset "gke" -}}
{{- $selector = dict "cloud.google.com/gke-accelerator" (required "\ngpu.accelerator: the preset gke needs the value of the label cloud.google.com/gke-accelerator, such as nvidia-l4" .accelerator) -}}
{{- end -}}
nodeSelector: {{- merge (deepCopy .nodeSelector) $selector | toYaml | nindent 2 }}
tolerations: {{- concat $tolerations .tolerations | default list | toYaml | nindent 2 }}
{{- end }}
