"""Envoy configuration as data: what the quickstart, the tests and the bench run.

`deploy/envoy/envoy.yaml` is the same configuration written out for people; a test holds the two
together. Every value that differs from Envoy's default says why. Source: Envoy 1.40 API reference
and what was measured on the real binary (docs/how-to-envoy.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from promptward.exchange import JSON
from promptward_envoy.codec_ext_authz import MAX_REQUEST_BYTES_EXTENSION

Config = dict[str, JSON]

_TYPE = "type.googleapis.com/envoy.extensions."
# Both default to 200 ms; an overloaded or restarting service would fail requests needlessly. They
# are longer than the service's own deadline (5 s), which answers with a finished 503.
MESSAGE_TIMEOUT_S = 7
# Envoy's default of 1 MiB is too small for long contexts; larger bodies get 413 (500 for answers).
BUFFER_LIMIT_BYTES = 8 * 1024 * 1024
# A stopped endpoint leaves after two failed checks; the service drains for longer than that.
HEALTH_INTERVAL = "0.5s"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What varies.

    Attributes:
        listen: host and port of the listener.
        services: addresses of the service's workers, `host:port` or `unix:/path`.
        upstream: origin of the LLM API, for example `https://api.openai.com`.
        admin_socket: path of a Unix socket for Envoy's admin interface.
        filters: `ext_authz`, `ext_proc` or both, in order; extra HTTP filters may go in between as
            finished configuration.
        route_timeout_s: longest exchange; streams of reasoning models take minutes.
        route_config: `typed_per_filter_config` of the route.
        keepalive_s: a service that does not answer a PING for this long has its streams reset.
        upstream_key_variable: environment variable of Envoy with the upstream's API key.
        authz_body: instead of the `with_request_body` of ext_authz; empty for none.
    """

    listen: tuple[str, int]
    services: Sequence[str]
    upstream: str
    admin_socket: str
    filters: Sequence[str | Config] = ("ext_proc",)
    route_timeout_s: int = 600
    buffer_limit_bytes: int = BUFFER_LIMIT_BYTES
    message_timeout_s: float = MESSAGE_TIMEOUT_S
    route_config: Config = field(default_factory=dict)
    keepalive_s: float = 2.5
    upstream_key_variable: str = ""
    authz_body: Config | None = None


def ext_authz_route(extensions: dict[str, str]) -> Config:
    """A route's `typed_per_filter_config` for ext_authz with these `context_extensions`."""
    return {
        "envoy.filters.http.ext_authz": {
            "@type": _TYPE + "filters.http.ext_authz.v3.ExtAuthzPerRoute",
            "check_settings": {"context_extensions": dict(extensions)},
        }
    }


def ext_proc_route(metadata: dict[str, str]) -> Config:
    """A route's `typed_per_filter_config` for ext_proc with these gRPC metadata."""
    initial: list[JSON] = [{"key": name, "value": value} for name, value in metadata.items()]
    return {
        "envoy.filters.http.ext_proc": {
            "@type": _TYPE + "filters.http.ext_proc.v3.ExtProcPerRoute",
            "overrides": {"grpc_initial_metadata": initial},
        }
    }


def envoy_config(settings: Bootstrap) -> Config:
    """The complete bootstrap, ready for `json.dumps`."""
    return {
        "admin": {"address": {"pipe": {"path": settings.admin_socket}}},
        "static_resources": {
            "listeners": [_listener(settings)],
            "clusters": [_service_cluster(settings), _upstream_cluster(settings.upstream)],
        },
    }


def _listener(settings: Bootstrap) -> Config:
    manager: Config = {
        "@type": _TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "llm",
        # The peer is the connection's address; x-forwarded-for and x-request-id of clients are
        # not believed.
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "route_config": {"name": "llm", "virtual_hosts": [_virtual_host(settings)]},
        "http_filters": [*(_filter(settings, f) for f in settings.filters), _router()],
    }
    host, port = settings.listen
    return {
        "name": "llm",
        "address": _socket_address(host, port),
        "per_connection_buffer_limit_bytes": settings.buffer_limit_bytes,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }


def _virtual_host(settings: Bootstrap) -> Config:
    upstream = urlsplit(settings.upstream)
    entry: Config = {
        "name": "llm",
        "match": {"prefix": "/"},
        "typed_per_filter_config": settings.route_config,
    }
    route: Config = {"cluster": "upstream", "timeout": f"{settings.route_timeout_s}s"}
    if upstream.scheme == "https":
        route["host_rewrite_literal"] = upstream.hostname
    if settings.upstream_key_variable:
        # Envoy reads the variable itself: the key is in no file. The router adds headers after
        # all filters, so the caller's own credential is gone by then.
        value = f"Bearer %ENVIRONMENT({settings.upstream_key_variable})%"
        header: Config = {"key": "authorization", "value": value}
        overwrite = "OVERWRITE_IF_EXISTS_OR_ADD"
        added: list[JSON] = [{"header": header, "append_action": overwrite}]
        entry["request_headers_to_add"] = added
    prefix = upstream.path.rstrip("/")
    if prefix:
        route["prefix_rewrite"] = prefix + "/"
    entry["route"] = route
    host: Config = {"name": "llm", "domains": ["*"], "routes": [entry]}
    if "ext_authz" in settings.filters:
        # merged with what the route says (ext_authz.cc, FilterConfigPerRoute::merge)
        cut_at = str(_authz_body(settings).get("max_request_bytes", 0))
        host["typed_per_filter_config"] = ext_authz_route({MAX_REQUEST_BYTES_EXTENSION: cut_at})
    return host


def _filter(settings: Bootstrap, filter_: str | Config) -> Config:
    if not isinstance(filter_, str):
        return filter_
    return {"ext_authz": _ext_authz, "ext_proc": ext_proc_filter}[filter_](settings)


