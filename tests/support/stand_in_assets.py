"""Programs in place of etcd and kube-apiserver, for tests of who keeps them alive: same flags, same ports, same files.

The API server is the laptop's own, behind the certificates, the token and the port it is given; it ends when its store
does not answer at its start, as the real one does. The store is the real etcd where one was built for the tests, else a
process that holds etcd's port.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.real_crd_server import VARIABLE, built

_ETCD = """#!{python}
import http.server, sys
from urllib.parse import urlsplit
flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
port = urlsplit(flags["listen-client-urls"]).port
http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler).serve_forever()
"""
_APISERVER = """#!{python}
import os, shutil, socket, sys
from pathlib import Path
from urllib.parse import urlsplit
flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
store = urlsplit(flags["etcd-servers"])
socket.create_connection((store.hostname, store.port), timeout=5).close()
state = Path(flags["cert-dir"]) / "stand-in"
pki = state / "pki"
pki.mkdir(parents=True, exist_ok=True)
shutil.copy(Path(flags["cert-dir"]) / "ca.crt", pki / "ca.crt")
shutil.copy(flags["tls-cert-file"], pki / "server-127.0.0.1.crt")
shutil.copy(flags["tls-private-key-file"], pki / "server-127.0.0.1.key")
(pki / "admin-token").write_text(Path(flags["token-auth-file"]).read_text().split(",")[0])
os.execv(sys.executable, [
    sys.executable, "-m", "fabula_local.apiserver", "--state-dir", str(state), "--port", flags["secure-port"],
])
"""


def make_assets(folder: Path) -> Path:
    """A folder as KUBEBUILDER_ASSETS names one."""
    folder.mkdir(parents=True)
    for name, text in (("etcd", _ETCD), ("kube-apiserver", _APISERVER)):
        path = folder / name
        path.write_text(text.replace("{python}", sys.executable))
        path.chmod(0o755)
    real = Path(os.environ.get(VARIABLE, folder / "none"))
    if built(real):
        shutil.copy(real / "etcd", folder / "etcd")
    return folder
