# nacos-sidecar: one process, no shell, no root, no writable disk but a temporary folder.
#
# BASE needs Python 3.11 or later with libstdc++, and pip for the first stage. Behind a registry mirror, or without any network, put
# wheels into wheels/ and build with --build-arg PIP_OPTIONS="--no-index --find-links wheels".
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG PIP_OPTIONS=""
WORKDIR /src
COPY . .
# One folder that the second stage takes over whole; pip compiles its bytecode, which a read-only root could not keep.
RUN python3 -m pip install --no-cache-dir --root-user-action ignore --target /opt/nacos-sidecar --constraint constraints.txt ${PIP_OPTIONS} .

FROM ${BASE}
LABEL org.opencontainers.image.title="nacos-sidecar" \
      org.opencontainers.image.description="Makes restarts of Nacos-registered providers invisible to apps that cannot be changed"
COPY --from=build /opt/nacos-sidecar /opt/nacos-sidecar
ENV PATH=/opt/nacos-sidecar/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/nacos-sidecar \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    SIDECAR_CONFIG=/etc/nacos-sidecar/sidecar.yaml
WORKDIR /tmp
USER 65532:65532
EXPOSE 15001 19901
STOPSIGNAL SIGTERM
ENTRYPOINT ["nacos-sidecar"]
CMD ["run"]
