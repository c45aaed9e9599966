"""Markup that cannot be broken out of: htpy writes and escapes it, for what a model wrote is foreign text.

A page that shows it must not run it.
"""

from __future__ import annotations

import htpy
from markupsafe import Markup

Content = str | Markup | None

__all__ = ["Content", "Markup", "badge", "join", "tag", "void"]


def tag(name: str, /, *content: Content, **attributes: str | None) -> Markup:
    """An element. Text and attributes are escaped; `class_` writes `class`; None leaves content or attribute out."""
    element: htpy.Element = getattr(htpy, name)
    return Markup(element(**attributes)[content])  # noqa: S704 - htpy has escaped it


def void(name: str, /, **attributes: str) -> Markup:
    """An element without content, such as an image."""
    element: htpy.VoidElement = getattr(htpy, name)
    return Markup(element(**attributes))  # noqa: S704 - htpy has escaped it


def join(*content: Content) -> Markup:
    """Contents one behind the other, text escaped."""
    return Markup(htpy.fragment[content])  # noqa: S704 - htpy has escaped it


def badge(text: str, kind: str = "") -> Markup:
    """A small label: `good`, `bad`, `warn` or plain."""
    return tag("span", text, class_=f"badge {kind}".strip())
