"""What a Worker in front of an LLM origin can enforce.

`EXTERNAL_CLASSIFIER` is missing: a classifier call would need its own HTTP port and would count
against the subrequest and CPU limits of every request. `EXACT_TOKENS` is missing: the tokenizer
library is native code, and its data is larger than a Worker may be.
"""

from __future__ import annotations

from promptward.capabilities import Capability, GatewayCapabilities

CLOUDFLARE = GatewayCapabilities(
    name="cloudflare",
    can=frozenset(Capability) - {Capability.EXTERNAL_CLASSIFIER, Capability.EXACT_TOKENS},
    max_rewritten_body_bytes=None,
    notes={
        Capability.EXTERNAL_CLASSIFIER: (
            "the Worker calls no external detector; use Envoy for policies that need one"
        ),
        Capability.EXACT_TOKENS: "a Worker has no tokenizer; leave out spec.token_counting",
    },
    identity_method="cloudflare_access",
)
