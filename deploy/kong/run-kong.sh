#!/bin/sh
# `make run-kong`: a DB-less Kong of this machine with Promptward from this checkout.
#   UPSTREAM=https://api.openai.com   where requests go
# Needs `kong` (3.9) on PATH and `make install`.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
command -v kong >/dev/null || {
  echo "kong is not installed on this machine; see docs/how-to-kong.md (container: deploy/compose/kong/compose.yaml)" >&2
  exit 1
}
bin=$root/.venv/bin
prefix=$(mktemp -d /tmp/pwkong.XXXXXX)
trap 'kong stop -p "$prefix" >/dev/null 2>&1 || true; rm -rf "$prefix"' EXIT INT TERM
"$bin/promptward-kong" gate --to "$prefix/lua"
sed "s#https://api.openai.com#${UPSTREAM:-https://api.openai.com}#" "$root/deploy/kong/kong.yml" >"$prefix/kong.yml"

export KONG_PREFIX="$prefix" KONG_DATABASE=off KONG_DECLARATIVE_CONFIG="$prefix/kong.yml"
export KONG_PLUGINS=bundled,promptward,promptward-buffered,promptward-gate
export KONG_LUA_PACKAGE_PATH="$prefix/lua/?.lua;;"
export KONG_PLUGINSERVER_NAMES=promptward_kong,promptward_kong_buffered
export KONG_PLUGINSERVER_PROMPTWARD_KONG_SOCKET="$prefix/promptward.socket"
export KONG_PLUGINSERVER_PROMPTWARD_KONG_START_CMD="$bin/promptward-kong serve --socket $prefix/promptward.socket"
export KONG_PLUGINSERVER_PROMPTWARD_KONG_QUERY_CMD="$bin/promptward-kong dump"
export KONG_PLUGINSERVER_PROMPTWARD_KONG_BUFFERED_SOCKET="$prefix/promptward.socket"
export KONG_PLUGINSERVER_PROMPTWARD_KONG_BUFFERED_QUERY_CMD="$bin/promptward-kong dump --plugin promptward-buffered"
export KONG_NGINX_DAEMON=off KONG_PROXY_ERROR_LOG=/dev/stderr KONG_LOG_LEVEL=notice

echo "proxy: http://localhost:8000   key: change-me   (Ctrl-C stops)"
kong start -p "$prefix"
