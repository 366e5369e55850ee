# The image of Edgerun: operator, edge (Envoy is on the PATH) and everything else that `edgerun` does, as nobody.
#
# tools/image/build builds it, and `docker build .` too. The two bases may be any images with Python 3.11 or newer, the
# same minor version at the same path: the environment that one stage makes and the other runs links to it.
ARG BUILD_IMAGE=python:3.13-slim
ARG BASE_IMAGE=python:3.13-slim

# What changes seldom: the dependencies, each file checked against its hash, in an environment without pip.
FROM ${BUILD_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY tools/image/requirements.txt tools/image/requirements-build.txt tools/image/trim.py /build/
RUN python3 -m venv /build/tools \
 && python3 -m venv --without-pip /opt/edgerun \
 && /build/tools/bin/pip install --quiet --no-compile --require-hashes --requirement /build/requirements-build.txt \
 && /build/tools/bin/pip --python /opt/edgerun/bin/python install --quiet --no-compile --only-binary :all: \
      --require-hashes --requirement /build/requirements.txt \
 && /opt/edgerun/bin/python -B /build/trim.py \
 && /opt/edgerun/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/edgerun/lib

# What changes often: Edgerun itself, as the wheel has it.
FROM dependencies AS project
WORKDIR /build/project
COPY pyproject.toml README.md LICENSE ./
COPY crds crds
COPY operator operator
RUN /build/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /build/wheels . \
 && /build/tools/bin/pip --python /opt/edgerun/bin/python install --quiet --no-compile --no-deps --no-index \
      -f /build/wheels --prefix /build/edgerun edgerun \
 && /opt/edgerun/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /build/edgerun -p /opt/edgerun \
      /build/edgerun/lib

FROM ${BASE_IMAGE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="edgerun" \
      org.opencontainers.image.description="Operator, xDS control plane and Envoy edge of Edgerun" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# Nothing is installed in here any more. Without an entry the user would get root's group where only its number is known.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip \
 && echo 'edgerun:x:65532:65532::/tmp:/usr/sbin/nologin' >>/etc/passwd \
 && echo 'edgerun:x:65532:' >>/etc/group
COPY --from=dependencies /opt/edgerun /opt/edgerun
COPY --from=project /build/edgerun /opt/edgerun
# The file system may be read-only. PYTHONSAFEPATH: the working directory is no place to import from.
ENV PATH=/opt/edgerun/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["edgerun"]
