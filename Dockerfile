# Two stages: pip and its caches stay behind in the first.
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY exporter exporter
RUN python -m venv /opt/together-exporter \
 && /opt/together-exporter/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/together-exporter/bin/pip install --no-cache-dir --no-deps .

FROM ${BASE}
COPY --from=build /opt/together-exporter /opt/together-exporter
USER 65532:65532
EXPOSE 10170
ENTRYPOINT ["/opt/together-exporter/bin/together-exporter"]
