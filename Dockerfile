# The worker: CLI, runners, and the trainer's Python. docker-compose.yml runs it beside Temporal; docs/production.md explains it.

FROM node:20.20.2-bookworm-slim AS build
WORKDIR /opt/autoresearch
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY bin bin
COPY src src
COPY trainer trainer
RUN npm run build
# The remaining packages are also the text of the default data (`init --data packages`).
RUN npm prune --omit=dev

# The same base as below: the virtual environment names its interpreter by path.
FROM node:20.20.2-bookworm-slim AS python
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY trainer/requirements.lock /tmp/requirements.lock
RUN python3 -m venv /opt/trainer \
 && /opt/trainer/bin/pip install --no-cache-dir --require-hashes --requirement /tmp/requirements.lock

FROM node:20.20.2-bookworm-slim
# g++, libc6-dev and python3-dev: on a GPU torch.compile builds a C module at its first use.
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap ca-certificates g++ git libc6-dev openssh-client python3 python3-dev \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s /opt/autoresearch/bin/autoresearch.js /usr/local/bin/autoresearch \
 && install --directory --owner node --group node /labs /var/lib/autoresearch /var/cache/autoresearch
COPY --from=python /opt/trainer /opt/trainer
COPY --from=build /opt/autoresearch /opt/autoresearch
ENV AUTORESEARCH_PYTHON=/opt/trainer/bin/python \
    XDG_STATE_HOME=/var/lib \
    XDG_CACHE_HOME=/var/cache \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# uid 1000, which must be able to write the mounted /labs.
USER node
WORKDIR /labs
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["autoresearch", "worker", "--check"]
ENTRYPOINT ["autoresearch"]
CMD ["worker"]
