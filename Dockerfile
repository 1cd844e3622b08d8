# banstream, all roles: `docker build -t banstream .`; docker-compose.yml shows how each is run.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/banstream
COPY pyproject.toml README.md LICENSE ./
COPY banstream banstream
COPY enforcers enforcers
COPY eventlog eventlog
COPY producers producers
COPY schemas schemas
COPY streams streams
RUN /opt/banstream/bin/pip install --no-cache-dir --no-compile '.[fast,kafka,nftables]' \
    && /opt/banstream/bin/pip uninstall --yes pip

FROM python:3.12-slim-bookworm
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
