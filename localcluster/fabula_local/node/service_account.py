"""The ServiceAccount token of pods for which no admission plugin mounted one."""

from pathlib import Path

from fabula_local.client import Api
from fabula_local.kinds import CONFIG_MAP, SERVICE_ACCOUNT, Obj
from fabula_local.node.volumes import DEFAULT_TOKEN_SECONDS, TOKEN_FOLDER, TokenFile, Volumes

VOLUME = "fabula-service-account"
ROOT_CA = "kube-root-ca.crt"


async def default_token(api: Api, pod: Obj, volumes: Volumes, folder: Path) -> Path | None:
    """A folder with token, ca.crt and namespace, as Kubernetes mounts it; None where the pod has its own or wants none.

    The token is kept fresh by `volumes`.
    """
    containers = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    mounted = any(
        mount["mountPath"].rstrip("/") == TOKEN_FOLDER
        for container in containers
        for mount in container.get("volumeMounts") or ()
    )
    if mounted or pod["spec"].get("automountServiceAccountToken") is False:
        return None
    namespace = pod["metadata"]["namespace"]
    name = pod["spec"].get("serviceAccountName") or "default"
    account = await api.find(SERVICE_ACCOUNT, name, namespace)
    if account is None or account.get("automountServiceAccountToken") is False:
        return None
    root = folder / VOLUME
    root.mkdir(parents=True, exist_ok=True)
    (root / "namespace").write_text(namespace)
    authority = await api.find(CONFIG_MAP, ROOT_CA, namespace)
    if authority is not None:
        (root / "ca.crt").write_text((authority.get("data") or {}).get("ca.crt", ""))
    volumes.tokens.append(TokenFile(root / "token", "", DEFAULT_TOKEN_SECONDS, 0o600))
    await volumes.refresh_tokens()
    return root
