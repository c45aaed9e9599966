"""The kinds that controllers and the node speak of, with their URLs.

A generic client needs no model classes: group, version and plural name are enough to reach any object.
"""

from fabula_kube.kinds import CONFIG_MAP as CONFIG_MAP
from fabula_kube.kinds import CRD as CRD
from fabula_kube.kinds import DEPLOYMENT as DEPLOYMENT
from fabula_kube.kinds import EVENT as EVENT
from fabula_kube.kinds import JOB as JOB
from fabula_kube.kinds import LEASE as LEASE
from fabula_kube.kinds import NAMESPACE as NAMESPACE
from fabula_kube.kinds import NODE as NODE
from fabula_kube.kinds import POD as POD
from fabula_kube.kinds import PYTORCH_JOB as PYTORCH_JOB
from fabula_kube.kinds import REPLICA_SET as REPLICA_SET
from fabula_kube.kinds import SECRET as SECRET
from fabula_kube.kinds import SERVICE as SERVICE
from fabula_kube.kinds import SERVICE_ACCOUNT as SERVICE_ACCOUNT
from fabula_kube.kinds import VOLUME_CLAIM as VOLUME_CLAIM
from fabula_kube.resource import Obj as Obj
from fabula_kube.resource import Resource

Kind = Resource


def uid_of(obj: Obj) -> str:
    """The object's uid."""
    return str(obj["metadata"]["uid"])


def key_of(obj: Obj) -> tuple[str, str]:
    """(namespace, name); the namespace is empty for cluster-scoped objects."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference that controls the object, if any."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def controller_reference(owner: Obj, kind: Kind) -> Obj:
    """An owner reference that makes `owner` the controller and keeps it until the dependent is gone."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": owner["metadata"]["name"],
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }
