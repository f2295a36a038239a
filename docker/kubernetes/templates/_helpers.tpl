{{- define "syringe.fullname" -}}
{{- if contains "syringe" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-syringe" (.Release.Name | trunc 32 | trimSuffix "-") -}}
{{- end -}}
{{- end }}

{{- define "syringe.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end }}

{{- define "syringe.publicHost" -}}
{{- (urlParse .Values.publicUrl).host | splitList ":" | first -}}
{{- end }}

{{/* Labels that never change. Takes root, and component where there is one. */}}
{{- define "syringe.selector" -}}
app.kubernetes.io/name: syringe
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "syringe.labels" -}}
{{ include "syringe.selector" . }}
app.kubernetes.io/part-of: syringe
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "syringe.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "syringe.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What every process reads: settings, and the secrets without which none starts. */}}
{{- define "syringe.environment" -}}
envFrom:
  - configMapRef:
      name: {{ include "syringe.fullname" .root }}
env:
  {{- range $name := list "SYRINGE_SECRET_KEY" "SYRINGE_DATABASE_URL" "SYRINGE_REDIS_URL" "SYRINGE_SENTRY_DSN" }}
  - name: {{ $name }}
    valueFrom:
      secretKeyRef:
        name: {{ $.root.Values.existingSecret }}
        key: {{ $name }}
        {{- if eq $name "SYRINGE_SENTRY_DSN" }}
        optional: true
        {{- end }}
  {{- end }}
  {{- with .env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Where pods may run, and from whom images come. */}}
{{- define "syringe.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/*
A Deployment of Syringe's image. Takes root, name, component, replicas, command, resources; and
where they differ from a plain process: port, portName, path (of the health check), heartbeat, env,
cluster (talks to Kubernetes), recreate, volumes, mounts.
*/}}
{{- define "syringe.deployment" -}}
{{- $fullname := include "syringe.fullname" .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $fullname }}-{{ .name }}
  labels:
    {{- include "syringe.labels" . | nindent 4 }}
spec:
  replicas: {{ .replicas }}
  {{- if .recreate }}
  strategy:
    type: Recreate
  {{- end }}
  selector:
    matchLabels:
      {{- include "syringe.selector" . | nindent 6 }}
      {{- with .queue }}
      syringe.dev/queue: {{ . }}
      {{- end }}
  template:
    metadata:
      labels:
        {{- include "syringe.labels" . | nindent 8 }}
        {{- with .queue }}
        syringe.dev/queue: {{ . }}
        {{- end }}
      annotations:
        checksum/settings: {{ include "syringe.settings" .root | sha256sum }}
        {{- with .root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ $fullname }}{{ if .cluster }}-lessons{{ end }}
      automountServiceAccountToken: {{ .cluster | default false }}
      # A Service called syringe would set SYRINGE_PORT.
      enableServiceLinks: false
      terminationGracePeriodSeconds: 40
      securityContext:
        {{- include "syringe.podSecurity" 10001 | nindent 8 }}
      {{- include "syringe.placement" .root | nindent 6 }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "syringe.selector" . | nindent 14 }}
              {{- with .queue }}
              syringe.dev/queue: {{ . }}
              {{- end }}
      initContainers:
        - name: wait-for-migrations
          image: {{ include "syringe.image" .root }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: [sh, -c, "until python manage.py migrate --check --verbosity=0; do sleep 2; done"]
          {{- include "syringe.environment" (dict "root" .root) | nindent 10 }}
          resources:
            {{- toYaml .root.Values.migrations.resources | nindent 12 }}
          securityContext:
            {{- include "syringe.containerSecurity" . | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
      containers:
        - name: {{ .component }}
          image: {{ include "syringe.image" .root }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command:
            {{- toYaml .command | nindent 12 }}
          {{- include "syringe.environment" . | nindent 10 }}
          {{- if .port }}
          ports:
            - name: http
              containerPort: {{ .port }}
          lifecycle:
            preStop:
              exec:
                # Until everyone has noticed that this pod is leaving.
                command: [sleep, "5"]
          {{- range $probe, $patience := dict "startupProbe" 30 "readinessProbe" 2 "livenessProbe" 6 }}
          {{ $probe }}:
            httpGet:
              path: {{ $.path }}
              port: http
              httpHeaders:
                - name: Host
                  value: localhost
            periodSeconds: {{ if eq $probe "startupProbe" }}2{{ else }}10{{ end }}
            timeoutSeconds: 5
            failureThreshold: {{ $patience }}
          {{- end }}
          {{- else if .heartbeat }}
          startupProbe:
            exec:
              command: [test, -e, /tmp/heartbeat]
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 60
          livenessProbe:
            exec:
              # Without Redis there is no heartbeat either, and nothing to lose by a restart.
              command: [sh, -c, 'test -n "$(find /tmp/heartbeat -mmin -5)"']
            periodSeconds: 60
            timeoutSeconds: 5
          {{- end }}
          resources:
            {{- toYaml .resources | nindent 12 }}
          securityContext:
            {{- include "syringe.containerSecurity" . | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
            {{- with .mounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 256Mi
        {{- with .volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}

{{- define "syringe.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "syringe.fullname" .root }}-{{ .name }}
  labels:
    {{- include "syringe.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "syringe.selector" . | nindent 6 }}
      {{- with .queue }}
      syringe.dev/queue: {{ . }}
      {{- end }}
{{- end }}

{{- define "syringe.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "syringe.fullname" .root }}-{{ .component }}
  labels:
    {{- include "syringe.labels" . | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  selector:
    {{- include "syringe.selector" . | nindent 4 }}
  {{- with .sessionAffinity }}
  sessionAffinity: {{ . }}
  {{- end }}
  ports:
    - name: {{ .portName | default "http" }}
      port: {{ .port }}
      targetPort: {{ .portName | default "http" }}
{{- end }}
