#!/usr/bin/env bash
# Put a policy into force without a deployment: check it, then write it to the KV namespace POLICIES.
#
#   deploy/cloudflare/publish-policy.sh POLICY [KEY]
#
# KEY is the Worker's POLICY_KEY (default: policy). Needs `promptward` and `npx` on PATH and, as
# wrangler does, CLOUDFLARE_API_TOKEN or a login. Exit code 1: a Worker cannot enforce the policy.
set -euo pipefail

policy=$(realpath "$1")
key=${2:-policy}
promptward lint --gateway cloudflare "$policy"
cd "$(dirname "$0")/../../cloudflare-workers"
exec npx --yes wrangler@4.164.0 kv key put --binding POLICIES --remote "$key" --path "$policy"
