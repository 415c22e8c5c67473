# Source me after .ci/engine.sh: images for an engine that reaches no registry.
#
#   stand_in_images   Debian's own builds of Python, Redis, Envoy and Postgres; a fake Kong
#   project_images    build this project's images ahead of the tests, side by side
#
# The first three are tagged like the public images, so that FROM and `image:` find them here. Kong and
# Postgres are not what those tags promise, so they have names of their own, which the tests hand to
# the compose files as KONG_IMAGE and POSTGRES_IMAGE. All of them trust this machine's certificates
# and must never be published. Fails when an image cannot be built.
#
# The names in deploy/compose/*.yaml and the Dockerfiles; tests/integration/stacks/test_files.py compares.
ENGINE_PYTHON_IMAGE=python:3.11-slim-bookworm
ENGINE_DEBIAN_IMAGE=debian:bookworm-slim
ENGINE_ENVOY_IMAGE=envoyproxy/envoy:v1.40.0
ENGINE_REDIS_IMAGE=redis:7.2-bookworm
# Those of tests/integration/stacks/support/stacks/fake_kong.py.
STAND_IN_KONG=kong-stand-in:3
STAND_IN_POSTGRES=postgres-stand-in:15

# $1: the Envoy binary that `make install` has put below .envoy/.
stand_in_images() {
  local rc=0 job jobs=()
  _has_image "$ENGINE_PYTHON_IMAGE" || _python_image || return
  _has_image "$ENGINE_REDIS_IMAGE" || { _redis_image & jobs+=($!); }
  _has_image "$STAND_IN_POSTGRES" || { _folder_image postgres "$STAND_IN_POSTGRES" & jobs+=($!); }
  _has_image "$STAND_IN_KONG" || { _folder_image kong "$STAND_IN_KONG" & jobs+=($!); }
  _has_image "$ENGINE_ENVOY_IMAGE" || _envoy_image "$1" || rc=1
  for job in "${jobs[@]}"; do wait "$job" || rc=1; done
  return "$rc"
}

# Compose builds them again and finds everything in the cache. Most of the time they wait for packages.
# One that fails is built once more by itself: in the Worker's a workerd has to start within a minute,
# which it did not on a machine with ten busy processes on two cores.
project_images() {
  local name names=(envoy-ext-authz cloudflare-workers kong-plugins)
  local -A jobs
  for name in "${names[@]}"; do
    _project_image "$name" &
    jobs[$name]=$!
  done
  for name in "${names[@]}"; do
    wait "${jobs[$name]}" && continue
    echo "the image of $name was not built; once more, by itself"
    _project_image "$name" || {
      tail -n 40 "$ENGINE_DIR/build-$name.log" >&2
      return 1
    }
  done
}

_project_image() {
  _build --network host -f "$1/Dockerfile" --build-arg "KONG_IMAGE=$STAND_IN_KONG" . >"$ENGINE_DIR/build-$1.log" 2>&1
}

_has_image() { _engine_docker image inspect "$1" >/dev/null 2>&1; }

_build() { timeout --kill-after=10 600 docker build "$@"; }

_python_image() {
  local tar="$ENGINE_DIR/base.tar" # mmdebstrap looks at the suffix
  if [ ! -s "$tar" ]; then
    # shellcheck disable=SC2016 # $1 is mmdebstrap's
    timeout --kill-after=10 600 mmdebstrap --quiet --mode=root --variant=minbase \
      --include=python3,python3-pip,python3-venv,ca-certificates \
      --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      --dpkgopt='path-exclude=/usr/share/doc/*' \
      --customize-hook='ln -sf python3 "$1/usr/bin/python"; rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
      --customize-hook='cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"' \
      bookworm "${tar%.tar}.part.tar" "deb $(_engine_mirror) bookworm main" || return
    mv "${tar%.tar}.part.tar" "$tar"
  fi
  timeout 120 docker import --change 'ENV LANG=C.UTF-8' \
    --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' \
    --change 'CMD ["python3"]' "$tar" "$ENGINE_PYTHON_IMAGE" >/dev/null || return
  _engine_docker tag "$ENGINE_PYTHON_IMAGE" "$ENGINE_DEBIAN_IMAGE"
}

_redis_image() {
  _build --quiet --network host -t "$ENGINE_REDIS_IMAGE" - >/dev/null <<DOCKERFILE
FROM $ENGINE_PYTHON_IMAGE
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin && install -d -o 999 -g 999 /data
WORKDIR /data
DOCKERFILE
}

_envoy_image() {
  local context="$ENGINE_DIR/envoy-image" rc
  mkdir -p "$context"
  cp "$1" "$context/envoy"
  printf 'FROM %s\nCOPY envoy /usr/local/bin/envoy\n' "$ENGINE_PYTHON_IMAGE" >"$context/Dockerfile"
  _build --quiet -t "$ENGINE_ENVOY_IMAGE" "$context" >/dev/null
  rc=$?
  rm -rf "$context"
  return "$rc"
}

_folder_image() { # $1: a folder of .ci/stand-ins
  _build --quiet --network host --build-arg "BASE_IMAGE=$ENGINE_DEBIAN_IMAGE" -t "$2" ".ci/stand-ins/$1" >/dev/null
}
