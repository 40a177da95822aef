# shellcheck shell=bash
# The running composition: how to find its containers, ask it, load it and remove it. Sourced by compose.sh.

# The id of the container of service $1, running or not, whichever Compose made it.
container() {
    docker ps --all --quiet --filter "label=com.docker.compose.project=$project" \
        --filter "label=com.docker.compose.service=$1"
}

containers() {
    docker ps --all --quiet --filter "label=com.docker.compose.project=$project"
}

# Whatever of the project there is, whoever made it.
remove_cluster() {
    local label=label=com.docker.compose.project=$project
    containers | xargs --no-run-if-empty docker rm --force --volumes
    docker network ls --quiet --filter "$label" | xargs --no-run-if-empty docker network rm
    docker volume ls --quiet --filter "$label" | xargs --no-run-if-empty docker volume rm
}

health() {
    curl --silent --show-error --fail --max-time 10 "http://127.0.0.1:8080$1"
}

summary_holds() {
    health /health/summary | jq --exit-status "$1" >/dev/null
}

epoch() {
    health /health/summary | jq .epoch
}

# Redis through the load balancer; what it answers must be $1.
replies() {
    local wanted=$1 found
    shift
    found=$(timeout 10s redis-cli -p 6380 "$@")
    [[ $found == "$wanted" ]] || { echo "$*: expected '$wanted', found '$found'" >&2; return 1; }
}

milliseconds() {
    echo $(($(date +%s%N) / 1000000))
}

serves() {
    [[ $(timeout 5s redis-cli -p "$1" PING) == PONG ]]
}

# How many proxies the load balancer holds for up.
proxies_up() {
    curl --silent --show-error --fail --max-time 5 http://127.0.0.1:8404/metrics |
        grep -cE '^haproxy_server_status\{proxy="proxies",server="[^"]+",state="UP"\} 1$'
}

has_proxies_up() {
    [[ $(proxies_up) == "$1" ]]
}

all_is_well() {
    summary_holds '.healthyNodes == 50 and .routableNodes == 50' && has_proxies_up 5 && serves 6380
}

# Runs the rest, a command, with clients at work; then what they have counted must hold by $1, a filter of jq.
under_load() {
    local wanted=$1 load
    shift
    python3 tests/compose/load.py 6380 >"$work/load.json" 2>"$work/load.err" &
    load=$!
    # All of them are connected.
    eventually 10 clients_connected 60
    "$@"
    kill -TERM "$load"
    wait "$load"
    tail -n 5 "$work/load.err"
    jq --compact-output . "$work/load.json"
    figure "$(jq --raw-output '[.[]] | "\(map(.used) | add) requests, \(map(.broken) | add) broken, " +
        "slowest \(map(.slowest_ms) | max) ms"' "$work/load.json")"
    jq --exit-status "$wanted" "$work/load.json" >/dev/null ||
        { echo "of the clients, this does not hold: $wanted" >&2; return 1; }
}

clients_connected() {
    local sessions
    sessions=$(curl --silent --show-error --fail --max-time 5 http://127.0.0.1:8404/metrics |
        awk '/^haproxy_frontend_current_sessions\{proxy="redis"\}/ { print $2 }')
    ((sessions >= $1))
}
