{{/* A section or a value that was left empty has its default again. Each template begins with this. */}}
{{- define "together-exporter.defaults" -}}
{{- $defaults := .Files.Get "files/defaults.yaml" | fromYaml -}}
{{- include "together-exporter.fill" (dict "values" .Values "defaults" $defaults) -}}
{{- end -}}

{{- define "together-exporter.fill" -}}
{{- range $name, $default := .defaults -}}
{{- if kindIs "map" $default -}}
{{- if not (kindIs "map" (get $.values $name)) }}{{ $_ := set $.values $name dict }}{{ end -}}
{{- include "together-exporter.fill" (dict "values" (get $.values $name) "defaults" $default) -}}
{{- else if kindIs "invalid" (index $.values $name) -}}
{{- $_ := set $.values $name $default -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "together-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: a StatefulSet's name and a hash of 10 are a label, and labels have 63. A Service's name does
     not begin with a digit. */}}
{{- define "together-exporter.fullname" -}}
{{- $name := include "together-exporter.name" . -}}
{{- $full := printf "%s-%s" .Release.Name $name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if regexMatch "^[0-9]" .Release.Name -}}
{{- $full = printf "%s-%s" $name .Release.Name -}}
{{- else if contains $name .Release.Name -}}
{{- $full = .Release.Name -}}
{{- end -}}
{{- $full | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "together-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "together-exporter.selector" -}}
app.kubernetes.io/name: {{ include "together-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* part-of is the job's name: the same under a nameOverride, or an alias in an umbrella chart. */}}
{{- define "together-exporter.chartLabels" -}}
{{ include "together-exporter.selector" . }}
app.kubernetes.io/part-of: together-exporter
app.kubernetes.io/version: {{ .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}

{{- define "together-exporter.labels" -}}
{{ include "together-exporter.chartLabels" . }}
{{- with include "together-exporter.ownLabels" (dict "root" . "value" "commonLabels" "labels" .Values.commonLabels) }}
{{ . }}
{{- end }}
{{- end -}}

{{/* Labels from a value, as YAML; one that is there already is refused. */}}
{{- define "together-exporter.ownLabels" -}}
{{- $there := include "together-exporter.chartLabels" .root | fromYaml -}}
{{- if ne .value "commonLabels" }}{{ $there = merge $there (.root.Values.commonLabels | default dict) }}{{ end -}}
{{- range $name, $_ := .labels -}}
{{- if hasKey $there $name }}{{ fail (printf "%s: the chart or commonLabels set %q already; leave it out" $.value $name) }}{{ end -}}
{{- end -}}
{{- with .labels }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* metadata of everything but the pod: `suffix` of the name, more `labels` from a `value`, `annotations`, another
     `namespace`. */}}
{{- define "together-exporter.metadata" -}}
name: {{ printf "%s%s" (include "together-exporter.fullname" .root) (default "" .suffix) | quote }}
namespace: {{ default (include "together-exporter.namespace" .root) .namespace | quote }}
labels:
  {{- include "together-exporter.labels" .root | nindent 2 }}
  {{- with include "together-exporter.ownLabels" (dict "root" .root "value" .value "labels" .labels) }}
  {{- . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "together-exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "together-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "together-exporter.image" -}}
{{- $image := .Values.image -}}
{{- $registry := dig "imageRegistry" "" (.Values.global | default dict) | default $image.registry -}}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne (default "" $registry) "") -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The chart's and global.imagePullSecrets, which may be names. */}}
{{- define "together-exporter.pullSecrets" -}}
{{- $secrets := .Values.imagePullSecrets | default list -}}
{{- range dig "imagePullSecrets" list (.Values.global | default dict) -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets | uniq }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "together-exporter.webSecret" -}}
{{- if and .Values.web.tlsSecret (not (or .Values.web.config .Values.web.existingSecret)) -}}
{{- fail "web.tlsSecret is mounted and nothing uses it; name its files in web.config.tls_server_config" -}}
{{- end -}}
{{- if .Values.web.config -}}
{{- printf "%s-web" (include "together-exporter.fullname" .) -}}
{{- else -}}
{{- .Values.web.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* With an existing Secret, a certificate beside it says that it is for TLS. */}}
{{- define "together-exporter.scheme" -}}
{{- $web := .Values.web -}}
{{- ternary "https" "http" (or (hasKey ($web.config | default dict) "tls_server_config") (and (not $web.config) (ne $web.tlsSecret ""))) -}}
{{- end -}}

{{/* A path below web.route_prefix. */}}
{{- define "together-exporter.below" -}}
{{- $prefix := dig "web" "route_prefix" "" (.root.Values.config | default dict) | trimAll "/" -}}
{{- printf "%s%s" (ternary (printf "/%s" $prefix) "" (ne $prefix "")) .path -}}
{{- end -}}

{{- define "together-exporter.path" -}}
{{- include "together-exporter.below" (dict "root" . "path" (dig "web" "telemetry_path" "/metrics" (.Values.config | default dict))) -}}
{{- end -}}

{{/* The configuration file: what was given, with the mounted key of each project put in. */}}
{{- define "together-exporter.config" -}}
{{- $config := deepCopy (.Values.config | default dict) -}}
{{- $given := default (list (dict)) $config.projects -}}
{{- $projects := list -}}
{{- $names := list -}}
{{- $variable := not (empty .Values.extraEnvFrom) -}}
{{- range .Values.extraEnv }}{{ if eq .name "TOGETHER_API_KEY" }}{{ $variable = true }}{{ end }}{{ end -}}
{{- range $index, $project := $given -}}
{{- $name := default "default" $project.name -}}
{{- $names = append $names $name -}}
{{- $own := or (hasKey $project "api_key_file") (hasKey $project "api_key_env") -}}
{{- if hasKey ($.Values.apiKeys | default dict) $name -}}
{{- if $own -}}
{{- fail (printf "project %q has a key both in apiKeys and in config.projects[%d]; keep one" $name $index) -}}
{{- end -}}
{{- $project = merge (dict "api_key_file" (printf "/run/secrets/together-exporter/%s" $name)) $project -}}
{{- else if not (or $own $variable) -}}
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
