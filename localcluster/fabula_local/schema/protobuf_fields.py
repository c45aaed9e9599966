"""Field numbers of the messages that kubectl sends in protobuf: what its `create` and `auth` commands make.

name=number, then the type where it is not a string: int, bool, bytes, another message, [repeated] or {map of}. A "?"
marks a pointer, whose zero means something; any other zero is left out, as in JSON. Source: the generated.proto files
of k8s.io/api and apimachinery.
"""

MESSAGES: dict[str, str] = {
    "ObjectMeta": "name=1 generateName=2 namespace=3 selfLink=4 uid=5 resourceVersion=6 generation=7:int"
    " creationTimestamp=8:Time deletionTimestamp=9:Time deletionGracePeriodSeconds=10:int? labels=11:{str}"
    " annotations=12:{str} ownerReferences=13:[OwnerReference] finalizers=14:[str]",
    "OwnerReference": "kind=1 name=3 uid=4 apiVersion=5 controller=6:bool? blockOwnerDeletion=7:bool?",
    "LabelSelector": "matchLabels=1:{str} matchExpressions=2:[LabelSelectorRequirement]",
    "LabelSelectorRequirement": "key=1 operator=2 values=3:[str]",
    "DeleteOptions": "gracePeriodSeconds=1:int? preconditions=2:Preconditions orphanDependents=3:bool?"
    " propagationPolicy=4 dryRun=5:[str]",
    "Preconditions": "uid=1 resourceVersion=2",
    # core/v1
    "Namespace": "metadata=1:ObjectMeta spec=2:NamespaceSpec status=3:NamespaceStatus",
    "NamespaceSpec": "finalizers=1:[str]",
    "NamespaceStatus": "phase=1",
    "ConfigMap": "metadata=1:ObjectMeta data=2:{str} binaryData=3:{bytes} immutable=4:bool?",
    "Secret": "metadata=1:ObjectMeta data=2:{bytes} type=3 stringData=4:{str} immutable=5:bool?",
    "ServiceAccount": "metadata=1:ObjectMeta secrets=2:[ObjectReference] imagePullSecrets=3:[LocalObjectReference]"
    " automountServiceAccountToken=4:bool?",
    "ObjectReference": "kind=1 namespace=2 name=3 uid=4 apiVersion=5 resourceVersion=6 fieldPath=7",
    "LocalObjectReference": "name=1",
    "Service": "metadata=1:ObjectMeta spec=2:ServiceSpec status=3:ServiceStatus",
    "ServiceStatus": "loadBalancer=1:LoadBalancerStatus",
    "LoadBalancerStatus": "",
    "ServiceSpec": "ports=1:[ServicePort] selector=2:{str} clusterIP=3 type=4 externalIPs=5:[str] sessionAffinity=7"
    " loadBalancerIP=8 loadBalancerSourceRanges=9:[str] externalName=10 externalTrafficPolicy=11"
    " healthCheckNodePort=12:int publishNotReadyAddresses=13:bool ipFamilyPolicy=17 clusterIPs=18:[str]"
    " ipFamilies=19:[str] allocateLoadBalancerNodePorts=20:bool? loadBalancerClass=21 internalTrafficPolicy=22",
    "ServicePort": "name=1 protocol=2 port=3:int targetPort=4:IntOrString nodePort=5:int appProtocol=6",
    "PodTemplateSpec": "metadata=1:ObjectMeta spec=2:PodSpec",
    "PodSpec": "containers=2:[Container] restartPolicy=3 terminationGracePeriodSeconds=4:int?"
    " activeDeadlineSeconds=5:int? dnsPolicy=6 nodeSelector=7:{str} serviceAccountName=8 serviceAccount=9 nodeName=10"
    " hostNetwork=11:bool hostPID=12:bool hostIPC=13:bool securityContext=14:PodSecurityContext"
    " imagePullSecrets=15:[LocalObjectReference] hostname=16 subdomain=17 schedulerName=19"
    " initContainers=20:[Container] automountServiceAccountToken=21:bool? priorityClassName=24 priority=25:int?"
    " shareProcessNamespace=27:bool? runtimeClassName=29 enableServiceLinks=30:bool? preemptionPolicy=31",
    "PodSecurityContext": "runAsUser=2:int? runAsNonRoot=3:bool? supplementalGroups=4:[int] fsGroup=5:int?"
    " runAsGroup=6:int?",
    "Container": "name=1 image=2 command=3:[str] args=4:[str] workingDir=5 ports=6:[ContainerPort] env=7:[EnvVar]"
    " resources=8:ResourceRequirements volumeMounts=9:[VolumeMount] terminationMessagePath=13 imagePullPolicy=14"
    " stdin=16:bool stdinOnce=17:bool tty=18:bool terminationMessagePolicy=20 restartPolicy=24",
    "ContainerPort": "name=1 hostPort=2:int containerPort=3:int protocol=4 hostIP=5",
    "EnvVar": "name=1 value=2",
    "ResourceRequirements": "limits=1:{Quantity} requests=2:{Quantity}",
    "VolumeMount": "name=1 readOnly=2:bool mountPath=3 subPath=4 mountPropagation=5 subPathExpr=6",
    # apps/v1 and batch/v1
    "Deployment": "metadata=1:ObjectMeta spec=2:DeploymentSpec status=3:DeploymentStatus",
    "DeploymentSpec": "replicas=1:int? selector=2:LabelSelector template=3:PodTemplateSpec"
    " strategy=4:DeploymentStrategy minReadySeconds=5:int revisionHistoryLimit=6:int? paused=7:bool"
    " progressDeadlineSeconds=9:int?",
    "DeploymentStrategy": "type=1 rollingUpdate=2:RollingUpdateDeployment",
    "RollingUpdateDeployment": "maxUnavailable=1:IntOrString? maxSurge=2:IntOrString?",
    "DeploymentStatus": "observedGeneration=1:int replicas=2:int updatedReplicas=3:int availableReplicas=4:int"
    " unavailableReplicas=5:int readyReplicas=7:int collisionCount=8:int?",
    "Job": "metadata=1:ObjectMeta spec=2:JobSpec status=3:JobStatus",
    "JobSpec": "parallelism=1:int? completions=2:int? activeDeadlineSeconds=3:int? selector=4:LabelSelector"
    " manualSelector=5:bool? template=6:PodTemplateSpec backoffLimit=7:int? ttlSecondsAfterFinished=8:int?"
    " completionMode=9 suspend=10:bool? backoffLimitPerIndex=12:int? maxFailedIndexes=13:int? podReplacementPolicy=14"
    " managedBy=15",
    "JobStatus": "active=4:int succeeded=5:int failed=6:int completedIndexes=7",
    # rbac, authentication and authorization
    "Role": "metadata=1:ObjectMeta rules=2:[PolicyRule]",
    "ClusterRole": "metadata=1:ObjectMeta rules=2:[PolicyRule] aggregationRule=3:AggregationRule",
    "AggregationRule": "clusterRoleSelectors=1:[LabelSelector]",
    "PolicyRule": "verbs=1:[str] apiGroups=2:[str] resources=3:[str] resourceNames=4:[str] nonResourceURLs=5:[str]",
    "RoleBinding": "metadata=1:ObjectMeta subjects=2:[Subject] roleRef=3:RoleRef",
    "ClusterRoleBinding": "metadata=1:ObjectMeta subjects=2:[Subject] roleRef=3:RoleRef",
    "Subject": "kind=1 apiGroup=2 name=3 namespace=4",
    "RoleRef": "apiGroup=1 kind=2 name=3",
    "SelfSubjectAccessReview": "metadata=1:ObjectMeta spec=2:AccessReviewSpec status=3:AccessReviewStatus",
    "SubjectAccessReview": "metadata=1:ObjectMeta spec=2:AccessReviewSpec status=3:AccessReviewStatus",
    "AccessReviewSpec": "resourceAttributes=1:ResourceAttributes nonResourceAttributes=2:NonResourceAttributes"
    " user=3 groups=4:[str] uid=6",
    "AccessReviewStatus": "allowed=1:bool reason=2 evaluationError=3 denied=4:bool",
    "ResourceAttributes": "namespace=1 verb=2 group=3 version=4 resource=5 subresource=6 name=7",
    "NonResourceAttributes": "path=1 verb=2",
    "SelfSubjectReview": "metadata=1:ObjectMeta status=2:SelfSubjectReviewStatus",
    "SelfSubjectReviewStatus": "userInfo=1:UserInfo",
    "UserInfo": "username=1 uid=2 groups=3:[str]",
    "TokenReview": "metadata=1:ObjectMeta spec=2:TokenReviewSpec status=3:TokenReviewStatus",
    "TokenReviewSpec": "token=1 audiences=2:[str]",
    "TokenReviewStatus": "authenticated=1:bool user=2:UserInfo error=3 audiences=4:[str]",
    "TokenRequest": "metadata=1:ObjectMeta spec=2:TokenRequestSpec status=3:TokenRequestStatus",
    "TokenRequestSpec": "audiences=1:[str] boundObjectRef=3:BoundObjectReference expirationSeconds=4:int?",
    "TokenRequestStatus": "token=1 expirationTimestamp=2:Time",
    "BoundObjectReference": "kind=1 apiVersion=2 name=3 uid=4",
    # scheduling/v1
    "PriorityClass": "metadata=1:ObjectMeta value=2:int? globalDefault=3:bool description=4 preemptionPolicy=5",
}
