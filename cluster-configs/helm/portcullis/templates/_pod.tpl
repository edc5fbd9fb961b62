{{/* What every object is found by. */}}
{{- define "portcullis.labels" -}}
{app.kubernetes.io/name: portcullis, app.kubernetes.io/instance: {{ .release }}, app.kubernetes.io/component: {{ .part }}}
{{- end }}

{{/* The set of nodes of one part: `node`, which vote, or `gateway`, which do not. Its pods are named SET-0, SET-1, … */}}
{{- define "portcullis.set" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ .name }}
  labels: {{ .labels }}
spec:
  serviceName: {{ $root.Release.Name }}-pods
  replicas: {{ .replicas }}
  podManagementPolicy: {{ .order }}
  selector:
    matchLabels: {{ .labels }}
  template:
    metadata:
      labels: {{ .labels }}
    spec:
      terminationGracePeriodSeconds: 60
      automountServiceAccountToken: false
      # Its variables for Services would look like settings.
      enableServiceLinks: false
      securityContext: {runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {type: RuntimeDefault}}
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              podAffinityTerm:
                topologyKey: kubernetes.io/hostname
                labelSelector:
                  matchLabels: {{ .labels }}
      containers:
        - name: portcullis
          image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag }}"
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: ["/bin/sh", "-ec"]
          args:
            - |
              address() { getent ahostsv4 "$1" | awk 'NR == 1 { print $1 }'; }
              export ADVERTISE="$(address "$ADDRESS_PREFIX-${POD_NAME##*-}")"
              [ "$POD_NAME" = "$FIRST_POD" ] || export FIRST="$(address "$FIRST_ADDRESS")"
              exec start-node
          env:
            - {name: ADDRESS_PREFIX, value: {{ .address }}}
            - {name: FIRST_ADDRESS, value: {{ $root.Release.Name }}-node-0}
            - {name: FIRST_POD, value: {{ $root.Release.Name }}-0}
            - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: COMPONENTS, value: {{ .components | quote }}}
            - {name: ADMIN_PASSWORD_FILE, value: /run/secrets/portcullis/password}
            # For the kubelet; the NetworkPolicy keeps others out.
            - {name: PORTCULLIS_OBSERVABILITY__BIND, value: "0.0.0.0"}
            {{- range $name, $value := $root.Values.environment }}
            - {name: {{ $name }}, value: {{ $value | quote }}}
            {{- end }}
          ports:
            - {name: http, containerPort: 8280}
            - {name: https, containerPort: 8243}
            - {name: management, containerPort: 9443}
            - {name: health, containerPort: 9763}
            - {name: cluster, containerPort: 7443}
          # A node may take long to load its state or to join; what lives is not killed for that.
          livenessProbe: {httpGet: {path: /livez, port: health}, initialDelaySeconds: 10, periodSeconds: 10, failureThreshold: 6}
          readinessProbe: {httpGet: {path: "/readyz?noleader", port: health}, periodSeconds: 2, failureThreshold: 2}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          resources: {{- toYaml .resources | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: /var/lib/portcullis}
            - {name: password, mountPath: /run/secrets/portcullis, readOnly: true}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: password
          secret: {secretName: {{ $root.Values.adminPasswordSecret }}}
        - name: tmp
          emptyDir: {}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        {{- if $root.Values.storage.className }}
        storageClassName: {{ $root.Values.storage.className }}
        {{- end }}
        resources: {requests: {storage: {{ $root.Values.storage.size }}}}
{{- end }}
