# shellcheck shell=bash
# The base images of the Dockerfile and of docker-compose.yml: pulled where a registry can be reached, and
# otherwise stand-ins made here from Debian's packages, under the same names. So the files under test are
# those that users run, also on a machine without a registry. Sourced by compose.sh.
#
# A stand-in has what our files rely on (users, paths, entry point, stop signal), not more; its programs are
# Debian's versions, which may be older. The label tells it from a real image, which is never replaced.

stand_in_label=org.fastcache.stand-in

# Every base image, read from the files, so that a new tag cannot miss its stand-in without a word. What
# the files name by a variable is its default.
base_images() {
    {
        # Not those that are stages of the same file.
        awk '$1 == "FROM" { if (!($2 in stages)) print $2; if ($3 == "AS") stages[$4] = 1 }' Dockerfile
        awk '$1 == "image:" { print $2 }' docker-compose.yml | sed -E 's/^"?\$\{[A-Z_]+:-([^}]+)\}"?$/\1/' |
            grep -v '^fastcache:'
    } | sort -u
}

# One pull decides for all of them; the smallest image is asked for.
registry_answers() {
    timeout 30s docker pull --quiet debian:bookworm-slim
}

# Leaves the image $1 there: as it is, pulled, or made. Grafana is in no Debian: without a registry the
# composition is checked without it.
provide_image() {
    local image=$1 registry=$2
    if docker image inspect "$image" >/dev/null 2>&1; then return; fi
    if [[ $registry == yes ]]; then
        timeout 300s docker pull --quiet "$image"
        return
    fi
    case $image in
        debian:*-slim) stand_in_debian "$image" ;;
        rust:*-slim-*) stand_in_rust "$image" ;;
        haproxy:*) stand_in_haproxy "$image" ;;
        prom/prometheus:*) stand_in_prometheus "$image" ;;
        grafana/grafana:*) echo "no stand-in: $image is left out" ;;
        *) echo "$image cannot be pulled, and no stand-in is known for it" >&2; return 1 ;;
    esac
}

# What the next run has no use for. In a daemon that is not ours, nothing stays, least of all a
# debian:bookworm-slim that is none.
remove_images() {
    if [[ ${DOCKER_HOST-} == "$own_socket" ]]; then
        docker image prune --force --filter until=168h
        return
    fi
    docker rmi --force "$FASTCACHE_IMAGE"
    docker images --quiet --filter "label=$stand_in_label" | sort -u | xargs --no-run-if-empty docker rmi --force
}

# debian:SUITE-slim is what debootstrap calls minbase.
stand_in_debian() {
    local suite root=$work/debian
    suite=${1#debian:}
    suite=${suite%-slim}
    as_root debootstrap --variant=minbase "$suite" "$root"
    # What the real image leaves out as well.
    as_root rm -rf "$root"/var/cache/apt/archives "$root"/var/lib/apt/lists "$root"/usr/share/{doc,man,locale}
    as_root tar --create --one-file-system --directory "$root" . |
        docker import --change "LABEL $stand_in_label=yes" --change 'CMD ["bash"]' - "$1"
    as_root rm -rf "$root"
}

# rust:VERSION-slim-SUITE: the C toolchain, and this machine's Rust when it is that version. Where the
# machine gets its crates from, and the authorities it trusts there, go along.
stand_in_rust() {
    local image=$1 tag=${1#rust:} version suite sysroot context=$work/rust
    version=${tag%%-*}
    suite=${tag##*-}
    sysroot=$(rust_sysroot "$version")
    mkdir -p "$context"
    cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$context/ca-certificates.crt"
    : >"$context/config.toml"
    cat "${CARGO_HOME:-$HOME/.cargo}/config.toml" >"$context/config.toml" 2>/dev/null || true
    cat >"$context/Dockerfile" <<DOCKERFILE
FROM debian:$suite-slim
LABEL $stand_in_label=yes
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/usr/local/cargo
ENV PATH=/usr/local/cargo/bin:/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
$(cargo_environment)
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY config.toml /usr/local/cargo/config.toml
COPY bin /usr/local/rust/bin
COPY lib /usr/local/rust/lib
DOCKERFILE
    tar --create --exclude=lib/rustlib/src --directory "$context" \
        Dockerfile ca-certificates.crt config.toml --directory "$sysroot" bin lib |
        docker build --tag "$image" -
    rm -r "$context"
}

# Where a toolchain of this version is.
rust_sysroot() {
    local version=$1
    if [[ $(rustc --version) == "rustc $version"[.\ ]* ]]; then
        rustc --print sysroot
        return
    fi
    if ! command -v rustup >/dev/null; then
        echo "the image is built by Rust $version; here is $(rustc --version), and no rustup to get it" >&2
        return 1
    fi
    rustup toolchain install --profile minimal "$version" >&2
    rustc "+$version" --print sysroot
}

# The settings of cargo and of proxies that this machine has in its environment.
cargo_environment() {
    local name
    for name in $(compgen -e); do
        case $name in
            CARGO_HTTP_* | CARGO_NET_* | CARGO_REGISTRIES_* | CARGO_SOURCE_* | http_proxy | https_proxy | no_proxy)
                printf 'ENV %s="%s"\n' "$name" "${!name}" ;;
        esac
    done
}

# haproxy:VERSION, in the shape of the official image: its entry point puts -W -db in front.
stand_in_haproxy() {
    docker build --tag "$1" - <<DOCKERFILE
FROM debian:bookworm-slim
LABEL $stand_in_label=yes
RUN apt-get update && apt-get install --yes --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/* \
    && rm -rf /etc/haproxy && mkdir -p /usr/local/etc/haproxy /var/lib/haproxy \
    && ln -s /usr/sbin/haproxy /usr/local/sbin/haproxy \
    && printf '%s\n' '#!/bin/sh' '[ "\$1" != haproxy ] || { shift; set -- haproxy -W -db "\$@"; }' 'exec "\$@"' \
        >/usr/local/bin/docker-entrypoint.sh && chmod 755 /usr/local/bin/docker-entrypoint.sh
STOPSIGNAL SIGUSR1
USER haproxy
WORKDIR /var/lib/haproxy
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
DOCKERFILE
}

# prom/prometheus:VERSION, in the shape of the official image.
stand_in_prometheus() {
    docker build --tag "$1" - <<DOCKERFILE
FROM debian:bookworm-slim
LABEL $stand_in_label=yes
RUN apt-get update && apt-get install --yes --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/bin/prometheus /bin/prometheus 2>/dev/null || true \
    && mkdir -p /etc/prometheus /prometheus && chown 65534:65534 /prometheus
USER nobody
EXPOSE 9090
VOLUME ["/prometheus"]
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
DOCKERFILE
}
