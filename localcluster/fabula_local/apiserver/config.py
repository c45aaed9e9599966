"""Where the API server keeps its state and where it listens."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerConfig:
    """Settings of one API server."""

    state_dir: Path
    """Database, keys, certificates, port and kubeconfig. Created if missing; one server at a time may use it."""
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes the port of the last start from the state directory, or a free one, so that kubeconfig stays valid."""
    logs_dir: Path | None = None
    """Folder of `{namespace}_{pod}_{uid}/{container}/{restart}.log` files; defaults to `{state_dir}/pods`."""
    history_length: int = 8192
    """Changes of each kind that a watch can resume from; an older resourceVersion is answered 410."""

    @property
    def pod_logs(self) -> Path:
        """The folder from which pod logs are served."""
        return self.logs_dir if self.logs_dir is not None else self.state_dir / "pods"
