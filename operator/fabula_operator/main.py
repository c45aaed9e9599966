"""The command `fabula-operator`."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence

import uvloop

from fabula_api.outside import plain
from fabula_api.recipes import RecipesBroken, broken, recipes
from fabula_operator.service import LeaseLost, Operator
from fabula_operator.settings import Settings, read

logger = logging.getLogger("fabula_operator")
COLLECTIONS = 10_000, 20, 20
"""Objects until the youngest are looked at, and how often until the older ones are. Python's own figures took a
quarter of the time in which lists are read."""
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class PlainFormatter(logging.Formatter):
    """Whatever names and messages come from the cluster: each record is a line, and no terminal obeys it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = plain(record.message)
        return super().formatMessage(record)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the operator until SIGTERM or SIGINT. Exit code 1 when the lease was lost."""
    settings = read(arguments)
    _log(settings.log_level)
    try:
        recipes()
        for problem in broken().values():
            # Its runs wait and say so; those of all other recipes go on.
            logger.error("%s", problem)
        # What is loaded by now stays, so no collection need look at it again: that took a tenth of the time of looks.
        gc.freeze()
        # A page of a list is some ten thousand objects that are gone a moment later, and none of them in a circle.
        gc.set_threshold(*COLLECTIONS)
        sys.exit(uvloop.run(_run(settings)))
    except (ValueError, RecipesBroken) as error:
        logger.error("%s", error)
        sys.exit(1)


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await Operator(settings).run(stop)
    except LeaseLost as lost:
        logger.error("%s; ending, so that two operators never work at once", lost)
        return 1
    logger.info("stopped")
    return 0


def _log(level: str) -> None:
    logging.basicConfig(level=level, stream=sys.stdout, format=FORMAT, force=True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(PlainFormatter(FORMAT))
    # kopf tells of each request that it makes again, and of each stream that it begins.
    for noisy in ("kopf", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
