"""The kinds that an API server offers, as its discovery documents tell."""

import asyncio

from fabula_local.client import Api, ApiError
from fabula_local.kinds import Kind

NEEDED = {"list", "watch", "delete"}


async def discover(api: Api) -> list[Kind]:
    """Every kind whose objects can be listed, watched and deleted, in its preferred version.

    A group whose server does not answer is left out.
    """
    groups = (await api.request("GET", "/apis"))["groups"]
    preferred = [(group["name"], group["preferredVersion"]["version"]) for group in groups]
    pages = await asyncio.gather(*(_resources(api, group, version) for group, version in [("", "v1"), *preferred]))
    return [kind for page in pages for kind in page]


async def _resources(api: Api, group: str, version: str) -> list[Kind]:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        document = await api.request("GET", path)
    except ApiError:
        return []
    return [
        Kind(group, version, entry["kind"], entry["name"], bool(entry["namespaced"]))
        for entry in document["resources"]
        if "/" not in entry["name"] and set(entry["verbs"]) >= NEEDED
    ]
