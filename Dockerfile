# The base image is an argument, so that a release can pin it by digest, and a closed network can use its own registry:
#   docker build --build-arg PYTHON_IMAGE=registry.example/python@sha256:… .
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# -- build: pip, the wheel and temporary files stay in this stage ----------------------
FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Only wheels: no package runs code of its own while it is installed, and no compiler is needed.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --only-binary :all: --require-hashes -r requirements-build.lock \
 && python -m venv --without-pip /opt/aep-bridge \
 && pip --python /opt/aep-bridge/bin/python install --only-binary :all: --require-hashes -r requirements.lock

COPY pyproject.toml README.md ./
COPY bridge bridge
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /dist . \
 && pip --python /opt/aep-bridge/bin/python install --no-deps --no-index /dist/*.whl \
 && /opt/aep-bridge/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/aep-bridge

# -- run ------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="aep-bridge" \
      org.opencontainers.image.description="Delivers events from Kafka to Adobe Experience Platform's streaming ingestion, and loses none." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Nothing is installed into a running container, so that it needs no pip.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip && rm -rf ~root/.cache

COPY --from=build /opt/aep-bridge /opt/aep-bridge
# The root file system is read-only: Python writes no bytecode, and /tmp is the home directory.
ENV PATH=/opt/aep-bridge/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number: Kubernetes' runAsNonRoot can't check a name.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
# For container engines without probes. Kubernetes ignores it, and has a probe of /livez.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=4)"]
# The exec form: the bridge is process 1 and gets SIGTERM itself. The first SIGTERM starts the drain, a second one
# ends the process at once.
STOPSIGNAL SIGTERM
ENTRYPOINT ["aep-bridge"]
CMD ["--help"]
