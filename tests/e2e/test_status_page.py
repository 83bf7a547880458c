"""The status page in a real browser."""

import asyncio
from pathlib import Path

import pytest

from sidecar.admin.server import AdminServer
from tests.support.admin_backend import ScriptedBackend
from tests.support.clusters import Stage
from tests.support.needs import find
from tests.support.until import PATIENCE

pytestmark = pytest.mark.needs("chromium")


async def _rendered(url: str, profile: Path) -> tuple[str, str]:
    """The document after its script ran, and what the browser had to say."""
    browser = await asyncio.create_subprocess_exec(
        find("chromium") or "chromium",
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={profile}"),
        *("--dump-dom", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(browser.communicate(), PATIENCE)
    return out.decode(), err.decode()


async def test_style_and_script_run_under_the_pages_own_policy(tmp_path: Path) -> None:
    """The script shows the controls and hides what is not searched for; the browser refuses nothing of ours."""
    orders = Stage()
    orders.lists("ab")
    server = AdminServer(ScriptedBackend(orders.cluster), allow_remote=[])
    bound = await server.open("127.0.0.1", 0)
    try:
        dom, said = await _rendered(f"http://{bound}/#stock", tmp_path)
    finally:
        await server.close()
    assert '<p class="controls">' in dom
    assert '<section id="orders" hidden="">' in dom
    assert "Content Security Policy" not in said
