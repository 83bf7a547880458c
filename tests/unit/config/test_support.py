"""What this version does not do."""

from pathlib import Path

import pytest

from sidecar import __version__
from sidecar.config.model import Config
from sidecar.config.support import NOT_BUILT
from tests.support.configs import MINIMAL, refusal, service

TOP = ["facade: {}"]
ALLOWED = [
    "via: true",
    "protection: {second_opinion: false, on_empty: obey}",
    "host_header: endpoint",
    "keepalive: {idle_timeout: 0s}",
    "required: false",
    "protocol: http1\ntls: null",
    "tls: {}",
]


@pytest.mark.parametrize("line", TOP)
def test_a_key_at_the_top_that_is_not_built_is_refused(tmp_path: Path, line: str) -> None:
    """With this version's number."""
    (found,) = refusal(tmp_path, MINIMAL + line + "\n")
    assert f": not supported in {__version__}: leave it at " in found


def test_a_default_written_out_passes(tmp_path: Path) -> None:
    """In any spelling."""
    text = "facade: ~\n"
    assert refusal(tmp_path, MINIMAL + text) == []


@pytest.mark.parametrize("body", ALLOWED)
def test_what_is_built_passes_at_any_value(tmp_path: Path, body: str) -> None:
    """A second opinion that is not wanted is what happens today."""
    assert refusal(tmp_path, service(body)) == []


def test_the_table_names_keys_that_exist() -> None:
    """A key that is renamed cannot fall out of it unseen."""
    assert set(NOT_BUILT) <= Config.model_fields.keys()


def test_the_example_marks_what_is_not_built() -> None:
    """Its remark stands at each such key and at no other."""
    text = (Path(__file__).parents[3] / "config/sidecar.example.yaml").read_text()
    assert sum("later" in line for line in text.splitlines()) == len(NOT_BUILT) + 1
