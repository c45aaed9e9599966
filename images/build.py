"""Builds the images with buildah or docker: `python3 images/build.py [--stand-in] [IMAGE...]`, from any Python 3.11.

A build by buildah sees this machine's certificates and pip configuration while it installs; neither is in an image.
Where no registry can be reached, `--stand-in` makes the base from Debian's packages.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ("operator", "cpu", "gpu", "gpu-vllm")
STAND_IN = "localhost/fabula-base:bookworm"
CERTIFICATES = Path("/etc/ssl/certs")
# What decides where pip finds packages; the rest of a configuration is the machine's own affair.
PLACES = ("index-url", "extra-index-url", "find-links", "constraint", "cert", "trusted-host", "proxy", "timeout")


def run(*command: str) -> None:
    """Run a command, or end with its exit code."""
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(command[:2])}")


def told(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def pip_configuration() -> dict[str, str]:
    """Where this machine's pip finds packages: its files, then its environment, which has the last word."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    places: dict[str, str] = {}
    for section, key, value in re.findall(r"^([^.\n]+)\.([^=\n]+)='(.*)'$", listed, re.MULTILINE):
        if key in PLACES and (key not in places or section == ":env:"):
            places[key] = value.replace("\\n", " ")
    return places


@contextmanager
def from_this_machine() -> Iterator[list[str]]:
    """Options of `buildah build` that lend a build what installing takes here. Mounts leave nothing in an image."""
    settings = pip_configuration()
    folders = {CERTIFICATES} if CERTIFICATES.is_dir() else set()
    # Pages of an index that lies on a disk name files beside their folder.
    folders |= {
        Path(word.removeprefix("file://").removesuffix("/simple"))
        for word in " ".join(settings.values()).split()
        if word.startswith(("/", "file://"))
    }
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "pip.conf"
        file.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
        mounts = [f"{file}:/etc/pip.conf:ro"]
        mounts += [f"{folder}:{folder}:ro" for folder in sorted(folders) if folder.is_absolute() and folder.exists()]
        yield [f"--volume={mount}" for mount in mounts]


def stand_in() -> str:
    """A base of Debian's own packages, in place of the one that a registry has; its name."""
    if STAND_IN not in told("buildah", "images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as scratch:
            folder = Path(scratch) / "root"
            packages = "--include=python3,python3-venv,ca-certificates"
            run("debootstrap", "--variant=minbase", packages, "bookworm", str(folder))
            for left in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
                shutil.rmtree(folder / left, ignore_errors=True)
            container = told("buildah", "from", "scratch")
            run("buildah", "add", "--quiet", container, str(folder), "/")
            run("buildah", "commit", "--quiet", "--rm", container, STAND_IN)
    return STAND_IN


def build(image: str, builder: str, name: str, arguments: dict[str, str], options: list[str]) -> None:
    """Build one image."""
    given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    if builder == "buildah":
        # Docker's format knows health commands; chroot needs no runtime and no rights beyond a user namespace.
        options = ["--isolation=chroot", "--format=docker", "--layers", *options]
    run(builder, "build", f"--file=images/{image}/Dockerfile", f"--tag={name}", *given, *options, ".")


def size(builder: str, name: str) -> int:
    """Bytes of an image, unpacked."""
    if builder == "docker":
        return int(told("docker", "image", "inspect", "--format={{.Size}}", name))
    container = told("buildah", "from", "--pull-never", name)
    try:
        return int(told("du", "-sb", told("buildah", "mount", container)).split()[0])
    finally:
        told("buildah", "rm", container)


def main() -> None:
    """Entry of `python3 images/build.py`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(IMAGES)}; default: operator cpu")
    parser.add_argument("--repository", default="fabula", help="what stands before each name (default: fabula)")
    parser.add_argument("--tag", help="default: the version in pyproject.toml")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="for the Dockerfile")
    parser.add_argument("--stand-in", action="store_true", help="make the base here (buildah and debootstrap, as root)")
    parser.add_argument("--builder", choices=("buildah", "docker"), help="default: the one that is here")
    parser.add_argument("--print-tag", action="store_true", help="only say which tag images get by themselves")
    given = parser.parse_args()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if given.print_tag:
        print(version)
        return
    if unknown := set(given.images) - set(IMAGES):
        parser.error(f"no image {', '.join(sorted(unknown))}; there are {', '.join(IMAGES)}")
    builder = given.builder or next((program for program in ("buildah", "docker") if shutil.which(program)), None)
    if builder is None:
        sys.exit("neither buildah nor docker is here; Debian and Ubuntu have buildah: apt-get install buildah")
    if given.stand_in and (builder != "buildah" or not shutil.which("debootstrap")):
        sys.exit("--stand-in makes the base with buildah and debootstrap: apt-get install buildah debootstrap")
    if unclear := next((argument for argument in given.build_arg if "=" not in argument), None):
        parser.error(f"--build-arg {unclear}: say NAME=VALUE")
    arguments = {"VERSION": version, "REVISION": told("git", "rev-parse", "HEAD")}
    options: list[str] = []
    if given.stand_in:
        arguments["BASE"] = stand_in()
        options.append("--pull-never")
    arguments |= dict(argument.split("=", 1) for argument in given.build_arg)
    with from_this_machine() as lent:
        for image in given.images or ("operator", "cpu"):
            # Debian's Python, unlike the registry's, has its headers in a package of its own.
            headers = {"HEADERS": "libpython3-dev"} if given.stand_in and image.startswith("gpu") else {}
            name, began = f"{given.repository}/{image}:{given.tag or version}", time.monotonic()
            build(image, builder, name, arguments | headers, options + (lent if builder == "buildah" else []))
            seconds, megabytes = time.monotonic() - began, size(builder, name) / 1e6
            print(f"{name}: {megabytes:,.0f} MB, built in {seconds / 60:.1f} min", flush=True)


if __name__ == "__main__":
    main()
