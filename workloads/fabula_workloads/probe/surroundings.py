"""What every pod relies on: its scratch folder, the store, the status server, the cache of models, the Hub."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from fabula_api.probe import Finding
from fabula_api.worker import MODEL_CACHE_VARIABLE, SERVER_CA_VARIABLE, SERVER_URL_VARIABLE
from fabula_workloads.models.hub_settings import hub_endpoint
from fabula_workloads.runtime.failures import WorkerError
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.status_server import answer
from fabula_workloads.runtime.store import Store

_SECONDS = 20.0
STORE = "store"


def scratch(folder: Path) -> Finding:
    """Whether the pod's scratch folder can be written."""
    try:
        written(folder)
    except OSError as error:
        return Finding(about="scratch", state="MISSING", said=f"{folder} cannot be written: {error.strerror}")
    return Finding(about="scratch", state="OK", said=f"{folder}, {free(folder):,.0f} GB free")


def store(root: str, folder: str) -> Finding:
    """Whether the store can be used by this pod."""
    place = f"{root}/{folder}"
    try:
        return judge_store(open_store(place), place)
    except WorkerError as error:
        return Finding(about=STORE, state="MISSING", said=f"{error.reason}: {error.message}"[:600])


def judge_store(store: Store, place: str) -> Finding:
    """Whether it keeps, gives back and forgets, and whether it commits: the second of two conditional writes has to be
    refused. Raises WorkerError."""
    path = f".fabula-probe-{uuid.uuid4().hex}"
    try:
        store.write_if_absent(path, b"first")
        again = store.write_if_absent(path, b"second")
        kept = store.read(path)
    finally:
        store.delete(path)
    if again or kept != b"first":
        said = f"{place} does not refuse a conditional write (If-None-Match) where something is: two pods could commit"
        return Finding(about=STORE, state="DIFFERS", said=f"{said} one artifact. Use a server that does")
    if store.exists(path):
        return Finding(about=STORE, state="DIFFERS", said=f"{place} still has a file that was deleted")
    return Finding(about=STORE, state="OK", said=f"{place}: written, committed once, read and deleted")


def status_server() -> Finding:
    """Whether workers reach the status server: any answer to a request without a token shows it."""
    about, url = "status server", os.environ.get(SERVER_URL_VARIABLE, "")
    authority = Path(os.environ.get(SERVER_CA_VARIABLE, ""))
    if not authority.is_file():
        said = "not tried: the operator leaves its authority in a namespace when the first run comes; try again then"
        return Finding(about=about, state="NOTE", said=said)
    try:
        asked = urllib.request.Request(url)  # noqa: S310 - told by the operator
        with answer(asked, authority, _SECONDS):
            code = 200
    except urllib.error.HTTPError as error:
        code = error.code
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        said = f"{url.rpartition('/v1alpha1')[0]}: {why}. Runs end all the same, but show no progress: look at network "
        return Finding(about=about, state="MISSING", said=f"{said}policies, and at the host of statusServer.url")
    if code in (401, 403, 404, 405):
        return Finding(about=about, state="OK", said=f"answers over TLS, and refuses who has no token ({code})")
    return Finding(about=about, state="DIFFERS", said=f"{code} in place of a refusal: something else answers there")


def model_cache() -> Finding | None:
    """Whether the cache of models can be written; None where the installation has none."""
    about, folder = "model cache", os.environ.get(MODEL_CACHE_VARIABLE)
    if not folder:
        return None
    try:
        written(Path(folder))
    except OSError as error:
        said = f"{folder} cannot be written by user {os.getuid()}: {error.strerror}"
        return Finding(about=about, state="MISSING", said=f"{said}. Give it to user 10001")
    return Finding(about=about, state="OK", said=f"{folder}, {free(Path(folder)):,.0f} GB free")


def hub() -> Finding:
    """Whether the Hugging Face Hub answers."""
    try:
        url = hub_endpoint()
    except WorkerError as error:
        return Finding(about="Hub", state="MISSING", said=error.message)
    token = "with HF_TOKEN" if os.environ.get("HF_TOKEN") else "without HF_TOKEN: gated models cannot be had"
    try:
        with urllib.request.urlopen(f"{url}/api/models?limit=1", timeout=_SECONDS):  # noqa: S310 - the installation's
            pass
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        said = f"{url} does not answer ({why}): models have to lie in the store, or in the cache"
        return Finding(about="Hub", state="NOTE", said=said)
    return Finding(about="Hub", state="OK", said=f"{url} answers; {token}")


def written(folder: Path) -> None:
    """Write and remove a small file. Raises OSError."""
    file = folder / f".fabula-probe-{uuid.uuid4().hex}"
    file.write_bytes(b"probe")
    file.unlink()


def free(folder: Path) -> float:
    """Gigabytes."""
    return shutil.disk_usage(folder).free / 1e9
