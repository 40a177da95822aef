# shellcheck shell=bash
# Docker itself: installs it, and starts a daemon when none runs. Sourced by compose.sh.
#
# The daemon started here has directories and a socket of its own: it leaves alone whatever else this machine
# keeps in Docker, and the images in it are there again for the next run.

own_data=/var/lib/fastcache-ci
own_run=/run/fastcache-ci
own_socket=unix://$own_run/docker.sock
daemon_pid=

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo --preserve-env=DEBIAN_FRONTEND "$@"; fi
}

install_docker() {
    local missing=() command package
    while read -r command package; do
        PATH=$PATH:/usr/sbin command -v "$command" >/dev/null || missing+=("$package")
    done <<'LIST'
curl curl
debootstrap debootstrap
docker docker.io
docker-compose docker-compose
dockerd docker.io
iptables iptables
jq jq
python3 python3
redis-benchmark redis-tools
redis-cli redis-tools
LIST
    # debootstrap looks for Debian's keys there, also on Ubuntu.
    [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
    if ((${#missing[@]})); then
        if ! command -v apt-get >/dev/null; then
            echo "missing: ${missing[*]} (this machine has no apt-get to install them)" >&2
            return 1
        fi
        export DEBIAN_FRONTEND=noninteractive
        as_root apt-get update
        as_root apt-get install --yes --no-install-recommends "${missing[@]}"
    fi
}

daemon_answers() {
    timeout 10s docker info
}

# Not in a subshell: the process is this shell's to end.
start_daemon() {
    if daemon_answers >/dev/null 2>&1; then return; fi
    # Two daemons would fight over the firewall's rules.
    if [[ -z ${DOCKER_HOST-} && -S /var/run/docker.sock ]] && as_root docker info >/dev/null 2>&1; then
        echo 'a Docker daemon runs here, and this user may not use it: join its group, or run this with sudo' >&2
        return 1
    fi
    export DOCKER_HOST=$own_socket
    if daemon_answers >/dev/null 2>&1; then return; fi
    as_root mkdir -p "$own_data" "$own_run"
    launch_daemon
    if ! eventually 60 daemon_answers_or_ended >/dev/null 2>&1 || ! daemon_answers >/dev/null 2>&1; then
        grep -v level=info "$work/dockerd.log" | tail -n 3 >&2
        cat >&2 <<'TEXT'
No Docker daemon runs here, and none could be started. This check needs one, and nothing else stands for it:
run it as root (or with sudo) on a machine, in a virtual machine or in a privileged container, or set DOCKER_HOST.
TEXT
        return 1
    fi
}

# In a process group of its own (-m), because Ctrl-C must not end it before what runs in it is removed.
launch_daemon() {
    set -m
    as_root env PATH="$PATH:/usr/sbin:/sbin" dockerd --host "$own_socket" --group "$(id -gn)" \
        --data-root "$own_data/docker" --exec-root "$own_run/exec" --pidfile "$own_run/docker.pid" \
        </dev/null >>"$work/dockerd.log" 2>&1 9>&- &
    daemon_pid=$!
    set +m
}

# Ends and starts the daemon, if it is this script's.
restart_daemon() {
    [[ ${DOCKER_HOST-} == "$own_socket" && -e $own_run/docker.pid ]] || return 1
    as_root kill -TERM "$(<"$own_run/docker.pid")"
    eventually 30 daemon_has_ended
    launch_daemon
    eventually 60 daemon_answers
}

daemon_has_ended() {
    [[ ! -e $own_run/docker.pid ]]
}

daemon_answers_or_ended() {
    daemon_answers || [[ ! -e /proc/$daemon_pid ]]
}

stop_daemon() {
    [[ -n $daemon_pid ]] || return 0
    # With sudo in between, the process of this shell is not the daemon.
    if [[ -e $own_run/docker.pid ]]; then as_root kill -TERM "$(<"$own_run/docker.pid")" || true; fi
    wait "$daemon_pid" || true
    # It may have been started again by a check, whose process it was.
    eventually 30 daemon_has_ended || true
}
