# Source me: a private Docker engine for one run, on its own socket and data root.
#
#   engine_install   install dockerd, compose v2 and buildx where they are missing
#   engine_start     start it; nothing on the machine's default socket, bridge or packet filter is touched
#   engine_probe     run one small container the way the compose files run theirs
#   engine_stop      stop it; no container, network, volume or process is left
#
# Each returns 1 when this machine cannot do it, with the reason on stderr, and waits for nothing for
# longer than its `timeout`s. State is in $ENGINE_DIR. Call engine_start in the main shell, and
# engine_stop from an EXIT trap; run the tests with `&` and `wait`, because bash runs a trap only when
# its foreground child has ended.
: "${ENGINE_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/promptward-engine}"
_ENGINE_PROBE_IMAGE=promptward-probe:1

_engine_docker() { timeout --kill-after=5 60 docker "$@"; }

engine_install() {
  local reason
  if ! reason=$(_engine_obstacle); then
    echo "$reason" >&2
    return 1
  fi
  mkdir -p "$ENGINE_DIR/cfg/cli-plugins"
  export DOCKER_CONFIG="$ENGINE_DIR/cfg"
  _engine_packages || { echo "the packages docker.io and mmdebstrap cannot be installed" >&2; return 1; }
  _engine_client
  _engine_plugins || { echo "compose v2 and buildx cannot be installed" >&2; return 1; }
}

_engine_obstacle() { # fails, and says why, where no engine can be started
  [ "$(id -u)" = 0 ] || { echo "not root"; return 1; }
  command -v apt-get >/dev/null && grep -qx 'ID=debian' /etc/os-release ||
    { echo "not Debian: the engine and the base images are made of Debian's packages"; return 1; }
  timeout 10 unshare --fork --pid --mount --mount-proc true 2>/dev/null ||
    { echo "no new pid and mount namespace may be made"; return 1; }
  grep -qE '^[^ ]+ [^ ]+ cgroup2? ' /proc/mounts || { echo "no cgroups are mounted"; return 1; }
}

_engine_packages() {
  local missing=() program
  for program in dockerd docker mmdebstrap; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  [ "${#missing[@]}" != 0 ] || return 0
  echo "installing docker.io and mmdebstrap (no ${missing[*]} here)"
  timeout --kill-after=10 180 apt-get update -qq || return
  _engine_apt docker.io mmdebstrap || return
  command -v docker >/dev/null || _engine_apt docker-cli # a package of its own since trixie
}

_engine_apt() {
  DEBIAN_FRONTEND=noninteractive timeout --kill-after=10 300 apt-get install -y -qq \
    --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" >/dev/null </dev/null
}

