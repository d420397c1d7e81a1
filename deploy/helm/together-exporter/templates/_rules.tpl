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
{{- $_ := set $rule "for" $for -}}
{{- $_ := set $rule "labels" (merge (dict) ($override.labels | default dict) $severity $values.additionalLabels) -}}
{{- $_ := set $rule.annotations "description" ($rule.annotations.description | replace "<for>" $words) -}}
{{- $_ := set $rule.annotations "runbook_url" (printf "%s%s.md" ($values.runbookUrl | default $file.runbook_url) $rule.alert) -}}
{{- $_ := set $rule "annotations" (merge (dict) ($override.annotations | default dict) $values.additionalAnnotations $rule.annotations) -}}
{{- $rule = omit $rule "by" "enabled" -}}
{{- else if eq $rule.record "together:deployment_labels" -}}
{{- $wanted = not (empty $own) -}}
{{- end -}}
{{- if $wanted }}{{ $rules = append $rules $rule }}{{ end -}}
{{- end -}}
{{- $groups = append $groups (set $group "rules" $rules) -}}
{{- end -}}
{{- $text := toYaml $groups -}}
{{- range $name, $value := $fill }}{{ $text = replace (printf "<%s>" $name) $value $text }}{{ end -}}
{{- $text -}}
{{- end -}}
