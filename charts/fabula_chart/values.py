"""The chart's values: the one source of `values.yaml`, `values.schema.json` and the reference in the chart's README.

Fields are named as `helm install --set` writes them. What is given here to the operator is the same as its command-line
options; what is given to workers goes into a file that the operator reads at its start.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from fabula_api.base import Name, ObjectName, Quantity
from fabula_operator.plan.money.quota_groups import QuotaGroup
from fabula_operator.render.worker_defaults import WorkerDefaults

WORKERS = WorkerDefaults()
"""What the operator does where the chart says nothing."""
Text = Annotated[str, Field(max_length=1024)]
Labels = dict[str, str]
HubModel = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(@[A-Za-z0-9_./-]+)?$", max_length=256)]
Digest = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
Https = Annotated[str, Field(pattern=r"^(https://.+)?$", max_length=1024)]
Variable = Annotated[str, Field(pattern=r"^[-._A-Za-z][-._A-Za-z0-9]*$", max_length=256)]


class Values(BaseModel):
    """A block of values: unknown keys are refused, so a misspelt one is named and not ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", use_attribute_docstrings=True, frozen=True)


class Image(Values):
    repository: Text
    """Where the image lies, without a tag."""
    tag: Text = ""
    """Tag; empty: the chart's appVersion."""
    digest: Digest = ""
    """`sha256:...`; wins over the tag. Pin it in production."""


class Images(Values):
    operator: Image = Image(repository="fabula/operator")
    """The operator."""
    cpu: Image = Image(repository="fabula/cpu")
    """Workers without a GPU."""
    gpu: Image = Image(repository="fabula/gpu")
    """Workers with GPUs."""
    gpu_vllm: Image = Image(repository="fabula/gpu-vllm")
    """Workers that answer with vLLM."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the operator's image is pulled."""
    pull_secrets: list[ObjectName] = []
    """Names of pull Secrets: of the operator here, and of workers in each namespace where runs are."""


class Resources(Values):
    requests: dict[str, Quantity] = {"cpu": "200m", "memory": "256Mi"}
    """What is set aside for it."""
    limits: dict[str, Quantity] = {"memory": "1Gi"}
    """What it may use at most."""


class Operator(Values):
    replicas: Annotated[int, Field(ge=1, le=5)] = 2
    """One works, the others wait for its Lease and take over within seconds."""
    resources: Resources = Resources()
    """300 MB of memory serve 10,000 runs."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """How much the operator tells in its log."""
    extra_args: list[Text] = []
    """Further options of `fabula-operator`, for example `--resync=120`; see its `--help`."""
    node_selector: Labels = {}
    """Labels of nodes that it may run on."""
    tolerations: list[dict[str, Any]] = []
    """Taints that it tolerates."""
    priority_class_name: Text = ""
    """PriorityClass of its pods."""
    pod_annotations: Labels = {}
    """Annotations of its pods."""
    pod_labels: Labels = {}
    """Labels of its pods."""


class ServiceAccount(Values):
    create: bool = True
    """Whether the chart makes it."""
    name: Annotated[str, Field(max_length=63)] = ""
    """Its name; empty: the release's full name."""
    annotations: Labels = {}
    """Annotations of the operator's own account. It needs no cloud identity: only workers read and write the store."""


class Watch(Values):
    namespace: Annotated[str, Field(max_length=63)] = ""
    """Look after this namespace only, with a Role in it; empty: after the whole cluster, with a ClusterRole."""


class Isolation(Values):
    confine: Literal["auto", "on", "off"] = "auto"
    """Whether runs read and write only below their own namespace's folder of the store; auto: where the operator
    watches the whole cluster. This bounds what a spec names; what a pod may reach is decided by its credentials."""
    shared_prefixes: list[Text] = []
    """URIs or folders below the root that runs of every namespace may read too: corpora, models."""
    quota_groups: list[QuotaGroup] = []
    """Quotas of providers that namespaces share. A group that is not declared here is each namespace's own."""


class AdmissionPolicy(Values):
    enabled: bool = True
    """Whether a ValidatingAdmissionPolicy holds who writes a run to their own rights: a Secret needs `get` on it, an
    image or program of one's own `create` on pods, a ServiceAccount `impersonate` or `use`."""
    endpoints: list[Annotated[str, Field(pattern=r"^https://.+", max_length=1024)]] = []
    """Endpoints (https) that runs may name."""
    priority_classes: list[Text] = []
    """PriorityClasses that runs may name."""


class Claim(Values):
    name: Annotated[str, Field(max_length=253)] = ""
    """PersistentVolumeClaim that is mounted in each worker at the path of a `file://` root. It has to exist in each
    namespace with runs; `namespaces[].artifactClaim` makes it."""


class S3(Values):
    endpoint_url: Annotated[str, Field(pattern=r"^(https?://.+)?$", max_length=1024)] = ""
    """Address of an S3 server other than AWS, `https://` or `http://`."""
    region: Text = ""
    """Region of the bucket, where the endpoint does not tell it."""


