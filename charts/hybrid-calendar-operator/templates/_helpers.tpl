{{/* Names, labels and what several templates derive from the values. */}}

{{- define "hco.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters, so that endings fit. A release that is named like the chart is not named twice. */}}
{{- define "hco.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "hco.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hco.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hco.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of an object. Takes {root, component?, more?, pod?}; a Pod does not end because the chart has another version. */}}
{{- define "hco.labels" -}}
{{- $root := .root -}}
{{- $labels := include "hco.selectorLabels" $root | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/component" (default "operator" .component) -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" $root.Chart.Name -}}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- if not .pod -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name ($root.Chart.Version | replace "+" "_")) -}}
{{- end -}}
{{- merge $labels (default dict .more) $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* The metadata of an object but for its indentation. Takes {root, name, cluster?, component?, labels?, annotations?, namespace?}. */}}
{{- define "hco.metadata" -}}
name: {{ .name }}
{{- if not .cluster }}
namespace: {{ default .root.Release.Namespace .namespace }}
{{- end }}
labels:
  {{- include "hco.labels" (dict "root" .root "component" .component "more" .labels) | nindent 2 }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "hco.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "hco.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is required when serviceAccount.create is false: name the ServiceAccount that is there" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* An image. Takes {root, image}. */}}
{{- define "hco.image" -}}
{{- with .image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .root.Chart.AppVersion .image.tag }}{{ end -}}
{{- end -}}

{{/* Where a container listens. Takes {root, port}. An address of IPv6 is written in brackets. */}}
{{- define "hco.listen" -}}
{{- $address := .root.Values.listenAddress -}}
{{- if contains ":" $address -}}[{{ $address }}]{{- else -}}{{ $address }}{{- end -}}:{{ .port }}
{{- end -}}

{{- define "hco.leaseName" -}}{{ default (include "hco.fullname" .) .Values.leaderElection.leaseName }}{{- end -}}
{{- define "hco.leaseNamespace" -}}{{ default .Release.Namespace .Values.leaderElection.leaseNamespace }}{{- end -}}
{{- define "hco.keySecretName" -}}{{ default (printf "%s-key" (include "hco.fullname" .)) .Values.keySecret.name }}{{- end -}}
{{- define "hco.keySecretNamespace" -}}{{ default .Release.Namespace .Values.keySecret.namespace }}{{- end -}}

{{- define "hco.emulatorName" -}}{{ include "hco.fullname" . }}-emulator{{- end -}}
{{- define "hco.emulatorUrl" -}}https://{{ include "hco.emulatorName" . }}.{{ .Release.Namespace }}.svc:8600{{- end -}}

{{- define "hco.notificationUrl" -}}
{{- if .Values.notificationUrl -}}
{{- .Values.notificationUrl -}}
{{- else if .Values.emulator.enabled -}}
https://{{ include "hco.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.receiver.service.port }}
{{- else -}}
{{- fail "notificationUrl is required: the public HTTPS base URL at which Microsoft Graph reaches the receiver, such as --set notificationUrl=https://calendar.example (or emulator.enabled=true for a rehearsal)" -}}
{{- end -}}
{{- end -}}

{{/* Host name of the notification URL, without a port. */}}
{{- define "hco.notificationHost" -}}
{{- (urlParse (include "hco.notificationUrl" .)).hostname -}}
{{- end -}}

{{/* Paths that Graph calls, below the base path of the notification URL. A JSON list. */}}
{{- define "hco.notificationPaths" -}}
{{- $base := trimSuffix "/" (urlParse (include "hco.notificationUrl" .)).path -}}
{{- list (printf "%s/v1/notifications" $base) (printf "%s/v1/lifecycle" $base) | toJson -}}
{{- end -}}

{{/* Secret with which the receiver ends TLS; empty: it speaks plain HTTP. */}}
{{- define "hco.receiverTlsSecret" -}}
{{- if .Values.receiver.tls.secretName -}}
{{- .Values.receiver.tls.secretName -}}
{{- else if or .Values.receiver.tls.certManager.enabled .Values.emulator.enabled -}}
{{ include "hco.fullname" . }}-receiver-tls
{{- end -}}
{{- end -}}

{{- define "hco.allowedEndpoints" -}}
{{- $all := .Values.allowedEndpoints -}}
{{- if .Values.emulator.enabled -}}{{- $all = append $all (include "hco.emulatorUrl" .) -}}{{- end -}}
{{- join "," $all -}}
{{- end -}}

{{/* What does not fit together, said before anything is rendered. */}}
{{- define "hco.validate" -}}
{{- with .Values.notificationUrl -}}
{{- if not (regexMatch "^https?://[^/?#\\s]+" .) -}}
{{- fail (printf "notificationUrl %q is not a URL: write it like https://calendar.example" .) -}}
{{- end -}}
{{- $url := urlParse . -}}
{{- if $url.userinfo -}}
{{- fail "notificationUrl contains a user name or password: remove it, URLs are shown to others" -}}
{{- end -}}
{{- if or (contains "?" .) (contains "#" .) -}}
{{- fail (printf "notificationUrl %q has a query or fragment: remove what follows the path" .) -}}
{{- end -}}
{{- if and (eq $url.scheme "http") (not (has $url.hostname (list "localhost" "127.0.0.1" "::1"))) -}}
{{- fail (printf "notificationUrl %q is neither HTTPS nor plain HTTP on loopback: Microsoft Graph calls https:// URLs only" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.caBundle -}}
{{- if and .secretName .configMapName -}}
{{- fail "caBundle.secretName and caBundle.configMapName exclude each other: set one" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.receiver.tls.secretName .Values.receiver.tls.certManager.enabled -}}
{{- fail "receiver.tls.secretName and receiver.tls.certManager.enabled exclude each other: cert-manager fills a Secret of the chart's naming" -}}
{{- end -}}
{{- if and .Values.receiver.tls.certManager.enabled (not .Values.receiver.tls.certManager.issuerRef.name) -}}
{{- fail "receiver.tls.certManager.issuerRef.name is required when receiver.tls.certManager.enabled is true: name an Issuer or ClusterIssuer" -}}
{{- end -}}
{{- if and .Values.receiver.httpRoute.enabled (not .Values.receiver.httpRoute.parentRefs) -}}
{{- fail "receiver.httpRoute.parentRefs is required when receiver.httpRoute.enabled is true: name the Gateway, such as [{name: public, namespace: gateways}]" -}}
{{- end -}}
{{- if eq (int .Values.receiver.port) (int .Values.metrics.port) -}}
{{- fail "receiver.port and metrics.port must differ" -}}
{{- end -}}
{{- if has (int .Values.copies.port) (list (int .Values.receiver.port) (int .Values.metrics.port)) -}}
{{- fail "copies.port must differ from receiver.port and metrics.port" -}}
{{- end -}}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.leaderElection.enabled) -}}
{{- fail "replicaCount above 1 needs leaderElection.enabled: two copies without it would work against each other" -}}
{{- end -}}
{{- if and (not .Values.leaderElection.enabled) (ne .Values.strategy.type "Recreate") -}}
{{- fail "leaderElection.enabled=false needs strategy.type=Recreate: while a new version replaces the old one, two copies would work against each other" -}}
{{- end -}}
{{- /* After SIGTERM the program serves for 15 seconds and gives the last requests 5. */ -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add (int .Values.preStopSleepSeconds) 25 | int) -}}
{{- fail (printf "terminationGracePeriodSeconds must be at least preStopSleepSeconds + 25, here %d: otherwise the Pod is killed while it still serves and writes" (add (int .Values.preStopSleepSeconds) 25)) -}}
{{- end -}}
{{- if eq .Release.Namespace "kube-system" -}}
{{- fail "install the operator into a namespace of its own, not into kube-system: it may create Secrets in its namespace" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled exclude each other: every series would be there twice" -}}
{{- end -}}
{{- if and .Values.watchNamespaces .Values.workloadIdentity.namespaces -}}
{{- range without .Values.workloadIdentity.namespaces "*" -}}
{{- if not (has . $.Values.watchNamespaces) -}}
{{- fail (printf "workloadIdentity.namespaces names %s, which watchNamespaces does not: the operator looks at no tenant there" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (has "*" .Values.workloadIdentity.namespaces) (gt (len .Values.workloadIdentity.namespaces) 1) -}}
{{- fail "workloadIdentity.namespaces is either [\"*\"] or a list of names" -}}
{{- end -}}
{{- if .Values.emulator.enabled -}}
{{- if or .Values.caBundle.secretName .Values.caBundle.configMapName -}}
{{- fail "emulator.enabled brings a CA of its own: leave caBundle empty" -}}
{{- end -}}
{{- if or .Values.receiver.tls.secretName .Values.receiver.tls.certManager.enabled -}}
{{- fail "emulator.enabled brings the receiver's certificate: leave receiver.tls.secretName empty and receiver.tls.certManager disabled" -}}
{{- end -}}
{{- end -}}
{{- end -}}
