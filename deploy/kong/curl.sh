#!/bin/sh
# The same through the Admin API. ADMIN is Kong's admin address, for example http://localhost:8001
set -eu
ADMIN=${1:-http://localhost:8001}
here=$(dirname "$0")

curl -fsS "$ADMIN/services" -d name=openai -d url=https://api.openai.com
curl -fsS "$ADMIN/services/openai/routes" -d name=chat -d 'paths[]=/v1/chat/completions' -d strip_path=false
curl -fsS "$ADMIN/routes/chat/plugins" -d name=key-auth -d 'config.key_names[]=apikey'
# A policy file as text …
curl -fsS "$ADMIN/routes/chat/plugins" -d name=promptward --data-urlencode "config.policy@$here/policy.yaml"
# … or as nested JSON, which Kong validates:
#   curl "$ADMIN/routes/chat/plugins" -H 'content-type: application/json' -d '{"name": "promptward",
#     "config": {"metadata": {"name": "chat"}, "spec": {"identity": {"allow_anonymous": true},
#     "authorization": {"default": "allow"}, "checks": [{"id": "i", "type": "prompt_injection"}]}}}'
curl -fsS "$ADMIN/routes/chat/plugins" -d name=promptward-gate
curl -fsS "$ADMIN/consumers" -d username=ann
curl -fsS "$ADMIN/consumers/ann/key-auth" -d key=change-me
