# One image for the three services and the `fastcache` command; docker-compose.yml says which one runs.
# Plain instructions only, so that the classic builder of Compose 1.29.2 takes it as well as BuildKit.

FROM rust:1.95-slim-bookworm AS builder
WORKDIR /source
COPY . .
# There is no .git in the build's context, so the revision for --version is told.
ARG FASTCACHE_GIT_REV=unknown
ENV FASTCACHE_GIT_REV=${FASTCACHE_GIT_REV}
RUN cargo build --release --locked --package fastcache

FROM debian:bookworm-slim
# A fixed number, so that a volume written by one image belongs to the user of the next.
RUN groupadd --system --gid 10001 fastcache \
    && useradd --system --uid 10001 --gid fastcache --no-create-home --home-dir /var/lib/fastcache \
        --shell /usr/sbin/nologin fastcache \
    && install --directory --owner fastcache --group fastcache --mode 0750 /var/lib/fastcache
COPY --from=builder /source/target/release/fastcache /usr/local/bin/fastcache
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/fastcache/
USER 10001:10001
WORKDIR /var/lib/fastcache
# Redis clients; the health service's API; the proxies' admin endpoints.
EXPOSE 6379 8080 9382
STOPSIGNAL SIGTERM
ENTRYPOINT ["fastcache"]
CMD ["--help"]
