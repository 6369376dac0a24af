# The page on CPU, or with BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 on CUDA. docs/DEPLOY.md
ARG BASE=ubuntu:24.04
FROM ${BASE}
WORKDIR /app
COPY packages.txt requirements.txt ./
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv $(cat packages.txt) \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir -r requirements.txt
COPY . .
RUN /opt/venv/bin/pip install --no-cache-dir hatchling \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --create-home josh && mkdir -p /data && chown josh /data
USER josh
WORKDIR /home/josh
ENV PATH=/opt/venv/bin:$PATH JOSH_HOST=0.0.0.0 JOSH_STORE=/data/results
EXPOSE 7860
VOLUME /data
CMD ["josh", "app"]
