"""The volumes of a pod, made real as folders on this machine."""

import base64
import time
from dataclasses import dataclass
from pathlib import Path

from fabula_local.client import Api
from fabula_local.kinds import CONFIG_MAP, SECRET, SERVICE_ACCOUNT, VOLUME_CLAIM, Obj
from fabula_local.node.environment import field_value, resource_value

TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105
REFRESH_AT = 0.8
"""Share of a token's life after which it is replaced, as the kubelet does."""
DEFAULT_TOKEN_SECONDS = 3600


class VolumeError(Exception):
    """A volume cannot be made yet; the message says which and why."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token that must be replaced while the pod runs."""

    path: Path
    audience: str
    seconds: int
    mode: int

    def refresh_in(self) -> float:
        """Seconds until it is due; 0 or less if it is missing or overdue."""
        try:
            written = self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        return written + self.seconds * REFRESH_AT - time.time()


class Volumes:
    """Makes the volumes of one pod and keeps their tokens fresh."""

    def __init__(self, api: Api, pod: Obj, folder: Path, claims: Path) -> None:
        self._api = api
        self._pod = pod
        self._namespace = pod["metadata"]["namespace"]
        self._folder = folder
        self._claims = claims
        self.tokens: list[TokenFile] = []

    async def make(self) -> dict[str, Path]:
        """Volume name -> folder or file. Can be repeated; VolumeError if something is missing."""
        self.tokens.clear()
        paths: dict[str, Path] = {}
        for volume in self._pod["spec"].get("volumes") or ():
            try:
                paths[volume["name"]] = await self._make(volume)
            except VolumeError as error:
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error
        return paths

    async def refresh_tokens(self) -> float | None:
        """Replace the tokens that are due; seconds until the next one is."""
        for token in self.tokens:
            if token.refresh_in() <= 0:
                await self._write_token(token)
        return min((token.refresh_in() for token in self.tokens), default=None)

    async def _make(self, volume: Obj) -> Path:
        if "hostPath" in volume:
            return _host_path(volume)
        if "persistentVolumeClaim" in volume:
            return await self._claim(volume["persistentVolumeClaim"]["claimName"])
        root = self._folder / str(volume["name"])
        root.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            root.chmod(0o777)
        elif "configMap" in volume:
            source = volume["configMap"]
            await self._config_map(root, source, source.get("defaultMode", 0o644))
        elif "secret" in volume:
            source = volume["secret"]
            renamed = {**source, "name": source["secretName"]}
            await self._secret(root, renamed, source.get("defaultMode", 0o644))
        elif "downwardAPI" in volume:
            self._downward(root, volume["downwardAPI"], volume["downwardAPI"].get("defaultMode", 0o644))
        elif "projected" in volume:
            await self._projected(root, volume["projected"])
        else:
            kind = next((key for key in volume if key != "name"), "nothing")
            raise VolumeError(f'volume "{volume["name"]}" is a {kind}, which the process node does not offer')
        return root

    async def _projected(self, root: Path, source: Obj) -> None:
        mode = source.get("defaultMode", 0o644)
        for part in source.get("sources") or ():
            if "serviceAccountToken" in part:
                entry = part["serviceAccountToken"]
                seconds = int(entry.get("expirationSeconds", DEFAULT_TOKEN_SECONDS))
                token = TokenFile(root / entry["path"], entry.get("audience", ""), seconds, mode)
                self.tokens.append(token)
                if token.refresh_in() <= 0:
                    await self._write_token(token)
            elif "configMap" in part:
                await self._config_map(root, part["configMap"], mode)
            elif "secret" in part:
                await self._secret(root, part["secret"], mode)
            elif "downwardAPI" in part:
                self._downward(root, part["downwardAPI"], mode)
            else:
                raise VolumeError(f"projected source {', '.join(part)} is not offered by the process node")

    async def _write_token(self, token: TokenFile) -> None:
        meta, spec = self._pod["metadata"], self._pod["spec"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        request: Obj = {"expirationSeconds": token.seconds, "boundObjectRef": bound}
        if token.audience:
            request["audiences"] = [token.audience]
        path = SERVICE_ACCOUNT.path(self._namespace, spec.get("serviceAccountName") or "default", "token")
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": request}
        answer = await self._api.request("POST", path, body=body)
        # Tokens are for the pod's processes alone, whatever mode the other files of the volume have.
        _write(token.path, answer["status"]["token"].encode(), token.mode & 0o600 or 0o600)

    async def _config_map(self, root: Path, source: Obj, mode: int) -> None:
        config_map = await self._api.find(CONFIG_MAP, source["name"], self._namespace)
        if config_map is None:
            if source.get("optional"):
                return
            raise VolumeError(f'configmap "{source["name"]}" not found')
        data = {key: value.encode() for key, value in (config_map.get("data") or {}).items()}
        data.update({key: base64.b64decode(value) for key, value in (config_map.get("binaryData") or {}).items()})
        _write_items(root, data, source, mode, f'configmap "{source["name"]}"')

    async def _secret(self, root: Path, source: Obj, mode: int) -> None:
        secret = await self._api.find(SECRET, source["name"], self._namespace)
        if secret is None:
            if source.get("optional"):
                return
            raise VolumeError(f'secret "{source["name"]}" not found')
        data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        _write_items(root, data, source, mode & 0o600 or 0o600, f'secret "{source["name"]}"')

    def _downward(self, root: Path, source: Obj, mode: int) -> None:
        for item in source.get("items") or ():
            if "fieldRef" in item:
                text = field_value(self._pod, item["fieldRef"]["fieldPath"])
            else:
                ref = item["resourceFieldRef"]
                wanted = (entry for entry in self._pod["spec"]["containers"] if entry["name"] == ref["containerName"])
                text = resource_value(next(wanted), ref)
            _write(root / item["path"], text.encode(), item.get("mode", mode))

    async def _claim(self, name: str) -> Path:
        claim = await self._api.find(VOLUME_CLAIM, name, self._namespace)
        if claim is None:
            raise VolumeError(f'persistentvolumeclaim "{name}" not found')
        root = self._claims / f"{self._namespace}_{name}"
        root.mkdir(parents=True, exist_ok=True)
        return root


def _host_path(volume: Obj) -> Path:
    source = volume["hostPath"]
    path = Path(source["path"])
    kind = source.get("type") or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch(exist_ok=True)
    elif (kind == "Directory" and not path.is_dir()) or (kind == "File" and not path.is_file()):
        raise VolumeError(f'hostPath type check failed: {path} is not a {kind.lower()} (volume "{volume["name"]}")')
    return path


def _write_items(root: Path, data: dict[str, bytes], source: Obj, mode: int, what: str) -> None:
    items = source.get("items")
    if items is None:
        items = [{"key": key, "path": key} for key in data]
    for item in items:
        if item["key"] not in data:
            if source.get("optional"):
                continue
            raise VolumeError(f"{what} has no key {item['key']!r}")
        _write(root / item["path"], data[item["key"]], item.get("mode", mode))


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace the file at once: a reader sees the old or the new content, and never a wider mode than asked for."""
    if ".." in path.parts:
        raise VolumeError(f"path {path.name} leaves its volume")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.chmod(mode)
    fresh.replace(path)
