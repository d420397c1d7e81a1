{{- define "together-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "together-exporter.fullname" -}}
{{- $name := include "together-exporter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "together-exporter.selector" -}}
app.kubernetes.io/name: {{ include "together-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "together-exporter.labels" -}}
{{ include "together-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "together-exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "together-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "together-exporter.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "together-exporter.webSecret" -}}
{{- if .Values.web.config -}}
{{- printf "%s-web" (include "together-exporter.fullname" .) -}}
{{- else -}}
{{- .Values.web.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "together-exporter.scheme" -}}
{{- ternary "https" "http" (or (hasKey .Values.web.config "tls_server_config") (ne .Values.web.tlsSecret "")) -}}
{{- end -}}

{{/* The configuration file: what was given, with the mounted key of each project put in. */}}
{{- define "together-exporter.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $given := default (list (dict)) $config.projects -}}
{{- $projects := list -}}
{{- $names := list -}}
{{- range $index, $project := $given -}}
{{- $name := default "default" $project.name -}}
{{- $names = append $names $name -}}
{{- $own := or (hasKey $project "api_key_file") (hasKey $project "api_key_env") -}}
{{- if hasKey $.Values.apiKeys $name -}}
{{- if $own -}}
{{- fail (printf "project %q has a key both in apiKeys and in config.projects[%d]; keep one" $name $index) -}}
{{- end -}}
{{- $project = merge (dict "api_key_file" (printf "/run/secrets/together-exporter/%s" $name)) $project -}}
{{- else if not (or $own $.Values.extraEnv) -}}
{{- fail (printf "project %q has no key; set apiKeys.%s.existingSecret to the name of a Secret that holds it under %q" $name $name "api-key") -}}
{{- end -}}
{{- $projects = append $projects $project -}}
{{- end -}}
{{- range $name, $_ := .Values.apiKeys -}}
{{- if not (has $name $names) -}}
{{- fail (printf "apiKeys.%s: config.projects has no project of this name; it has %s" $name (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config "projects" $projects -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "together-exporter.endpoint" -}}
interval: {{ .monitor.interval }}
scrapeTimeout: {{ .monitor.scrapeTimeout }}
port: metrics
path: {{ include "together-exporter.path" .root }}
scheme: {{ include "together-exporter.scheme" .root }}
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

{{- define "together-exporter.path" -}}
{{- dig "web" "telemetry_path" "/metrics" .Values.config -}}
{{- end -}}

{{/* A probe: by HTTP, or from within where TLS or a password is in the way of the kubelet. */}}
{{- define "together-exporter.probe" -}}
{{- if include "together-exporter.webSecret" .root -}}
exec:
  command: [python, -I, -m, exporter.health, {{ .path }}]
{{ else -}}
httpGet:
  path: {{ .path }}
  port: metrics
{{ end -}}
timeoutSeconds: 5
{{- end -}}
