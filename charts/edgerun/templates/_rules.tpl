{{/*
What the operator may do: all of it, verb by verb, each with its reason. Server-side apply needs `patch`, and `create`
where the object is new. tests/chart/test_rbac.py holds the same list, and asks a real API server about it.
*/}}

{{/* In every namespace, or in each of watchNamespaces. */}}
{{- define "edgerun.rules.watched" -}}
# What users write: it is read, and nothing of it is changed but the status.
- apiGroups: [edgerun.dev]
  resources: [edgeroutes, originservices]
  verbs: [list, watch]
- apiGroups: [edgerun.dev]
  resources: [edgeroutes/status, originservices/status]
  verbs: [patch]
# What the operator writes: a revision for every change of an OriginService's template, until nobody needs it any more.
- apiGroups: [edgerun.dev]
  resources: [originrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [edgerun.dev]
  resources: [originrevisions/status]
  verbs: [patch]
# A revision is a Deployment in the namespace of its OriginService, which has a ConfigMap for its guards.
{{ include "edgerun.rules.workloads" . }}
# `access.ingress: Edge` is a NetworkPolicy. It is watched, for one that somebody deletes is an open door.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
{{ include "edgerun.rules.events" . }}
{{- end }}

{{/* Of an object in a namespace, in that namespace; of one that belongs to none, in the namespace `default`. */}}
{{- define "edgerun.rules.events" -}}
# What people should notice is told as an Event of the object.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* Deployments that the operator makes, the pods that they make, and what these need. */}}
{{- define "edgerun.rules.workloads" -}}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# The addresses of pods are what Envoy is told, and why one does not start is what the status says.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# By its ConfigMap an Envoy knows the operator. RBAC cannot tell which are ours; the operator asks for its own, by their
# label, and for no others.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}

{{/* Where somebody has said so: secretRotation.enabled, or a RoleBinding by whoever owns a namespace. */}}
{{- define "edgerun.rules.references" -}}
# What the template of an OriginService with `secretRotation: Rollout` reads: the operator asks for names and versions.
# RBAC knows no right that is less than one to read contents too.
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [list]
{{- end }}

{{/* In the whole cluster, always. */}}
{{- define "edgerun.rules.cluster" -}}
# Fleets belong to no namespace. The fleet "default" is made when a route needs it.
- apiGroups: [edgerun.dev]
  resources: [edgeproxies]
  verbs: [list, watch, create]
- apiGroups: [edgerun.dev]
  resources: [edgeproxies/status]
  verbs: [patch]
# An edge proxy shows the token of its ServiceAccount, and the API server says whose it is.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end }}

{{/* In the operator's own namespace. A name cannot restrict `create`. */}}
{{- define "edgerun.rules.own" -}}
# The Lease that says which replica leads.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "edgerun.fullname" . }}]
  verbs: [get, update]
# The certificate authorities of the xDS server and of edge and origins, and the keys that sign tokens. No other Secret
# is read.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "edgerun.fullname" . }}-ca, {{ include "edgerun.fullname" . }}-wire]
  verbs: [get, update]
# `edgerun keys revoke` writes the keys too, and everybody has to know within a second.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "edgerun.fullname" . }}-keys]
  verbs: [get, update, watch]
# The address of the leader, behind the Service {{ include "edgerun.fullname" . }}-xds. No other slice is written.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, create]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  resourceNames: [{{ include "edgerun.fullname" . }}-xds-leader]
  verbs: [get, patch]
# What a fleet of edge proxies consists of, beside its Deployment and its ConfigMap.
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [get, list, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, create, patch, delete]
{{- if and .Values.watchNamespaces (not (has .Release.Namespace .Values.watchNamespaces)) }}
# Its Deployment, pods and ConfigMap; the operator's own Deployment owns them.
{{ include "edgerun.rules.workloads" . }}
{{- end }}
{{- end }}