class Store(Values):
    root: Annotated[str, Field(pattern=r"^((s3|file)://.+)?$", max_length=1024)] = ""
    """URI below which all artifacts lie: `s3://bucket/prefix`, or `file:///path` on a claim. Required."""
    s3: S3 = S3()
    """For `s3://`."""
    claim: Claim = Claim()
    """For `file://`."""


class Toleration(Values):
    key: Text = ""
    """Taint key."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """How key and value are compared."""
    value: Text = ""
    """Taint value, for Equal."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """Taint effect; empty: each."""


class Placement(Values):
    node_selector: Labels = {}
    """Labels that a node must carry, beside what the run asks for."""
    tolerations: list[Toleration] = []
    """Taints that the pods tolerate, beside what the run asks for."""


class ModelCache(Values):
    claim: Annotated[str, Field(max_length=253)] = ""
    """PersistentVolumeClaim in each namespace with runs; `ReadWriteMany` where its pods run on several nodes."""
    host_path: Annotated[str, Field(max_length=1024)] = ""
    """Folder of each node that user 10001 may write, in the claim's place. PodSecurity `baseline` refuses it."""
    models: list[HubModel] = []
    """Models of the Hub, `owner/name` or `owner/name@revision`, that a Job in each namespace puts into the claim at
    once, with the workers' credentials. Others come when a run first asks for them."""


class Workers(Values):
    service_account_name: Annotated[str, Field(max_length=253)] = ""
    """ServiceAccount of worker pods whose run names none; `namespaces[].serviceAccount` makes it. A cloud identity
    (IRSA, Pod Identity, Workload Identity) hangs on it."""
    secret_name: Annotated[str, Field(max_length=253)] = ""
    """Secret, in each namespace with runs, whose keys become environment variables of workers whose run has no
    `secretRef`: store credentials, `HF_TOKEN`."""
    env: dict[Variable, str] = {}
    """Environment variables of each worker."""
    model_cache: ModelCache = ModelCache()
    """Where models of the Hub are downloaded to once, for all pods. Empty: each pod downloads what it loads."""
    scratch_limit: Quantity = WORKERS.scratch_limit
    """Most that a pod may keep on its node's disk; above it the kubelet evicts the pod. Without a cache of models, a
    run is refused whose model is known to be larger."""
    shared_memory_limit: Quantity = WORKERS.shared_memory_limit
    """Size of `/dev/shm` in pods with GPUs, where a run does not name one (`topology.sharedMemory`)."""
    cpu: Placement = Placement()
    """Where pods without a GPU run."""
    gpu: Placement = Placement()
    """Where pods with GPUs run."""
    grace_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Seconds between SIGTERM and SIGKILL."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9400
    """Port of the workers' Prometheus metrics; 0 turns them off."""


class TenantAccount(Values):
    name: Name = "fabula-worker"
    """Its name; set `workers.serviceAccountName` to the same."""
    annotations: Labels = {}
    """The cloud identity: `eks.amazonaws.com/role-arn` (IRSA), `iam.gke.io/gcp-service-account`,
    `azure.workload.identity/client-id`. EKS Pod Identity needs none."""


class TenantModelClaim(Values):
    name: ObjectName = "fabula-models"
    """Its name; set `workers.modelCache.claim` to the same."""
    storage_class_name: Text = ""
    """StorageClass; empty: the cluster's default."""
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"] = "ReadWriteMany"
    """ReadWriteOnce serves one node."""
    size: Quantity = "500Gi"
    """How much is claimed: 67 GB for a model of 32 billion parameters, 28 GB for Stable Diffusion 3.5."""


class TenantClaim(Values):
    name: ObjectName = "fabula-artifacts"
    """Its name; set `store.claim.name` to the same."""
    storage_class_name: Text = ""
    """StorageClass; empty: the cluster's default. Shards on several nodes need one that offers ReadWriteMany."""
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"] = "ReadWriteMany"
    """ReadWriteOnce serves one node."""
    size: Quantity = "500Gi"
    """How much is claimed."""


class Tenant(Values):
    name: Name
    """A namespace, which exists already."""
    service_account: TenantAccount | None = None
    """ServiceAccount for its workers."""
    artifact_claim: TenantClaim | None = None
    """Claim for its artifacts. The chart keeps it when it is uninstalled."""
    model_claim: TenantModelClaim | None = None
    """Claim for its cache of models. The chart keeps it when it is uninstalled."""
    network_policy: bool = True
    """Let ranks of a run reach each other, and nobody else reach them."""


class CertManager(Values):
    issuer_name: Text = ""
    """An Issuer or ClusterIssuer of yours; empty: the chart makes a self-signed authority of its own."""
    issuer_kind: Literal["Issuer", "ClusterIssuer"] = "Issuer"
    """Kind of that issuer."""


class Tls(Values):
    mode: Literal["job", "certManager", "secret"] = "job"
    """Who makes the certificate: a Job of the chart at each install and upgrade, cert-manager, or you."""
    secret_name: Annotated[str, Field(max_length=253)] = ""
    """For `secret`: a Secret with `tls.crt`, `tls.key` and `ca.crt`. The operator takes a renewed one by itself."""
    cert_manager: CertManager = CertManager()
    """For `certManager`."""
    extra_names: list[Text] = []
    """Further DNS names and IP addresses of the certificate."""


