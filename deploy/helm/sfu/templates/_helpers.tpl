{{- define "sfu.name" -}}
{{- printf "%s-sfu" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "sfu.selector" -}}
app.kubernetes.io/name: sfu
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sfu.labels" -}}
{{ include "sfu.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}
