"""The contract between the operator and a worker pod: config in, progress, result and exit code out."""

from fabula_api.specs import Spec
from fabula_api.worker.config import (
    ARTIFACT_CACHE_VARIABLE,
    CONFIG_VARIABLE,
    FORK_SERVERS_VARIABLE,
    METRICS_PORT_VARIABLE,
    MODEL_CACHE_VARIABLE,
    SERVER_CA_VARIABLE,
    SERVER_TOKEN_VARIABLE,
    SERVER_URL_VARIABLE,
    SHARD_VARIABLE,
    TERMINATION_LOG_VARIABLE,
    RunReference,
    StageInput,
    WorkerConfig,
)
from fabula_api.worker.ends import (
    FINAL_EXIT_CODES,
    GRACE_TOO_SHORT,
    GRADIENT_NOT_FINITE,
    LOSS_NOT_FINITE,
    PEER_LOST,
    ExitCode,
)
from fabula_api.worker.reports import (
    FIGURES,
    ITEMS,
    RESUMED_METRIC,
    SHARDS,
    Allowance,
    Counts,
    FigureName,
    Figures,
    Items,
    ProgressBody,
    QuotaLease,
    QuotaPart,
    StageCondition,
    StageReport,
    TrainerMetric,
    TrainerStatus,
)
from fabula_api.worker.result import PACKED_LIMIT, TERMINATION_LIMIT, WorkerResult, packed, unpacked

__all__ = [
    "ARTIFACT_CACHE_VARIABLE", "CONFIG_VARIABLE", "FIGURES", "FINAL_EXIT_CODES", "FORK_SERVERS_VARIABLE",
    "GRACE_TOO_SHORT", "GRADIENT_NOT_FINITE", "ITEMS", "LOSS_NOT_FINITE", "METRICS_PORT_VARIABLE",
    "MODEL_CACHE_VARIABLE", "PACKED_LIMIT", "PEER_LOST", "RESUMED_METRIC", "SERVER_CA_VARIABLE",
    "SERVER_TOKEN_VARIABLE", "SERVER_URL_VARIABLE", "SHARDS", "SHARD_VARIABLE", "TERMINATION_LIMIT",
    "TERMINATION_LOG_VARIABLE", "Allowance", "Counts", "ExitCode", "FigureName", "Figures", "Items",
    "ProgressBody", "QuotaLease", "QuotaPart", "RunReference", "Spec", "StageCondition", "StageInput",
    "StageReport", "TrainerMetric", "TrainerStatus", "WorkerConfig", "WorkerResult", "packed", "unpacked",
]  # fmt: skip
