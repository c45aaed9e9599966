"""The laptop cluster's Kubernetes API server.

Serves the wire API that kubectl, kopf and plain clients speak, from SQLite, in one process and for one machine.
"""

from fabula_local.apiserver.config import ServerConfig
from fabula_local.apiserver.server import RunningServer, StartError, serve

__all__ = ["RunningServer", "ServerConfig", "StartError", "serve"]
