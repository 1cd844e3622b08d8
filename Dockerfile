# banstream, all roles: `docker build -t banstream .`; docker-compose.yml shows how each is run.
# Another base: --build-arg BASE=...; a Debian with Python 3.11 or newer, its venv and pip.
ARG BASE=python:3.12-slim-bookworm
FROM ${BASE} AS build
WORKDIR /src
COPY deploy/locks deploy/locks
COPY deploy/completion deploy/completion
COPY deploy/man deploy/man
COPY pyproject.toml README.md LICENSE ./
COPY banstream banstream
COPY enforcers enforcers
COPY eventlog eventlog
COPY producers producers
COPY schemas schemas
COPY sinks sinks
COPY streams streams
# What deploy/locks names, and nothing that has another hash; the image itself gets neither pip nor what builds it.
RUN python -m venv --without-pip /opt/banstream \
    && export PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 \
    && python -m pip install --require-hashes --requirement deploy/locks/build.lock \
    && python -m pip --python /opt/banstream/bin/python install --require-hashes --requirement deploy/locks/run.lock \
    && python -m hatchling build --target wheel \
    && python -m pip --python /opt/banstream/bin/python install --no-deps --no-index dist/*.whl

FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libnftables1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/banstream banstream \
    && install --directory --owner banstream --group banstream --mode 0700 /var/lib/banstream \
    && install --directory --mode 0755 /etc/banstream
COPY --from=build /opt/banstream /opt/banstream
# An editor's stray module in the working directory is never imported.
ENV PATH=/opt/banstream/bin:$PATH PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 NO_COLOR=1
USER banstream
ENTRYPOINT ["banstream"]
CMD ["--help"]
