"""Templates of the pages, and the addresses that are pages."""

import datetime as dt
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from marketing_pipelines.observability.alerts import page_of_run

HOME, PAGES = "/admin", "/admin/pages"
SIGN_IN, SIGN_OUT = f"{PAGES}/sign-in", f"{PAGES}/sign-out"
STYLE = "/static/admin.css"

_environment = Environment(
    loader=PackageLoader("marketing_pipelines.api", "pages/templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def is_page(path: str) -> bool:
    """Returns true if the address is a page for a browser."""
    return path in (HOME, PAGES) or path.startswith(f"{PAGES}/")


def render(template: str, **values: Any) -> str:
    """The page as HTML; values are escaped."""
    return _environment.get_template(template).render(values)


def _minute(value: dt.datetime | None) -> str:
    return "" if value is None else f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}"


def _duration(milliseconds: int | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:,.1f}"


_environment.filters |= {"instant": _minute, "seconds": _duration}
_environment.globals |= {
    "HOME": HOME,
    "PAGES": PAGES,
    "SIGN_IN": SIGN_IN,
    "SIGN_OUT": SIGN_OUT,
    "STYLE": STYLE,
    "page_of_run": page_of_run,
}
