"""Markup that cannot be broken out of: every text goes through one escaping constructor.

What a model wrote is foreign text; a page that shows it must not run it.
"""

from __future__ import annotations

from html import escape


class Markup(str):
    """A string that is HTML already. Everything else is text and is escaped by `tag`."""

    __slots__ = ()


Content = str | Markup | None


def tag(name: str, /, *content: Content, **attributes: str | None) -> Markup:
    """An element. Text and attributes are escaped; `class_` writes `class`; None leaves content or attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value, quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(*content)}</{name}>")


def void(name: str, /, **attributes: str) -> Markup:
    """An element without content, such as an image."""
    return Markup(tag(name, **attributes).removesuffix(f"</{name}>"))


def join(*content: Content) -> Markup:
    """Contents one behind the other, text escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in content if part is not None))


def badge(text: str, kind: str = "") -> Markup:
    """A small label: `good`, `bad`, `warn` or plain."""
    return tag("span", text, class_=f"badge {kind}".strip())
