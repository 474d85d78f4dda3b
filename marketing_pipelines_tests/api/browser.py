"""Headless Chromium for tests of pages; skips where Playwright or a browser is missing."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def chromium(*flags: str, **options: Any) -> Iterator[Any]:
    """A page of a fresh browser; `options` are those of its context, `flags` the browser's own."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = next(
            (
                p
                for p in (own, shutil.which("chromium"), shutil.which("google-chrome"))
                if exists(p)
            ),
            None,
        )
        if path is None:
            pytest.skip("no Chromium is installed")
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield browser.new_context(**options).new_page()
        finally:
            browser.close()


def exists(path: str | None) -> bool:
    return path is not None and os.access(path, os.X_OK)
