"""`python -m sidecar` is the same as `nacos-sidecar`."""

from sidecar.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
