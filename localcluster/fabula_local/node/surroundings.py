"""What a pod's containers are started with: volumes, GPUs, a token, and what their variables refer to."""

import base64
from typing import Protocol

from fabula_local.client import Api
from fabula_local.events import EventRecorder
from fabula_local.kinds import CONFIG_MAP, SECRET, SERVICE, Obj
from fabula_local.node.devices import GPU, Devices
from fabula_local.node.environment import Sources, referenced
from fabula_local.node.launch import Surroundings
from fabula_local.node.ports import LocalPorts
from fabula_local.node.records import PodFolder
from fabula_local.node.rewriting import ServiceHosts
from fabula_local.node.scheduling import requests
from fabula_local.node.service_account import default_token
from fabula_local.node.settings import NodeSettings
from fabula_local.node.volumes import VolumeError, Volumes


class Host(Protocol):
    """What pods share on a node."""

    api: Api
    settings: NodeSettings
    devices: Devices
    ports: LocalPorts
    events: EventRecorder
    inherited: dict[str, str]


async def surroundings(host: Host, pod: Obj, volumes: Volumes, folder: PodFolder) -> Surroundings:
    """Make it. Raises VolumeError, or ApiError, for what is not there yet."""
    meta = pod["metadata"]
    wanted = int(requests(pod).get(GPU, 0))
    devices = host.devices.take(meta["uid"], wanted, folder.path)
    if devices is None:
        raise VolumeError(f"{wanted} {GPU} are not free yet")
    volume_paths = await volumes.make()
    token_folder = await default_token(host.api, pod, volumes, folder.volumes)
    sources = await _sources(host.api, pod)
    services, _ = await host.api.list(SERVICE)
    host.ports.keep_only(services)
    url = host.api.base_url
    return Surroundings(
        sources=sources,
        volumes=volume_paths,
        services=ServiceHosts(services, meta["namespace"], host.ports.port_of),
        inherited=host.inherited,
        api_host=url.host or "",
        api_port=url.port or 443,
        devices=devices,
        node_has_gpus=host.devices.count > 0,
        token_folder=token_folder,
    )


async def _sources(api: Api, pod: Obj) -> Sources:
    """The ConfigMaps and Secrets that its variables refer to; None for one that is not there."""
    config_maps, secrets = referenced(pod)
    namespace = pod["metadata"]["namespace"]
    texts: dict[str, dict[str, str] | None] = {}
    for name in config_maps:
        config_map = await api.find(CONFIG_MAP, name, namespace)
        texts[name] = None if config_map is None else (config_map.get("data") or {})
    decoded: dict[str, dict[str, str] | None] = {}
    for name in secrets:
        secret = await api.find(SECRET, name, namespace)
        data = None if secret is None else (secret.get("data") or {})
        decoded[name] = None if data is None else {k: base64.b64decode(v).decode() for k, v in data.items()}
    return Sources(texts, decoded)
