"""The pictures of a request, opened once in one way for every engine."""

from __future__ import annotations

import logging

from PIL import Image

from fabula_workloads.inference.request import Failure, Request
from fabula_workloads.pictures.opening import UnfitPicture, open_picture

_log = logging.getLogger(__name__)


def opened(request: Request) -> list[Image.Image] | Failure:
    """The request's pictures in order; the Failure of its answer where one of them cannot be used."""
    pictures = []
    for path in request.pictures:
        try:
            pictures.append(open_picture(path))
        except UnfitPicture as error:
            _log.warning("%s cannot be answered: its picture %s %s", request.sample, path.name, error.what)
            return Failure(f"Photo{error.reason}")
    return pictures
