{{- define "together-exporter.pod" -}}
{{- $web := include "together-exporter.webSecret" . -}}
{{- $shards := int .Values.sharding.total -}}
metadata:
  labels:
    {{- include "together-exporter.labels" . | nindent 4 }}
    {{- with include "together-exporter.ownLabels" (dict "root" . "value" "podLabels" "labels" .Values.podLabels) }}
    {{- . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: exporter
    checksum/config: {{ include "together-exporter.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "together-exporter.serviceAccount" . | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with include "together-exporter.pullSecrets" . }}
  imagePullSecrets: {{- . | nindent 4 }}
  {{- end }}
  securityContext: {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.initContainers }}
  initContainers: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: exporter
      image: {{ include "together-exporter.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- with .Values.extraArgs }}
      args: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- /* Variables and not options, so that `kubectl exec ... check` reads the same. */}}
      env:
        - name: TOGETHER_EXPORTER_CONFIG__FILE
          value: /etc/together-exporter/config/together-exporter.yml
        {{- if $web }}
        - name: TOGETHER_EXPORTER_WEB__CONFIG_FILE
          value: /etc/together-exporter/web/web.yml
        {{- end }}
        {{- if gt $shards 1 }}
        - name: TOGETHER_EXPORTER_SHARD__TOTAL
          value: {{ $shards | quote }}
        - name: TOGETHER_EXPORTER_SHARD__INDEX
          valueFrom:
            fieldRef:
              fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: metrics
          containerPort: 10170
          protocol: TCP
      livenessProbe:
        {{- include "together-exporter.probe" (dict "root" . "path" "/-/healthy" "probe" .Values.livenessProbe) | nindent 8 }}
      readinessProbe:
        {{- include "together-exporter.probe" (dict "root" . "path" "/-/ready" "probe" .Values.readinessProbe) | nindent 8 }}
      {{- with .Values.startupProbe }}
      startupProbe:
        {{- include "together-exporter.probe" (dict "root" $ "path" "/-/healthy" "probe" .) | nindent 8 }}
      {{- end }}
      securityContext: {{- toYaml .Values.securityContext | nindent 8 }}
      resources: {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/together-exporter/config
          readOnly: true
        {{- if .Values.apiKeys }}
        - name: api-keys
          mountPath: /run/secrets/together-exporter
          readOnly: true
        {{- end }}
        {{- if $web }}
        - name: web
          mountPath: /etc/together-exporter/web
          readOnly: true
        {{- end }}
        {{- with .Values.web.tlsSecret }}
        - name: tls
          mountPath: /etc/together-exporter/tls
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "together-exporter.fullname" . | quote }}
    {{- with .Values.apiKeys }}
    - name: api-keys
      projected:
        defaultMode: 0440
        sources:
          {{- range $name, $key := . }}
          - secret:
              name: {{ default (printf "%s-keys" (include "together-exporter.fullname" $)) $key.existingSecret | quote }}
              items:
                - key: {{ ternary (default "api-key" $key.key) $name (ne (default "" $key.existingSecret) "") | quote }}
                  path: {{ $name | quote }}
          {{- end }}
    {{- end }}
    {{- if $web }}
    - name: web
      secret:
        secretName: {{ $web | quote }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.web.tlsSecret }}
    - name: tls
      secret:
        secretName: {{ . | quote }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- range $field := list "dnsPolicy" "dnsConfig" "hostAliases" "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
  {{- with get $.Values $field }}
  {{- dict $field . | toYaml | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if or (gt (int .Values.replicas) 1) (gt $shards 1) }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "together-exporter.selector" . | nindent 10 }}
  {{- end }}
{{- end -}}

{{/* A probe: by HTTP, or from within where TLS or a password is in the way of the kubelet; or as the value has it. */}}
{{- define "together-exporter.probe" -}}
{{- $probe := .probe | default dict -}}
{{- if not (or $probe.httpGet $probe.exec $probe.tcpSocket $probe.grpc) -}}
{{- if include "together-exporter.webSecret" .root -}}
exec:
  command: [python, -I, -m, exporter.health, {{ .path }}]
{{ else -}}
httpGet:
  path: {{ include "together-exporter.below" . }}
  port: metrics
{{ end -}}
{{- end -}}
{{- with $probe }}{{ toYaml . }}{{ end -}}
{{- end -}}
