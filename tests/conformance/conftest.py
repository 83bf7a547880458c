"""The data path in front of scripted instances, as the integration tests use it."""

from tests.integration.proxy.conftest import stack

__all__ = ["stack"]
