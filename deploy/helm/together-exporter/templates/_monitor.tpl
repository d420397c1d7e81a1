{{/* What a ServiceMonitor and a PodMonitor have in common. */}}
{{- define "together-exporter.monitor" -}}
jobLabel: {{ .monitor.jobLabel }}
{{- with .monitor.podTargetLabels }}
podTargetLabels: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.sampleLimit }}
sampleLimit: {{ int64 . }}
{{- end }}
{{- if .monitor.namespace }}
namespaceSelector:
  matchNames: [{{ include "together-exporter.namespace" .root | quote }}]
{{- end }}
{{- end -}}

{{- define "together-exporter.endpoint" -}}
{{- $interval := include "together-exporter.milliseconds" .monitor.interval | int64 -}}
{{- if gt (include "together-exporter.milliseconds" .monitor.scrapeTimeout | int64) $interval -}}
{{- fail (printf "%s.scrapeTimeout %s is longer than its interval %s, which Prometheus refuses" .value .monitor.scrapeTimeout .monitor.interval) -}}
{{- end -}}
interval: {{ .monitor.interval }}
scrapeTimeout: {{ .monitor.scrapeTimeout }}
port: metrics
path: {{ include "together-exporter.path" .root }}
scheme: {{ .monitor.scheme | default (include "together-exporter.scheme" .root) }}
{{- if .monitor.honorLabels }}
honorLabels: true
{{- end }}
{{- with .monitor.tlsConfig }}
tlsConfig: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.basicAuth }}
basicAuth: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.relabelings }}
relabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Of a duration as Prometheus writes it. */}}
{{- define "together-exporter.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 "y" 31536000000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[a-z]+" . -1 -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" . | int64) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}
