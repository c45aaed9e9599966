"""`in_container.py CONTAINER FOLDER STAGE`: a worker of the laptop's cluster, inside a working container of buildah's.

The pod's environment goes with it, and the cluster's state folder, mounted where it lies: its volumes are below it. It
is opened to all first, as `fsGroup` does for a pod's volumes.
"""

from __future__ import annotations

import os
import subprocess
import sys

USER = 10001
OF_THIS_MACHINE = frozenset({"PATH", "USER", "LANG", "LC_ALL"})


def main() -> None:
    container, folder, *words = sys.argv[1:]
    # Other pods' files come and go meanwhile.
    subprocess.run(["chmod", "-R", "a+rwX", folder], stderr=subprocess.DEVNULL, check=False)
    environment = [f"--env={key}={value}" for key, value in os.environ.items() if key not in OF_THIS_MACHINE]
    options = ["--isolation=chroot", f"--user={USER}:{USER}", f"--volume={folder}:{folder}", *environment]
    os.execvp("buildah", ["buildah", "run", *options, container, "--", "fabula-worker", *words])


if __name__ == "__main__":
    main()