class StatusServer(Values):
    port: Annotated[int, Field(ge=1, le=65535)] = 8443
    """Port on which workers report."""
    url: Https = ""
    """Address that workers are given; empty: the Service's. Its host must be in the certificate."""
    tls: Tls = Tls()
    """Its certificate; tokens never travel in the clear."""


class Monitor(Values):
    enabled: bool = False
    """Whether it is made. Without its CRD in the cluster it is left out."""
    interval: Annotated[str, Field(pattern=r"^[0-9]+(s|m)$")] = "30s"
    """How often Prometheus asks."""
    labels: Labels = {}
    """Labels by which your Prometheus finds it."""


class Rules(Values):
    enabled: bool = False
    """Whether the PrometheusRule is made. Without its CRD in the cluster it is left out."""
    labels: Labels = {}
    """Labels by which your Prometheus finds it."""
    runbook_url: Text = "https://fabula.dev/docs/runbooks"
    """Where the alerts' runbooks lie: `docs/runbooks` of the sources, as you publish it."""


class Dashboards(Values):
    enabled: bool = False
    """Whether the ConfigMaps with Grafana's dashboards are made."""
    labels: Labels = {"grafana_dashboard": "1"}
    """Labels by which Grafana's sidecar finds them."""
    annotations: Labels = {}
    """Annotations, for example the sidecar's folder."""


class Monitoring(Values):
    metrics_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """Port of the operator's /metrics, /healthz and /readyz."""
    service_monitor: Monitor = Monitor()
    """Scrapes the operator."""
    pod_monitor: Monitor = Monitor()
    """Scrapes workers in every namespace that is watched."""
    rules: Rules = Rules()
    """Alerts."""
    dashboards: Dashboards = Dashboards()
    """Grafana."""


class Peer(Values):
    pod_selector: dict[str, Any] | None = None
    """Pods by label."""
    namespace_selector: dict[str, Any] | None = None
    """Namespaces by label."""
    ip_block: dict[str, Any] | None = None
    """Addresses: `{cidr: 10.0.0.0/8}`."""


class NetworkPolicy(Values):
    enabled: bool = True
    """Only worker pods reach the status server; only `metricsFrom` reaches /metrics."""
    metrics_from: list[Peer] = []
    """Peers (as in a NetworkPolicy's `from`) that may scrape; empty: every pod of the cluster."""


class Crds(Values):
    enabled: bool = True
    """Whether the chart installs and upgrades the CustomResourceDefinitions."""
    keep: bool = True
    """Whether they stay when the release is uninstalled. Without them every run is deleted."""


class Trial(Values):
    namespace: Annotated[str, Field(max_length=63)] = ""
    """Where `helm test` builds; empty: the watched namespace, the first of `namespaces`, or the release's own."""
    limit_seconds: Annotated[int, Field(ge=30, le=86400)] = 600
    """Seconds until its build must have ended, pulling images included."""


class ChartValues(Values):
    """Values of the chart `fabula`."""

    name_override: Annotated[str, Field(max_length=63)] = ""
    """Name of the chart's objects in place of `fabula`."""
    fullname_override: Annotated[str, Field(max_length=63)] = ""
    """Full name of the chart's objects in place of release and chart name."""
    images: Images = Images()
    """Container images."""
    operator: Operator = Operator()
    """The operator's Deployment."""
    service_account: ServiceAccount = ServiceAccount()
    """The operator's ServiceAccount."""
    rbac: bool = True
    """Whether Roles and bindings are made."""
    watch: Watch = Watch()
    """What the operator looks after."""
    isolation: Isolation = Isolation()
    """What namespaces may see of each other."""
    admission_policy: AdmissionPolicy = AdmissionPolicy()
    """Who may write what into a run. Without it, creating runs equals creating pods."""
    store: Store = Store()
    """Where artifacts lie."""
    workers: Workers = Workers()
    """Worker pods of every run."""
    namespaces: list[Tenant] = []
    """Namespaces with runs, for which the chart makes what workers need: one identity and one claim each, since
    a namespace's boundary in the store is its credentials."""
    status_server: StatusServer = StatusServer()
    """Where workers report."""
    gpu_hour_usd: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Dollars for a GPU hour, by product: `{NVIDIA-A100-SXM4-80GB: 1.8}`."""
    monitoring: Monitoring = Monitoring()
    """Metrics, alerts and dashboards."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """Who may reach whom."""
    pod_disruption_budget: bool = True
    """Keep one operator while nodes are drained; only with two replicas or more."""
    trial: Trial = Trial()
    """What `helm test` tries: a small build on CPUs, in about a minute once images are there."""
    crds: Crds = Crds()
    """CustomResourceDefinitions."""
    global_: Annotated[dict[str, Any], Field(alias="global")] = {}
    """Helm's own; nothing of it is used."""
