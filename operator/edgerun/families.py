"""The table of metrics: every one of the control plane, by the name that it has in queries.

Trap: a label takes values of a small closed set. A name, host, path or uid would be a new series for each.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Type = Literal["counter", "gauge", "histogram"]


class Family(NamedTuple):
    """One metric. `name` is the one in queries: with `_total`, without `_bucket`."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str


FAMILIES = (
    Family("edgerun_build_info", "gauge", ("version",), "Always 1; the label says what runs."),
    Family("leader_election_master_status", "gauge", ("name",), "1 in the replica that holds the Lease, 0 in others."),
    Family("edgerun_source_synced", "gauge", (), "1 once every kind was listed; nothing is published before."),
    Family("edgerun_source_sweep_age_seconds", "gauge", (), "Time since all objects were listed last."),
    Family("edgerun_source_watching", "gauge", (), "1 while the thread of the watches lives."),
    Family("edgerun_source_restarts_total", "counter", (), "How often the watches had to begin anew."),
    Family("edgerun_source_ghosts_total", "counter", (), "Deletions that a sweep found and the watches had not told."),
    Family("edgerun_source_missed_total", "counter", (), "Changes that a sweep found and the watches had not told."),
    Family("edgerun_store_objects", "gauge", ("kind",), "Objects that are known."),
    Family("edgerun_store_refused_objects", "gauge", ("kind",), "Objects whose newest version may not serve."),
    Family("edgerun_objects_ready", "gauge", ("kind", "status"), "Objects by their Ready condition; leader only."),
    Family("edgerun_rebuild_total", "counter", ("result",), "Builds of the configuration out of all objects."),
    Family(
        "edgerun_rebuild_duration_seconds", "histogram", (), "What a build took, until it was handed to the xDS server."
    ),
    Family(
        "edgerun_last_rebuild_timestamp_seconds", "gauge", (), "When the last build that succeeded ended; 0 before."
    ),
    Family(
        "edgerun_origin_desired_replicas",
        "gauge",
        ("origin",),
        "How many replicas there should be; leader only.",
    ),
    Family("edgerun_origin_ready_replicas", "gauge", ("origin",), "How many take requests; leader only."),
    Family(
        "edgerun_origin_load",
        "gauge",
        ("origin",),
        "Its average over the window of scaling, in the metric of scaling; leader only.",
    ),
    Family(
        "edgerun_origin_wake_seconds", "histogram", (), "From the first request that waits to a replica that takes it."
    ),
    Family("edgerun_origin_panic", "gauge", ("origin",), "1 while a burst keeps replicas up; leader only."),
    Family("edgerun_xds_listening", "gauge", (), "1 while the xDS server accepts proxies; the leader's does."),
    Family("edgerun_xds_streams", "gauge", ("fleet",), "Proxies that are connected."),
    Family("edgerun_xds_streams_behind", "gauge", ("fleet",), "Proxies that have not acknowledged the newest build."),
    Family("edgerun_xds_pushes_total", "counter", ("type",), "Responses that were sent to proxies."),
    Family("edgerun_xds_nacks_total", "counter", ("type",), "Responses that a proxy refused."),
    Family("edgerun_xds_authentication_refused_total", "counter", ("reason",), "Calls whose token was not accepted."),
    Family(
        "edgerun_credential_expiry_timestamp_seconds",
        "gauge",
        ("credential",),
        "When one of our own certificates ends.",
    ),
    Family("edgerun_signing_keys", "gauge", ("phase",), "Keys that sign the edge's tokens, or will or did."),
    Family("edgerun_signing_key_age_seconds", "gauge", (), "How long the key that signs has done so."),
    Family("edgerun_signing_key_changes_total", "counter", ("change",), "Keys that were replaced or revoked."),
    Family("edgerun_tokens_minted_total", "counter", (), "Tokens that were signed for edges; leader only."),
    Family(
        "edgerun_rotation_blocked",
        "gauge",
        (),
        "Guards that were told of a key and do not take it; leader only.",
    ),
    Family("edgerun_rotation_total", "counter", ("result",), "Renewals of our own certificates."),
    Family("edgerun_clock_skew_seconds", "gauge", (), "How far the clock is ahead of the API server's."),
    Family("edgerun_apply_total", "counter", ("kind", "result"), "Objects that were applied or deleted; leader only."),
    Family("edgerun_status_updates_total", "counter", ("result",), "Statuses that were written; leader only."),
    Family("edgerun_events_total", "counter", ("result",), "Kubernetes Events that were worth telling; leader only."),
    Family("workqueue_depth", "gauge", ("name",), "Items that wait."),
    Family("workqueue_adds_total", "counter", ("name",), "Items that were added."),
    Family("workqueue_retries_total", "counter", ("name",), "Items that were put back after a failure."),
    Family("workqueue_queue_duration_seconds", "histogram", ("name",), "How long an item waits."),
    Family("workqueue_work_duration_seconds", "histogram", ("name",), "How long the work on an item takes."),
    Family("workqueue_unfinished_work_seconds", "gauge", ("name",), "Time spent on all items that are not done yet."),
    Family("workqueue_longest_running_processor_seconds", "gauge", ("name",), "Time spent on the oldest of them."),
    Family("rest_client_requests_total", "counter", ("method", "code"), "Requests to the API server."),
    Family("rest_client_request_duration_seconds", "histogram", ("verb",), "Until the API server had answered."),
)
BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}
