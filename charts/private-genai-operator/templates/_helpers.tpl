{{- define "private-genai-operator.name" -}}
{{- $name := printf "%s-%s" .Release.Name .Chart.Name }}
{{- if contains .Chart.Name .Release.Name }}{{ $name = .Release.Name }}{{ end }}
{{- $name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "private-genai-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "private-genai-operator.name" .) }}
{{- else -}}
{{ required "serviceAccount.name is required with serviceAccount.create=false: the name of the ServiceAccount that is there" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* By key, whatever the order in which they are written. IAM does not tell keys apart by their case. */}}
{{- define "private-genai-operator.tags" -}}
{{- $tags := list }}{{ $seen := dict }}
{{- range $key, $value := . }}
{{- if hasKey $seen (lower $key) }}
{{- fail (printf "tags: %s and %s differ in upper and lower case only, which IAM takes for the same" (get $seen (lower $key)) $key) }}
{{- end }}
{{- $_ := set $seen (lower $key) $key }}
{{- $tags = append $tags (printf "%s=%s" $key $value) }}
{{- end }}
{{- join "," $tags }}
{{- end }}

{{- define "private-genai-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "private-genai-operator.labels" -}}
{{ include "private-genai-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What both kinds of monitors say about one endpoint. */}}
{{- define "private-genai-operator.scrape" -}}
port: http
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
