"""The development side of the Worker: install workerd, vendor the core, run it on loopback.

Nothing here is uploaded to Cloudflare. What runs in the Worker is `promptward_worker`.
"""
