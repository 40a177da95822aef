#!/usr/bin/env bash
# Brings up docker-compose.yml as a user does, in real containers, and checks what the README promises of it.
#
#     tests/compose.sh                     needs root or sudo, on Debian or Ubuntu; installs what is missing
#     tests/compose.sh whole small         only these of its rounds: whole, small, tutorial
#
# Starts from nothing: Docker from Debian, a daemon where none runs, base images made here where no registry
# can be reached (compose/images.sh). Prints a line for each check and ends with how many failed. Whatever
# happens, it leaves no container, network, volume or daemon of its own behind; only its images stay, under
# /var/lib/fastcache-ci, for the next run.
set -euo pipefail
cd "$(dirname "$0")/.."

project=fastcache-ci
# Names of its own, so that a FastCache that somebody has in this Docker is left alone.
export COMPOSE_PROJECT_NAME=$project FASTCACHE_IMAGE=$project:latest
# Compose gives up on a container that takes longer; 57 at once on a small machine may.
export COMPOSE_HTTP_TIMEOUT=180 DOCKER_CLIENT_TIMEOUT=180

# What a container may raise its limit to is what this machine allows; 65536 where it may.
OPEN_FILES=$(($(ulimit -Hn) < 65536 ? $(ulimit -Hn) : 65536))
export OPEN_FILES

checks=0 failures=0
check_pid=

# shellcheck source=tests/compose/daemon.sh
. tests/compose/daemon.sh
# shellcheck source=tests/compose/images.sh
. tests/compose/images.sh
# shellcheck source=tests/compose/cluster.sh
. tests/compose/cluster.sh
# shellcheck source=tests/compose/checks.sh
. tests/compose/checks.sh

# Runs a check: `check WHAT SERVICES FUNCTION ARGUMENT…`. What a failed one said is shown, and what the
# containers of the SERVICES logged last.
check() {
    local what=$1 services=$2 began=$SECONDS status=0 figure=
    shift 2
    checks=$((checks + 1))
    rm -f "$work/figure"
    # In the background, where a failure inside ends it and a signal to this shell is not kept waiting; in a
    # process group (-m), so that all of it can be ended.
    set -m
    ("$@") </dev/null >"$work/log" 2>&1 &
    check_pid=$!
    set +m
    wait "$check_pid" || status=$?
    end_check
    [[ ! -e $work/figure ]] || figure=": $(<"$work/figure")"
    if [[ $status == 0 ]]; then
        printf 'ok     %4d s  %s%s\n' $((SECONDS - began)) "$what" "$figure"
        return
    fi
    failures=$((failures + 1))
    printf 'FAILED %4d s  %s%s\n' $((SECONDS - began)) "$what" "$figure"
    # Addresses in it are nobody's business in a log that is published.
    uniq "$work/log" | tail -n 25 | sed -E 's#[a-z+]+://[^ ]+#(address)#g; s/^/    | /'
    local service
    for service in $services; do
        docker logs --tail 12 "$(container "$service")" 2>&1 | sed "s/^/    $service | /" || true
    done
}

# The same for what everything after it needs.
need() {
    local failed=$failures
    check "$@"
    [[ $failures == "$failed" ]] || exit 1
}

# What a check found out, for its line.
figure() {
    printf '%s' "$*" >"$work/figure"
}

# Waits up to $1 seconds until the rest, a command, succeeds.
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        if ((SECONDS >= deadline)); then
            echo "not within its time: $*" >&2
            return 1
        fi
        sleep 0.2
    done
}

# Ends whatever a check has left running, or all of it in the middle.
end_check() {
    [[ -n $check_pid ]] || return 0
    kill -TERM -- "-$check_pid" 2>/dev/null || true
    wait "$check_pid" 2>/dev/null || true
    eventually 30 check_has_ended 2>/dev/null || kill -KILL -- "-$check_pid" 2>/dev/null || true
    check_pid=
}

