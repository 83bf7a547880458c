"""Which of many pairs of client and server every run has: a test names them, the others are the matrix."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before those that are not asked for are left out."""
    for item in items:
        always = item.get_closest_marker("always")
        if always is not None and isinstance(item, pytest.Function):
            params = item.callspec.params
            if (params["client"], params["nacos_server"]) not in always.args:
                item.add_marker("matrix")
