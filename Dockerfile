# Two stages: pip, the build backend and their caches stay behind in the first. Both bases need the same Python 3.11 or
# newer at the same path; that of the build needs pip and strip beside it. The second stage runs nothing, so that a base
# without a shell works: BASE=gcr.io/distroless/python3-debian12, with a BUILD_BASE of Debian 12.
ARG BASE=python:3.11-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3
ARG BUILD_BASE=${BASE}

# hadolint ignore=DL3006
FROM ${BUILD_BASE} AS build
WORKDIR /src
# hadolint ignore=DL3008
RUN command -v strip || (apt-get update && apt-get install -y --no-install-recommends binutils)
COPY requirements/run.lock requirements/build.lock requirements/
RUN python3 -m venv --without-pip /opt/together-exporter \
 && python3 -m venv --without-pip /opt/build \
 && python3 -m pip --python /opt/together-exporter/bin/python install --no-cache-dir --no-compile --require-hashes -r requirements/run.lock \
 && python3 -m pip --python /opt/build/bin/python install --no-cache-dir --require-hashes -r requirements/build.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY exporter exporter
COPY dashboards dashboards
# Rich is here for its tables; Markdown and highlighted source are what it would need the rest for. The bytecode is not
# compared with its source, whose times differ from build to build.
RUN /opt/build/bin/hatchling build -t wheel \
 && python3 -m pip --python /opt/together-exporter/bin/python install --no-cache-dir --no-compile --no-deps dist/*.whl \
 && python3 -m pip --python /opt/together-exporter/bin/python uninstall --yes pygments markdown-it-py mdurl \
 && find /opt/together-exporter -name '*.so*' -exec strip --strip-unneeded {} + \
 && rm -rf /opt/together-exporter/include \
 && /opt/together-exporter/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/together-exporter/lib

# hadolint ignore=DL3006
FROM ${BASE}
COPY --from=build /opt/together-exporter /opt/together-exporter
ENV PATH=/opt/together-exporter/bin:/usr/local/bin:/usr/bin:/bin
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="together-exporter" \
      org.opencontainers.image.description="Prometheus exporter for Together AI container deployments" \
      org.opencontainers.image.source="https://github.com/together-exporter/together-exporter" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# A number, so that runAsNonRoot can be checked; no file system but / is written to, and / need not be writable.
USER 65532:65532
EXPOSE 10170
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["python", "-I", "-m", "exporter.health"]
ENTRYPOINT ["together-exporter"]
