{{- define "together-exporter.pod" -}}
{{- $web := include "together-exporter.webSecret" . -}}
metadata:
  labels:
    {{- include "together-exporter.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: exporter
    checksum/config: {{ include "together-exporter.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "together-exporter.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 20
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext: {{- toYaml .Values.podSecurityContext | nindent 4 }}
  containers:
    - name: exporter
      image: {{ include "together-exporter.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - --config.file=/etc/together-exporter/config/together-exporter.yml
        {{- if $web }}
        - --web.config.file=/etc/together-exporter/web/web.yml
        {{- end }}
        {{- if gt (int .Values.sharding.total) 1 }}
        - --shard.total={{ .Values.sharding.total }}
        {{- end }}
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if or .Values.extraEnv (gt (int .Values.sharding.total) 1) }}
      env:
        {{- if gt (int .Values.sharding.total) 1 }}
        - name: TOGETHER_EXPORTER_SHARD__INDEX
          valueFrom:
            fieldRef:
              fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      ports:
        - name: metrics
          containerPort: 10170
      livenessProbe:
        {{- include "together-exporter.probe" (dict "root" . "path" "/-/healthy") | nindent 8 }}
        periodSeconds: 20
      readinessProbe:
        {{- include "together-exporter.probe" (dict "root" . "path" "/-/ready") | nindent 8 }}
        periodSeconds: 10
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
  volumes:
    - name: config
      configMap:
        name: {{ include "together-exporter.fullname" . }}
    {{- with .Values.apiKeys }}
    - name: api-keys
      projected:
        defaultMode: 0440
        sources:
          {{- range $name, $key := . }}
          - secret:
              name: {{ default (printf "%s-keys" (include "together-exporter.fullname" $)) $key.existingSecret }}
              items:
                - key: {{ ternary (default "api-key" $key.key) $name (ne (default "" $key.existingSecret) "") }}
                  path: {{ $name }}
          {{- end }}
    {{- end }}
    {{- if $web }}
    - name: web
      secret:
        secretName: {{ $web }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.web.tlsSecret }}
    - name: tls
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if or (gt (int .Values.replicas) 1) (gt (int .Values.sharding.total) 1) }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "together-exporter.selector" . | nindent 10 }}
  {{- end }}
{{- end -}}
