# Source me: a private Docker engine for one run, on its own socket and data root.
#
#   engine_install   install dockerd, compose v2 and buildx where they are missing (needs root, Debian)
#   engine_start     start it; nothing on the machine's default socket, bridge or packet filter is touched
#   engine_images    build stand-ins for the public base images where no registry can be reached
#   engine_builds    build this project's images ahead of the tests, side by side
#   engine_stop      stop it; no container, network, volume or process is left
#
# State is in $ENGINE_DIR. Call engine_start in the main shell, and engine_stop from an EXIT trap; run
# the tests with `&` and `wait`, because bash runs a trap only when its foreground child has ended.
: "${ENGINE_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/promptward-engine}"
# The names in deploy/compose/*.yaml and the Dockerfiles; tests/integration/stacks/test_files.py compares.
ENGINE_PYTHON_IMAGE=python:3.11-slim-bookworm
ENGINE_DEBIAN_IMAGE=debian:bookworm-slim
ENGINE_ENVOY_IMAGE=envoyproxy/envoy:v1.40.0
ENGINE_REDIS_IMAGE=redis:7.2-bookworm

engine_possible() { # root on a Debian that may make namespaces: where an engine can be started
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && command -v unshare >/dev/null &&
    unshare --fork --pid --mount --mount-proc true 2>/dev/null
}

engine_install() {
  mkdir -p "$ENGINE_DIR/cfg/cli-plugins"
  if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null || ! command -v mmdebstrap >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 \
      docker.io mmdebstrap >/dev/null
  fi
  if [ -x "$ENGINE_DIR/cfg/cli-plugins/docker-compose" ] && [ -x "$ENGINE_DIR/cfg/cli-plugins/docker-buildx" ]; then
    return
  fi
  _engine_plugins
}

_engine_mirror() { # the machine's own package mirror: no host is written here
  # shellcheck disable=SC2016 # apt-get expands it
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: bookworm" 2>/dev/null | grep . ||
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages'
}

