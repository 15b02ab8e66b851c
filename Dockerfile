# Only the gateway, in a virtual environment that the runtime image takes as it is.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/gateway && python -m venv /opt/build
# Compiles the modules on the path of every request. The runtime image does not use the compiler, so its version does not
# matter.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
# Installs exactly the tested files, each by its hash (docs/operations.md, The image).
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY deploy/image deploy/image
RUN /opt/build/bin/pip install --require-hashes -r deploy/image/build-requirements.txt \
    && /opt/gateway/bin/pip install --require-hashes -r deploy/image/requirements.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY gateway gateway
RUN GATEWAY_COMPILE=1 /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/build/wheels . \
    && /opt/gateway/bin/pip install --no-deps /opt/build/wheels/introspection_gateway-*.whl

FROM python:3.13-slim
# Nothing is written at run time: pip has compiled the byte code, and the root may be read-only.
ENV PATH=/opt/gateway/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/gateway /opt/gateway
WORKDIR /etc/gateway
# A number, so that Kubernetes can see that it is not root; nobody's, so that it owns no file.
USER 10001:10001
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
# The admin listener's default port; a file that moves it moves this with --health-cmd.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-I", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 9090, timeout=2); c.request('GET', '/health/live'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["gateway"]
CMD ["serve", "-c", "/etc/gateway/gateway.yaml"]
