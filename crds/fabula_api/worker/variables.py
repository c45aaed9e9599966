"""Environment variables that a worker pod is told by."""

from __future__ import annotations

CONFIG_VARIABLE = "FABULA_CONFIG"
"""Environment variable with the WorkerConfig as JSON."""
SHARD_VARIABLE = "JOB_COMPLETION_INDEX"
TERMINATION_LOG_VARIABLE = "FABULA_TERMINATION_LOG"
"""Path of the termination message; default `/dev/termination-log`."""
FORK_SERVERS_VARIABLE = "FABULA_FORK_SERVERS"
"""Folder of sockets of servers on this machine that have libraries loaded: `DEVICE-QUANTIZATION` those of training and
inference, `stages` what other stages import. Small runs that share them load them once; without it each pod does, and
each training run has a server of its own."""
MODEL_CACHE_VARIABLE = "FABULA_MODEL_CACHE"
"""Folder for models of the Hub that pods share; without it, each keeps its own."""
ARTIFACT_CACHE_VARIABLE = "FABULA_ARTIFACT_CACHE"
"""Folder for copies of artifacts that pods share; without it, each keeps its own."""
METRICS_PORT_VARIABLE = "FABULA_METRICS_PORT"
SERVER_URL_VARIABLE = "KUBEFLOW_TRAINER_SERVER_URL"
SERVER_CA_VARIABLE = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
SERVER_TOKEN_VARIABLE = "KUBEFLOW_TRAINER_SERVER_TOKEN"  # noqa: S105 - the name of a variable that holds a file's path