_engine_plugins() {
  # Compose v2 and buildx are in the next Debian release; both need only libc6 >= 2.34. They are
  # unpacked with package lists of their own: the machine's apt stays as it is.
  local apt="$ENGINE_DIR/apt" mirror options
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs"
  mirror=$(_engine_mirror | head -1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$apt/sources.list"
  options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update -qq
  (cd "$apt/debs" && apt-get "${options[@]}" download -qq docker-compose docker-buildx &&
    for deb in *.deb; do dpkg-deb -x "$deb" unpacked; done)
  cp "$apt"/debs/unpacked/usr/libexec/docker/cli-plugins/* "$ENGINE_DIR/cfg/cli-plugins/"
  rm -rf "$apt"
}

_engine_alive() { [ -e "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

_engine_sweep() { # what a killed run left; its bridges (br-*) are in the machine's own network namespace
  local ids
  ids=$(docker ps -aq)
  # shellcheck disable=SC2086 # one word each
  [ -z "$ids" ] || docker rm -fv $ids >/dev/null
  docker network prune -f >/dev/null
  docker volume prune -f >/dev/null
  docker image prune -f >/dev/null
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
  # and mount goes with it; and it goes with this shell, even when the shell is killed outright.
  setpriv --pdeathsig KILL -- unshare --fork --pid --mount --mount-proc --kill-child=SIGKILL -- \
    dockerd -H "$DOCKER_HOST" --data-root "$ENGINE_DIR/data" --exec-root "$ENGINE_DIR/exec" \
    --pidfile "$ENGINE_DIR/docker.pid" \
    --iptables=false --ip6tables=false --bridge=none --ip-forward=false --ip-masq=false \
    >"$ENGINE_DIR/dockerd.log" 2>&1 </dev/null &
  ENGINE_PID=$!
  echo "$ENGINE_PID" >"$ENGINE_DIR/unshare.pid"
  for _ in $(seq 300); do
    docker version >/dev/null 2>&1 && { _engine_sweep; return 0; }
    _engine_alive "$ENGINE_PID" || break
    sleep .2
  done
  tail -20 "$ENGINE_DIR/dockerd.log" >&2
  return 1
}

engine_stop() {
  [ -n "${ENGINE_PID:-}" ] || return 0
  _engine_sweep 2>/dev/null || true
  local child
  child=$(ps -o pid= --ppid "$ENGINE_PID" | tr -d ' ')
  if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null; fi
  for _ in $(seq 150); do
    _engine_alive "$ENGINE_PID" || break
    sleep .1
  done
  if _engine_alive "$ENGINE_PID"; then kill -9 "$ENGINE_PID" 2>/dev/null; fi
  wait "$ENGINE_PID" 2>/dev/null
  ENGINE_PID=
  rm -f "$ENGINE_DIR/unshare.pid"
}

# Stand-ins, tagged like the public images so that FROM and `image:` find them here: Debian's own
# builds of the same programs. They trust this machine's certificates and must never be published.
# $1: the Envoy binary that `make install` has put below .envoy/.
engine_images() {
  docker image inspect "$ENGINE_PYTHON_IMAGE" >/dev/null 2>&1 || _engine_python_image
  local redis=
  docker image inspect "$ENGINE_REDIS_IMAGE" >/dev/null 2>&1 || { _engine_redis_image & redis=$!; }
  docker image inspect "$ENGINE_ENVOY_IMAGE" >/dev/null 2>&1 || _engine_envoy_image "$1"
  [ -z "$redis" ] || wait "$redis"
}

# Compose builds them again and finds everything in the cache. Most of the time they wait for packages.
engine_builds() {
  local name pids=() rc=0
  for name in envoy-ext-authz cloudflare-workers; do
    docker build --quiet --network host -f "$name/Dockerfile" . >"$ENGINE_DIR/build-$name.log" 2>&1 &
    pids+=($!)
  done
  for name in "${pids[@]}"; do wait "$name" || rc=1; done
  [ "$rc" = 0 ] || cat "$ENGINE_DIR"/build-*.log >&2
  return "$rc"
}

_engine_python_image() {
  local mirror tar="$ENGINE_DIR/base.tar" # mmdebstrap looks at the suffix
  mirror=$(_engine_mirror | head -1)
  if [ ! -s "$tar" ]; then
    # shellcheck disable=SC2016 # $1 is mmdebstrap's
    mmdebstrap --quiet --mode=root --variant=minbase \
      --include=python3,python3-pip,python3-venv,ca-certificates \
      --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      --dpkgopt='path-exclude=/usr/share/doc/*' \
      --customize-hook='ln -sf python3 "$1/usr/bin/python"; rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
      --customize-hook='cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"' \
      bookworm "${tar%.tar}.part.tar" "deb $mirror bookworm main"
    mv "${tar%.tar}.part.tar" "$tar"
  fi
  docker import --change 'ENV LANG=C.UTF-8' --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' \
    --change 'CMD ["python3"]' "$tar" "$ENGINE_PYTHON_IMAGE" >/dev/null
  docker tag "$ENGINE_PYTHON_IMAGE" "$ENGINE_DEBIAN_IMAGE"
}

_engine_redis_image() {
  docker build --quiet --network host -t "$ENGINE_REDIS_IMAGE" - >/dev/null <<DOCKERFILE
FROM $ENGINE_PYTHON_IMAGE
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin && install -d -o 999 -g 999 /data
WORKDIR /data
DOCKERFILE
}

_engine_envoy_image() {
  local context="$ENGINE_DIR/envoy-image"
  mkdir -p "$context"
  cp "$1" "$context/envoy"
  printf 'FROM %s\nCOPY envoy /usr/local/bin/envoy\n' "$ENGINE_PYTHON_IMAGE" >"$context/Dockerfile"
  docker build --quiet -t "$ENGINE_ENVOY_IMAGE" "$context" >/dev/null
  rm -rf "$context"
}
