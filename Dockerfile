# One image for the three services and the `fastcache` command; docker-compose.yml says which one runs.
# Plain instructions only, so that the classic builder of Compose 1.29.2 takes it as well as BuildKit.

# What the dependencies are chosen by, and nothing else: the manifests, with an empty target for each. An edit
# of a source leaves that unchanged, so the layer of built dependencies stays.
FROM rust:1.95-slim-bookworm AS manifests
WORKDIR /source
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock \
        ! -path '*/src/main.rs' ! -path '*/src/lib.rs' ! -name build.rs \
        ! -path '*/tests/*.rs' ! -path '*/benches/*.rs' -delete \
    && find . -name '*.rs' -exec sh -c 'for file; do echo "#![allow(warnings)] fn main() { }" >"$file"; done' sh '{}' + \
    && for crate in bench tests; do mkdir -p $crate/src && : >$crate/src/lib.rs; done \
    && find . -type d -empty -delete

FROM rust:1.95-slim-bookworm AS builder
WORKDIR /source
COPY --from=manifests /source .
# The binary does not depend on where cargo keeps its downloads.
ENV RUSTFLAGS="--remap-path-prefix=/usr/local/cargo=/cargo"
RUN cargo build --release --locked --package fastcache
COPY . .
# Which commit this is, for --version: told, or found in the few files of .git that .dockerignore lets through,
# where HEAD is a branch in a file of its own, a branch among others, or the commit itself. What is not committed
# does not show.
ARG FASTCACHE_GIT_REV
# `touch`: cargo rebuilds what is newer than its last build, and a checkout is older than the empty programs.
# Not what build scripts have written below target: that belongs to the dependencies.
RUN find . -name '*.rs' ! -path './target/*' -exec touch '{}' + \
    && head=$(sed 's/^ref: //' .git/HEAD 2>/dev/null || true) \
    && commit=$({ cat ".git/$head"; sed -n "s|^\([0-9a-f]*\) $head\$|\1|p" .git/packed-refs; echo "$head"; } \
        2>/dev/null | grep -E -m 1 '^[0-9a-f]{40}' || echo unknown) \
    && FASTCACHE_GIT_REV=${FASTCACHE_GIT_REV:-$(printf '%.12s' "$commit")} \
        cargo build --release --locked --package fastcache

FROM debian:bookworm-slim
# A fixed number, so that a volume written by one image belongs to the user of the next.
RUN groupadd --system --gid 10001 fastcache \
    && useradd --system --uid 10001 --gid fastcache --no-create-home --home-dir /var/lib/fastcache \
        --no-log-init --shell /usr/sbin/nologin fastcache \
    && install --directory --owner fastcache --group fastcache --mode 0750 /var/lib/fastcache
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/fastcache/
COPY --from=builder /source/target/release/fastcache /usr/local/bin/fastcache
# Not the commit: a label takes only what the command line of the build gives. `--version` tells it.
LABEL org.opencontainers.image.title="FastCache" \
      org.opencontainers.image.description="A Redis-protocol cache tier: many nodes that look like one Redis" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
USER 10001:10001
WORKDIR /var/lib/fastcache
# Redis clients; the health service's API; the proxies' admin endpoints.
EXPOSE 6379 8080 9382
STOPSIGNAL SIGTERM
ENTRYPOINT ["fastcache"]
CMD ["--help"]
