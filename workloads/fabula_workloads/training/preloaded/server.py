"""Loads the libraries of training once and is copied for each process that needs them.

`python -m fabula_workloads.training.preloaded.server LISTENER KIND`; LISTENER is a socket's descriptor, where
`client.py` asks, and KIND is `DEVICE-QUANTIZATION`, `stages` or `networks`. Importing torch, transformers and
DeepSpeed takes seconds of each process; a copy has them at once and shares their memory. The server has one thread and
touches no GPU, for neither survives a copy.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import logging
import os
import select
import signal
import socket
import sys
import traceback
from typing import Never

from fabula_workloads.training.messages.process import PARENT_VARIABLE, die_with_parent
from fabula_workloads.training.preloaded.client import LENGTH, NUMBER
from fabula_workloads.training.preloaded.ready import NETWORKS, STAGES

_log = logging.getLogger("fabula.train")
_PR_SET_NAME = 15
_ON_ANY_DEVICE = (
    "torch.distributed.run",
    "torch.distributed.launcher.api",
    "peft",
    "fabula_workloads.models.processor",
    "fabula_workloads.training.launcher.agent",
    "fabula_workloads.training.rank.entry",
    "fabula_workloads.training.rank.trainer",
    "fabula_workloads.training.model.tuned_model",
    # What is imported only where it is used: to read pictures and a model's folder, to encode, and to save.
    "PIL.PngImagePlugin",
    "PIL.JpegImagePlugin",
    "fabula_workloads.training.samples.encode",
    "fabula_workloads.training.model.loss",
    "fabula_workloads.models.fp32_update",
    "peft.utils.transformers_weight_conversion",
)
_ON_A_CPU = (
    "fabula_workloads.training.rank.run",
    "deepspeed.module_inject.auto_ep_layer",
    "deepspeed.runtime.superoffload.superoffload_stage3",
    "deepspeed.runtime.zero.muon.muon_optimizer",
)
"""DeepSpeed, and what it imports with its first engine."""
_NETWORKS = (
    "diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3",
    "diffusers.schedulers.scheduling_flow_match_euler_discrete",
    "transformers.models.clip.modeling_clip",
    "transformers.models.clip.tokenization_clip",
    "transformers.models.t5.modeling_t5",
    "transformers.models.t5.tokenization_t5",
    "fabula_workloads.metrics.clip_model",
)


def main() -> None:
    """Serve until the parent ends."""
    die_with_parent()
    listener, kind = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    if kind == STAGES:
        load_stages()
    elif kind == NETWORKS:
        load_networks()
    else:
        device, _, quantization = kind.partition("-")
        load(cuda=device == "cuda", quantized=quantization != "none")
    serve(listener)


def load_stages() -> None:
    """Import what the stages of all installed recipes import at their start, but for those that load torch."""
    from fabula_api.recipes import recipes
    from fabula_workloads.models.family import families

    for recipe in recipes().values():
        for stages in (*recipe.stages.values(), *recipe.dry_run.values()):
            for stage in stages:
                try:
                    importlib.import_module(stage.runs.partition(":")[0])
                except Exception as error:  # whoever runs that stage is told
                    _log.warning("%s was not loaded ahead: %s: %s", stage.runs, type(error).__name__, error)
    for name in ("fabula_workloads.command", "PIL.Image", "PIL.PngImagePlugin", "PIL.JpegImagePlugin", "numpy"):
        importlib.import_module(name)
    from fabula_workloads.runtime.aws_session import read_models

    with contextlib.suppress(Exception):  # wrong settings of AWS are told where they are used
        read_models("bedrock-runtime", "s3")
    families()
    build_models()
    gc.collect()
    gc.freeze()


def load_networks() -> None:
    """As `load_stages`, and what draws pictures and scores answers on a CPU."""
    from fabula_workloads.models.library_logs import quiet_diffusers
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    quiet_diffusers()
    for name in _NETWORKS:
        importlib.import_module(name)
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("clip")  # as below, for all models
    load_stages()


def build_models() -> None:
    """Make what validates the models that are imported: else each copy would, when it first wants one."""
    from fabula_api.base import Record

    below: list[type[Record]] = [Record]
    for model in below:
        below += model.__subclasses__()
        model.model_rebuild()


def load(*, cuda: bool, quantized: bool) -> None:
    """Import what a rank and torchrun's agent import.

    On GPUs without DeepSpeed and bitsandbytes: both ask the GPU what it can do when they are imported.
    """
    from fabula_api.recipes import recipes
    from fabula_workloads.models.family import families
    from fabula_workloads.training.rank.entry import prepare_libraries

    if cuda and quantized:
        return
    try:
        prepare_libraries(cuda=cuda, quantized=quantized)
        for name in (*_ON_ANY_DEVICE, *(() if cuda else _ON_A_CPU)):
            importlib.import_module(name)
        recipes()
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        for name in (name for family in families().values() for name in family.imports):
            importlib.import_module(name)
        for kind in (kind for family in families().values() for kind in family.model_types):
            importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
            # It compiles the patterns of all models that transformers knows, once a process: half a second.
            get_checkpoint_conversion_mapping(kind)
        build_models()
    except Exception as error:
        _log.warning("libraries were not loaded ahead: %s: %s", type(error).__name__, error)
    gc.collect()
    gc.freeze()  # or the copies would write to what they share at their first collection


def serve(listener: socket.socket) -> Never:
    """Fork for each request; tell how the copy ended; kill it when whoever asked for it is gone."""
    server = os.getpid()
    clients: dict[int, socket.socket] = {}  # by process id of the copy
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    waiting.register(woken, select.POLLIN)

    def forget(descriptor: int) -> None:
        with contextlib.suppress(KeyError):  # the client's end and the copy's may be heard in either order
            waiting.unregister(descriptor)

    while True:
        for descriptor, _ in waiting.poll():
            if descriptor == listener.fileno():
                client, _ = listener.accept()
                if (copy := os.fork()) == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for other in (listener, *clients.values()):
                        other.close()
                    os.close(woken)
                    os.close(wake)
                    become(client, server)
                _tell(client, copy)
                clients[copy] = client
                # Not for input: what the client sends is the copy's to read.
                waiting.register(client, select.POLLRDHUP)
            elif descriptor == woken:
                os.read(woken, 4096)
                for copy, status in _ended():
                    client = clients.pop(copy)
                    forget(client.fileno())
                    with client:
                        _tell(client, status)
            else:
                forget(descriptor)
                for copy, client in clients.items():
                    if client.fileno() == descriptor:
                        os.kill(copy, signal.SIGKILL)


def look_also_in(path: str) -> None:
    """Find modules, and with them recipes, where PYTHONPATH says, as a new process would."""
    if more := [folder for folder in path.split(os.pathsep) if folder and folder not in sys.path]:
        sys.path[:0] = more
        from fabula_api.recipes import installed

        installed.cache_clear()


def _ended() -> list[tuple[int, int]]:
    """Copies that have ended, with their status."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            copy, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if copy == 0:
            return ended
        ended.append((copy, status))


def _tell(client: socket.socket, number: int) -> None:
    try:
        client.sendall(NUMBER.pack(number))
    except OSError:
        return  # it was killed, and so was the copy


def become(client: socket.socket, server: int) -> Never:
    """In the copy: take over the client's folder, environment and streams, and run the module that it asks for."""
    code = 1
    try:
        size, streams, _, _ = socket.recv_fds(client, LENGTH.size, 3)
        if len(size) < LENGTH.size:
            os._exit(1)  # the client was killed before it had asked
        request = json.loads(client.recv(LENGTH.unpack(size)[0], socket.MSG_WAITALL))
        client.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        # Its parent is this server, which ends when the launcher does.
        os.environ.update(request["environment"] | {PARENT_VARIABLE: str(server)})
        die_with_parent()
        del os.environ[PARENT_VARIABLE]
        os.chdir(request["folder"])
        look_also_in(request["environment"].get("PYTHONPATH", ""))
        sys.argv = [request["module"], *request["arguments"]]
        # What `top` shows; all copies have the server's command line.
        ctypes.CDLL(None).prctl(_PR_SET_NAME, f"fabula-{request['name']}".encode())
        code = importlib.import_module(request["module"]).main() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