_engine_mirror() { # the machine's own package mirror: no host is written here
  # shellcheck disable=SC2016 # apt-get expands it
  { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: bookworm" 2>/dev/null | grep . ||
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages'; } | sed -n 1p
}

_engine_client() { # the one that came with the engine: a much newer one may not speak with it
  [ -x /usr/bin/docker ] || return 0
  mkdir -p "$ENGINE_DIR/bin"
  ln -sfn /usr/bin/docker "$ENGINE_DIR/bin/docker"
  PATH="$ENGINE_DIR/bin:$PATH"
}

_engine_has_plugins() {
  timeout 20 docker compose version >/dev/null 2>&1 && timeout 20 docker buildx version >/dev/null 2>&1
}

_engine_plugins() {
  # Compose v2 and buildx are in the next Debian release; both need only libc6 >= 2.34. They are
  # unpacked with package lists of their own: the machine's apt stays as it is.
  _engine_has_plugins && return
  local apt="$ENGINE_DIR/apt" options
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(_engine_mirror) trixie main" >"$apt/sources.list"
  options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  timeout --kill-after=10 180 apt-get "${options[@]}" update -qq || return
  (cd "$apt/debs" && timeout --kill-after=10 180 apt-get "${options[@]}" download -qq docker-compose docker-buildx &&
    for deb in *.deb; do dpkg-deb -x "$deb" unpacked || exit; done) || return
  cp "$apt"/debs/unpacked/usr/libexec/docker/cli-plugins/* "$ENGINE_DIR/cfg/cli-plugins/" || return
  rm -rf "$apt"
  _engine_has_plugins
}

_engine_alive() { [ -e "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

_engine_sweep() { # what a killed run left; its bridges (br-*) are in the machine's own network namespace
  local ids
  ids=$(_engine_docker ps -aq)
  # shellcheck disable=SC2086 # one word each
  [ -z "$ids" ] || _engine_docker rm -fv $ids >/dev/null
  _engine_docker network prune -f >/dev/null
  _engine_docker volume prune -f >/dev/null
  _engine_docker image prune -f >/dev/null
}

_engine_end_earlier_run() {
  local old
  old=$(cat "$ENGINE_DIR/unshare.pid" 2>/dev/null || true)
  if [ -n "$old" ] && _engine_alive "$old" &&
    tr '\0' ' ' <"/proc/$old/cmdline" | grep -qF "$ENGINE_DIR/docker.pid"; then
    echo "engine of an earlier run is still up (pid $old): ending it"
    kill -9 "$old"
    sleep 1
  fi
  # A stale pid file stops dockerd: a zombie counts as running.
  rm -f "$ENGINE_DIR/docker.pid" "$ENGINE_DIR/docker.sock"
}

engine_start() {
  export DOCKER_HOST="unix://$ENGINE_DIR/docker.sock" DOCKER_CONFIG="$ENGINE_DIR/cfg" DOCKER_BUILDKIT=1
  _engine_end_earlier_run
  # A pid and a mount namespace of its own: when the one process we hold goes, every shim, container
  # and mount goes with it; and it goes with this shell, even when the shell is killed outright. A session
  # of its own: a signal to the whole process group must find it alive, for the networks to be swept.
  setsid setpriv --pdeathsig KILL -- unshare --fork --pid --mount --mount-proc --kill-child=SIGKILL -- \
    dockerd -H "$DOCKER_HOST" --data-root "$ENGINE_DIR/data" --exec-root "$ENGINE_DIR/exec" \
    --pidfile "$ENGINE_DIR/docker.pid" \
    --iptables=false --ip6tables=false --bridge=none --ip-forward=false --ip-masq=false \
    >"$ENGINE_DIR/dockerd.log" 2>&1 </dev/null &
  ENGINE_PID=$!
  echo "$ENGINE_PID" >"$ENGINE_DIR/unshare.pid"
  local end=$((SECONDS + 60))
  while [ "$SECONDS" -lt "$end" ] && _engine_alive "$ENGINE_PID"; do
    if timeout 5 docker version >/dev/null 2>&1; then
      _engine_sweep
      return
    fi
    sleep .2
  done
  echo "dockerd does not answer; the end of its log:" >&2
  tail -20 "$ENGINE_DIR/dockerd.log" >&2
  return 1
}

# A container of this machine's own `true`: an engine may answer and still run none.
engine_probe() {
  local program libraries
  program=$(type -P true) # not the builtin
  libraries=$(ldd "$program" | grep -oE '/[^ ]+')
  # shellcheck disable=SC2086 # one word each
  tar -chf - "$program" $libraries 2>/dev/null | _engine_docker import - "$_ENGINE_PROBE_IMAGE" >/dev/null &&
    _engine_docker network create --internal promptward-probe >/dev/null &&
    _engine_docker run --rm --network promptward-probe --read-only --cap-drop ALL --memory 16m --pids-limit 16 \
      --security-opt no-new-privileges:true --tmpfs /tmp "$_ENGINE_PROBE_IMAGE" "$program" && {
      _engine_docker network rm promptward-probe >/dev/null
      return
    }
  echo "the engine answers, but runs no container; the end of its log:" >&2
  tail -20 "$ENGINE_DIR/dockerd.log" >&2
  return 1
}

engine_stop() {
  [ -n "${ENGINE_PID:-}" ] || return 0
  _engine_sweep 2>/dev/null || true
  local child
  read -r child _ 2>/dev/null <"/proc/$ENGINE_PID/task/$ENGINE_PID/children" || true
  if [ -n "${child:-}" ]; then kill -TERM "$child" 2>/dev/null; fi
  for _ in $(seq 150); do
    _engine_alive "$ENGINE_PID" || break
    sleep .1
  done
  if _engine_alive "$ENGINE_PID"; then kill -9 "$ENGINE_PID" 2>/dev/null; fi
  wait "$ENGINE_PID" 2>/dev/null
  ENGINE_PID=
  rm -f "$ENGINE_DIR/unshare.pid"
}
