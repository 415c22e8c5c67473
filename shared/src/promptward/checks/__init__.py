"""One file per check. A check reads parts or claims and returns an outcome, it never raises.

Content checks (prompt injection, PII, output) implement `content.ContentCheck` and are listed in
`registry`; authentication, authorization and budgets are phases of their own in the engine.
"""
