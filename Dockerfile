# Two images from one recipe: the operator (`--target operator`, the default) and the Graph emulator
# (`--target graph-emulator`). docs/image.md says how to build, verify and reproduce them.
#
# Both hold one static program and nothing that could be started beside it: no shell, no package manager, no loader.
# Static with Debian's C library, because it is what everything is tested with, and it resolves names from files and DNS
# without loading anything.

# A digest here makes the compiler the same for everybody: --build-arg RUST=rust@sha256:…
ARG RUST=rust:1.95.0-bookworm

FROM --platform=$BUILDPLATFORM ${RUST} AS toolchain
ARG TARGETARCH
WORKDIR /source
COPY config/image/toolchain config/image/
RUN config/image/toolchain "$TARGETARCH"
COPY . .
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH

FROM toolchain AS operator-files
ARG TARGETARCH
RUN config/image/build hybrid-calendar-operator "$TARGETARCH" /files

FROM toolchain AS graph-emulator-files
ARG TARGETARCH
RUN config/image/build graph-emulator "$TARGETARCH" /files

FROM scratch AS graph-emulator
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="graph-emulator" \
      org.opencontainers.image.description="Microsoft Graph and Entra, as far as calendar integrations need them, on your own machine" \
      org.opencontainers.image.source="https://github.com/hybridcalendar/hybrid-calendar-operator" \
      org.opencontainers.image.url="https://github.com/hybridcalendar/hybrid-calendar-operator" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=graph-emulator-files /files /
# Loopback, the default, cannot be reached from outside a container. /etc/graph-emulator holds an example world.
ENV GRAPH_EMULATOR_WORLD=/etc/graph-emulator/world.yaml \
    GRAPH_EMULATOR_LISTEN=0.0.0.0:8600 \
    GRAPH_EMULATOR_ADMIN=0.0.0.0:8601
USER 65532:65532
EXPOSE 8600 8601
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/graph-emulator"]

FROM scratch AS operator
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hybrid-calendar-operator" \
      org.opencontainers.image.description="Kubernetes operator that proves and keeps Microsoft 365 calendar integrations working" \
      org.opencontainers.image.source="https://github.com/hybridcalendar/hybrid-calendar-operator" \
      org.opencontainers.image.url="https://github.com/hybridcalendar/hybrid-calendar-operator" \
      org.opencontainers.image.documentation="https://github.com/hybridcalendar/hybrid-calendar-operator/blob/main/docs/index.md" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=operator-files /files /
USER 65532:65532
EXPOSE 8443 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/hybrid-calendar-operator"]
CMD ["run"]
