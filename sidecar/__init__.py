"""nacos-sidecar: carries an app's outbound calls so that restarts of its providers stay invisible to it."""

__version__ = "0.1.0"
