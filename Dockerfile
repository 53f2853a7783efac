# The base is an argument, so that a release pins it by digest and a closed network takes it from its own registry:
#   docker build --build-arg PYTHON_IMAGE=registry.example/python@sha256:… .
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# -- build: pip, the wheel and their leftovers stay in this stage ------------------
FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Only wheels: nothing that we install may run code of its own at build time, and no compiler is needed.
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

# Nothing is ever installed into a running container.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip && rm -rf ~root/.cache

COPY --from=build /opt/aep-bridge /opt/aep-bridge
# The root file system is read-only: no bytecode is written, and what needs a home gets /tmp.
ENV PATH=/opt/aep-bridge/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, since Kubernetes' runAsNonRoot can't judge a name.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
# For engines without probes of their own; Kubernetes ignores it and asks /livez itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=4)"]
# The exec form: the bridge is process 1 and gets SIGTERM itself. The first one drains, the second one kills.
STOPSIGNAL SIGTERM
ENTRYPOINT ["aep-bridge"]
CMD ["--help"]
