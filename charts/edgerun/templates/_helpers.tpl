{{/* The name of the Deployment, and what other names begin with: the same whatever the release is called. */}}
{{- define "edgerun.fullname" -}}
{{- .Values.fullnameOverride | default "edgerun" -}}
{{- end }}

{{/* What never changes, by which the operator's pods are found. */}}
{{- define "edgerun.selectorLabels" -}}
app.kubernetes.io/name: edgerun
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of an object. Those of the user never replace ours. */}}
{{- define "edgerun.labels" -}}
{{- $ours := include "edgerun.selectorLabels" . | fromYaml -}}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_")) -}}
{{- $_ := set $ours "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $ours "app.kubernetes.io/managed-by" .Release.Service -}}
{{- mergeOverwrite (deepCopy .Values.commonLabels) $ours | toYaml -}}
{{- end }}

{{/* Labels of the operator's pods. */}}
{{- define "edgerun.podLabels" -}}
{{- mergeOverwrite (deepCopy .Values.podLabels) (include "edgerun.labels" . | fromYaml) | toYaml -}}
{{- end }}

{{- define "edgerun.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "edgerun.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.create is false, so serviceAccount.name must be the name of a ServiceAccount that exists" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "edgerun.image" -}}
{{- with .Values.image -}}
{{- .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end -}}
{{- end -}}
{{- end }}

{{/* What Pod Security calls restricted, and a root file system that nobody writes to. */}}
{{- define "edgerun.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "edgerun.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What the Prometheus Operator defines. Without it, an error that says so, not a release that nobody scrapes. */}}
{{- define "edgerun.requireMonitoring" -}}
{{- if not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
{{- fail "monitoring.enabled is true, but the cluster has no monitoring.coreos.com/v1; install the Prometheus Operator first, set monitoring.enabled to false, or, where no cluster is asked, add --api-versions monitoring.coreos.com/v1" -}}
{{- end -}}
{{- end }}

{{/* Where `helm test` puts its EdgeRoute. */}}
{{- define "edgerun.testNamespace" -}}
{{- first (append .Values.watchNamespaces .Release.Namespace) -}}
{{- end }}
