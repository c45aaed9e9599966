"""One JSON object a line on standard error: what the control plane says of itself."""

import json
import logging
import sys

from fabula_local import timestamps


class JsonLines(logging.Formatter):
    """time, level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": timestamps.rfc3339_micro(timestamps.now()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(level: int = logging.INFO) -> None:
    """Send the logs of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("kubernetes", "aiohttp.client"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