check_has_ended() {
    ! kill -0 -- "-$check_pid" 2>/dev/null
}

finish() {
    local status=$?
    trap '' INT TERM
    end_check
    remove_cluster >/dev/null 2>&1 || true
    remove_images >/dev/null 2>&1 || true
    stop_daemon
    rm -rf "$work"
    printf '\n%d checks, %d failed, %d s\n' "$checks" "$failures" "$SECONDS"
    if ((failures)); then status=1; elif ((status)); then echo 'ended before its end'; fi
    exit "$status"
}

prepare() {
    # The ports and the names are there once. Whoever is ended by force leaves the lock behind, but free.
    exec 9>"/tmp/$project.lock"
    flock --nonblock 9 || { echo 'another run of this is under way' >&2; exit 1; }
    need 'Docker, Compose and tools are installed' '' install_docker
    # In this shell, because the daemon is its child.
    start_daemon || true
    need 'a Docker daemon answers' '' daemon_answers
    need 'nothing is left of an earlier run' '' forget_earlier_run
    need 'nothing else uses the ports or the settings' '' place_is_free
    provide_images
    ((OPEN_FILES == 65536)) || echo "note: a container may open $OPEN_FILES files here, not 65536"
}

round_whole() {
    compose=(docker-compose)
    need 'the oldest Compose that the file is for: 1.29.2' '' compose_is 1.29.2
    need 'up builds the image and starts 57 containers, 50 nodes healthy' 'health-checker' bring_up
    check 'the image' '' image_is_small_and_knows_its_revision
    check 'no container is root, has a capability or can write its root' '' containers_are_confined
    check 'ports are published, on localhost only' '' ports_are_local
    check 'nodes are reached by proxies and the health service, by nobody else' '' networks_divide
    check 'memory at rest' '' memory_at_rest
    check 'SET, GET, ZADD, DEL through the load balancer' 'load-balancer' commands_work
    check 'redis-benchmark through the load balancer' 'load-balancer' benchmark_works
    check 'health summary and statistics' 'health-checker load-balancer' overviews_agree
    check 'alert rules and their tests' '' alert_rules_hold
    check 'profile monitoring: all targets are up, no alert, no query refused' 'prometheus' monitoring_works
    check 'docker kill of a node' 'health-checker fastcache-proxy1' node_dies
    check 'crash of a node: Docker restarts it' 'health-checker fastcache-node8' node_crashes
    check 'docker kill of the health service' 'health-checker fastcache-proxy1' health_service_dies
    check 'docker kill of a proxy' 'load-balancer' proxy_dies
    check 'docker stop of a proxy: it drains' 'load-balancer fastcache-proxy2' proxy_drains
    check 'reload of the load balancer' 'load-balancer' load_balancer_reloads
    check 'a proxy restarts while the health service is away' 'fastcache-proxy3' proxy_remembers_the_view
    check 'a value of 60 MB both ways, a larger one refused' 'fastcache-proxy1' large_value_passes
    check 'restart of everything' 'health-checker load-balancer' everything_restarts
    check 'down leaves the volumes, down -v nothing' '' everything_is_removed
}

round_small() {
    compose=(docker-compose)
    check 'profile small: 3 nodes, 2 proxies, statistics by password' 'small small-health-checker' small_works
}

round_tutorial() {
    # As its reader types it, with the newest Compose; it ends with nothing left.
    check 'Compose 5: docs/tutorial.md, line by line' 'health-checker load-balancer' tutorial_holds
}

rounds=("$@")
((${#rounds[@]})) || rounds=(whole small tutorial)
for round in "${rounds[@]}"; do
    [[ $round =~ ^(whole|small|tutorial)$ ]] || { echo "usage: $0 [whole] [small] [tutorial]" >&2; exit 2; }
done
work=$(mktemp -d)
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
prepare
for round in "${rounds[@]}"; do
    "round_$round"
done
