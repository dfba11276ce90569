# ser-edge in a container, for amd64 and arm64: docs/container.md has the lines that run it.
#
#   docker build -t ser-edge .
#   docker buildx build --platform linux/amd64,linux/arm64 -t ser-edge .

FROM debian:trixie-slim AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/ser-edge
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY edge edge
COPY train train
COPY export export
ARG EXTRAS=media,mqtt,serve
RUN /opt/ser-edge/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[$EXTRAS]" \
    && /opt/ser-edge/bin/pip uninstall -y --disable-pip-version-check pip

FROM debian:trixie-slim
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 libportaudio2 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --groups audio --home-dir /nonexistent ser-edge
COPY --from=build /opt/ser-edge /opt/ser-edge
ENV PATH=/opt/ser-edge/bin:$PATH PYTHONUNBUFFERED=1 LANG=C.UTF-8
USER ser-edge
WORKDIR /sounds
ENTRYPOINT ["ser-edge"]
CMD ["--help"]