def _authz_body(settings: Bootstrap) -> Config:
    if settings.authz_body is not None:
        return settings.authz_body
    return {"max_request_bytes": settings.buffer_limit_bytes, "pack_as_bytes": True}


def _ext_authz(settings: Bootstrap) -> Config:
    body = _authz_body(settings)
    return {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": _TYPE + "filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "failure_mode_allow": False,
            "grpc_service": {
                "envoy_grpc": {"cluster_name": "promptward"},
                "timeout": f"{settings.message_timeout_s}s",
            },
            # Headers one by one: a repeated header must not look like one value.
            "encode_raw_headers": True,
            **({"with_request_body": body} if body else {}),
            "status_on_error": {"code": "ServiceUnavailable"},
            "metadata_context_namespaces": ["envoy.filters.http.jwt_authn"],
        },
    }


def ext_proc_filter(settings: Bootstrap) -> Config:
    """The ext_proc filter as it has to be."""
    return {
        "name": "envoy.filters.http.ext_proc",
        "typed_config": {
            "@type": _TYPE + "filters.http.ext_proc.v3.ExternalProcessor",
            "grpc_service": {"envoy_grpc": {"cluster_name": "promptward"}},
            "failure_mode_allow": False,
            "status_on_error": {"code": "ServiceUnavailable"},
            "message_timeout": f"{settings.message_timeout_s}s",
            # Envoy sends on only what the service gives back. The service relaxes the response by
            # mode_override where the policy reads nothing of it, so a configuration that forbids
            # overrides is slower but never lets bytes pass unread.
            "processing_mode": {
                "request_header_mode": "SEND",
                "request_body_mode": "BUFFERED",
                "response_header_mode": "SEND",
                "response_body_mode": "FULL_DUPLEX_STREAMED",
                "response_trailer_mode": "SEND",  # full duplex requires it
            },
            "allow_mode_override": True,
            "request_attributes": ["xds.route_name", "source.address"],
            # Tells an upstream's answer from one of Envoy's own.
            "response_attributes": ["response.code_details"],
            "metadata_options": {
                "forwarding_namespaces": {
                    "untyped": ["envoy.filters.http.ext_authz", "envoy.filters.http.jwt_authn"]
                },
                "receiving_namespaces": {"untyped": ["promptward"]},
            },
        },
    }


def _router() -> Config:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": _TYPE + "filters.http.router.v3.Router"},
    }


def _service_cluster(settings: Bootstrap) -> Config:
    return {
        "name": "promptward",
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": _endpoints("promptward", [_address(a) for a in settings.services]),
        "typed_extension_protocol_options": _protocol(
            {"http2_protocol_options": {"connection_keepalive": _keepalive(settings)}}
        ),
        "health_checks": [
            {
                "timeout": HEALTH_INTERVAL,
                "interval": HEALTH_INTERVAL,
                "no_traffic_interval": HEALTH_INTERVAL,
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {},
            }
        ],
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 1,
            "base_ejection_time": "1s",
            "max_ejection_percent": 100,
        },
        "common_lb_config": {
            # Never send to an endpoint known to be down, not even when all of them are.
            "healthy_panic_threshold": {"value": 0},
            # What a health check finds counts at once. By default Envoy's threads hear of it up to
            # 1 s later: --drain would have to be longer than that.
            "update_merge_window": "0s",
        },
        "circuit_breakers": {
            "thresholds": [{"max_requests": 10000, "max_pending_requests": 10000}]
        },
    }


def _keepalive(settings: Bootstrap) -> Config:
    """A full-duplex stream has no message timeout; unanswered PINGs reset one whose process hangs.

    Health checks do not: they only keep new streams away. And they end connections that a network
    cut has left half open. Measured with both services cut off for 0.7 to 14 s and connections
    forgotten: the last failed request 4 s after the mending, with 5 s here 7 s.
    """
    seconds = f"{settings.keepalive_s}s"
    return {"interval": seconds, "timeout": seconds}


def _upstream_cluster(origin: str) -> Config:
    url = urlsplit(origin)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"upstream must be an http:// or https:// URL, not {origin!r}")
    port = url.port or (443 if url.scheme == "https" else 80)
    cluster: Config = {
        "name": "upstream",
        "type": "STRICT_DNS",
        "connect_timeout": "5s",
        "load_assignment": _endpoints("upstream", [_socket_address(url.hostname, port)]),
        "typed_extension_protocol_options": _protocol({"http_protocol_options": {}}),
    }
    if url.scheme == "https":
        cluster["transport_socket"] = _tls(url.hostname)
    return cluster


def _tls(hostname: str) -> Config:
    san: Config = {"san_type": "DNS", "matcher": {"exact": hostname}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": _TYPE + "transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": hostname,
            "common_tls_context": {
                "validation_context": {
                    "trusted_ca": {"filename": "/etc/ssl/certs/ca-certificates.crt"},
                    "match_typed_subject_alt_names": [san],
                }
            },
        },
    }


def _protocol(options: Config) -> Config:
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": _TYPE + "upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": options,
        }
    }


def _endpoints(cluster: str, addresses: Sequence[Config]) -> Config:
    endpoints: list[JSON] = [{"endpoint": {"address": address}} for address in addresses]
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": endpoints}]}


def _address(address: str) -> Config:
    if address.startswith("unix:"):
        return {"pipe": {"path": address.removeprefix("unix:")}}
    host, _colon, port = address.rpartition(":")
    return _socket_address(host.strip("[]"), int(port))


def _socket_address(host: str, port: int) -> Config:
    return {"socket_address": {"address": host, "port_value": port}}
