{{/* The groups of files/rules.yml with the values filled in, as `together-exporter rules` does. */}}
{{- define "together-exporter.rules" -}}
{{- $values := .Values.prometheusRule -}}
{{- $file := .Files.Get "files/rules.yml" | fromYaml -}}
{{- $own := list -}}
{{- range $values.deploymentLabels }}{{ $own = append $own (printf "label_%s" .) }}{{ end -}}
{{- $fill := dict "keep" (join ", " $values.keepLabels) "own" (join ", " $own) -}}
{{- range $name, $labels := $file.lists }}{{ $_ := set $fill $name (concat $values.keepLabels $labels | uniq | join ", ") }}{{ end -}}
{{- range $name, $value := merge (dict) $file.intervals $values.thresholds -}}
{{- $_ := set $fill $name (kindIs "string" $value | ternary $value (printf "%.15g" (float64 $value))) -}}
{{- end -}}
{{- include "together-exporter.checkRules" (dict "values" $values "file" $file "own" $own) -}}
{{- $groups := list -}}
{{- range $group := $file.groups -}}
{{- $rules := list -}}
{{- range $rule := $group.rules -}}
{{- $wanted := true -}}
{{- if hasKey $rule "alert" -}}
{{- $override := index $values.overrides $rule.alert | default dict -}}
{{- $wanted = and (or $rule.enabled (has $rule.alert $values.enabledAlerts)) (not (has $rule.alert $values.disabled)) -}}
{{- $for := $override.for | default $rule.for -}}
{{- $words := $for -}}
{{- range $unit, $word := dict "s" "second" "m" "minute" "h" "hour" "d" "day" -}}
{{- $words = regexReplaceAll (printf "^1%s$" $unit) $words (printf "1 %s" $word) -}}
{{- $words = regexReplaceAll (printf "^([0-9]+)%s$" $unit) $words (printf "${1} %ss" $word) -}}
{{- end -}}
{{- if and $own (hasPrefix "<deployment>" $rule.by) -}}
{{- $joined := "(\n%s\n)\n* on (<deployment>) group_left (<own>) together:deployment_labels" -}}
{{- $_ := set $rule "expr" (printf $joined (indent 2 $rule.expr)) -}}
{{- end -}}
{{- $severity := dict "severity" ($override.severity | default $rule.labels.severity) -}}
{{- $added := dict "labels" ($override.labels | default dict) "annotations" ($override.annotations | default dict) -}}
{{- $_ := set $rule.annotations "description" ($rule.annotations.description | replace "<for>" $words) -}}
{{- $rule = include "together-exporter.filled" (dict "value" $rule "fill" $fill) | fromYaml -}}
{{- $_ := set $rule "for" $for -}}
{{- $_ := set $rule "labels" (merge (dict) $added.labels $severity $values.additionalLabels) -}}
{{- $_ := set $rule.annotations "runbook_url" (printf "%s%s.md" ($values.runbookUrl | default $file.runbook_url) $rule.alert) -}}
{{- $_ := set $rule "annotations" (merge (dict) $added.annotations $values.additionalAnnotations $rule.annotations) -}}
{{- $rule = omit $rule "by" "enabled" -}}
{{- else -}}
{{- $wanted = or (ne $rule.record "together:deployment_labels") (not (empty $own)) -}}
{{- $rule = include "together-exporter.filled" (dict "value" $rule "fill" $fill) | fromYaml -}}
{{- end -}}
{{- if $wanted }}{{ $rules = append $rules $rule }}{{ end -}}
{{- end -}}
{{- $interval := include "together-exporter.filled" (dict "value" $group.interval "fill" $fill) | trim -}}
{{- $groups = append $groups (set (set $group "interval" $interval) "rules" $rules) -}}
{{- end -}}
{{- toYaml $groups -}}
{{- end -}}

{{/* A value as YAML with the placeholders filled in. */}}
{{- define "together-exporter.filled" -}}
{{- $text := toYaml .value -}}
{{- range $name, $value := .fill }}{{ $text = replace (printf "<%s>" $name) $value $text }}{{ end -}}
{{- $text -}}
{{- end -}}

{{/* Fails as `together-exporter rules` does where values do not fit each other. */}}
{{- define "together-exporter.checkRules" -}}
{{- $values := .values -}}{{- $limits := .file.limits -}}{{- $own := .own -}}
{{- $name := "prometheusRule.thresholds." -}}
{{- range $limits.shorter -}}
{{- $value := index $values.thresholds .threshold -}}{{- $than := index $values.thresholds .than -}}
{{- if ge (include "together-exporter.milliseconds" $value | int64) (include "together-exporter.milliseconds" $than | int64) -}}
{{- fail (printf "%s%s must be shorter than %s, which is %s" $name .threshold .than $than) -}}
{{- end -}}
{{- end -}}
{{- range $limits.burn_factors -}}
{{- if ge (mulf (index $values.thresholds .) (subf 1 $values.thresholds.availability_target)) 1.0 -}}
{{- fail (printf "%s%s times 1 - availability_target must be below 1; lower it" $name .) -}}
{{- end -}}
{{- end -}}
{{- range $group := .file.groups }}{{ range $rule := $group.rules }}{{ range $limit := $limits.for -}}
{{- if and (hasKey $rule "alert") (contains (printf "[<%s>]" $limit.threshold) $rule.expr) (not (has $rule.alert $values.disabled)) -}}
{{- $for := (index $values.overrides $rule.alert | default dict).for | default $rule.for -}}
{{- $value := index $values.thresholds $limit.threshold -}}
{{- $milliseconds := include "together-exporter.milliseconds" $value | int64 -}}
{{- $hold := include "together-exporter.milliseconds" $for | int64 -}}
{{- if ternary (ge $milliseconds $hold) (le $milliseconds $hold) $limit.shorter -}}
{{- fail (printf "%s%s must be %s than the `for` of %s, which is %s" $name $limit.threshold (ternary "shorter" "longer" $limit.shorter) $rule.alert $for) -}}
{{- end -}}
{{- end -}}
{{- end }}{{ end }}{{ end -}}
{{- $taken := concat $values.keepLabels $own -}}
{{- range $label := keys $values.additionalLabels | sortAlpha -}}
{{- if has $label $taken }}{{ fail (printf "prometheusRule.additionalLabels.%s is a label of the alert itself; remove it, or do not keep it" $label) }}{{ end -}}
{{- end -}}
{{- range $alert, $override := $values.overrides }}{{ range $label := keys (($override | default dict).labels | default dict) | sortAlpha -}}
{{- if has $label $taken }}{{ fail (printf "prometheusRule.overrides.%s.labels.%s is a label of the alert itself; remove it, or do not keep it" $alert $label) }}{{ end -}}
{{- end }}{{ end -}}
{{- range $own }}{{ if has . $values.keepLabels }}{{ fail (printf "prometheusRule.keepLabels: %s is joined by deploymentLabels; remove one of the two" .) }}{{ end }}{{ end -}}
{{- end -}}
