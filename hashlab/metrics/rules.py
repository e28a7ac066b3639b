"""The rules of alerts: questions to the metrics store, each of which finds what is wrong. Data."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2
# Names of the usual metrics of HTTP servers: Micrometer's, and those of most client libraries.
REQUESTS = '{__name__=~"http_server_requests_seconds_count|http_requests_total"}'
FAILED = (
    '{__name__=~"http_server_requests_seconds_count|http_requests_total",status=~"5.."}',
    '{__name__=~"http_requests_total",code=~"5.."}',
)
SECONDS = '{__name__=~"http_server_requests_seconds_sum|http_request_duration_seconds_sum"}'
TIMED = '{__name__=~"http_server_requests_seconds_count|http_request_duration_seconds_count"}'
BY = "by (machine, service, replica)"


@dataclass(frozen=True)
class Rule:
    """An alert. ``question``: a query that finds a series for each thing that is wrong;
    ``seconds``: how long it must find it before the alert fires; ``text``: what is said about it,
    after its name, with the ``{value}`` of the series.
    """

    alert: str
    question: str
    seconds: float
    text: str


def _latency(window: str, offset: str = "") -> str:
    return (
        f"(sum {BY} (rate({SECONDS}[{window}]{offset})) / "
        f"sum {BY} (rate({TIMED}[{window}]{offset})))"
    )


_ERRORS = " or ".join(f"sum {BY} (rate({failed}[1m]))" for failed in FAILED)

RULES = (
    Rule("MachineDown", 'up{job="machine"} == 0', 10, "does not answer"),
    Rule("EngineDown", "hashlab_machine_engine_up == 0", 15, "has a Docker Engine that is silent"),
    Rule("ServiceDown", "hashlab_container_up == 0", 10, "does not run, or is unhealthy"),
    Rule(
        "ServiceRestarts",
        # It ends when the last start is a while ago, or another build runs.
        "(increase(hashlab_container_restarts_total[3m]) >= 2) and on (machine, service, replica)"
        " ((hashlab_container_up == 0) or"
        " (time() - hashlab_container_start_time_seconds < 60))",
        0,
        "was restarted {value:.0f} times in 3 minutes",
    ),
    Rule(
        "QueueGrows",
        # The least of this minute is more than the most of the minute before.
        "(min_over_time(rabbitmq_queue_messages[1m]) > "
        "max_over_time(rabbitmq_queue_messages[1m] offset 1m)) > 100",
        0,
        "has {value:.0f} messages in its queues, and they grow",
    ),
    Rule(
        "DiskFills",
        "(100 * hashlab_machine_disk_available_bytes / hashlab_machine_disk_total_bytes < 10)"
        f" and (hashlab_machine_disk_available_bytes < {5 * 1024 * MIB})",
        15,
        "has {value:.1f} % of its disk free",
    ),
    Rule(
        "ErrorsRise",
        f"(100 * ({_ERRORS}) / sum {BY} (rate({REQUESTS}[1m]))) > 5",
        15,
        "answers {value:.0f} % of its requests with an error",
    ),
    Rule(
        "LatencyRises",
        f"({_latency('1m')} > 2 * {_latency('10m', ' offset 1m')}) > 0.1",
        15,
        "takes {value:.2f} s for a request, more than twice as long as before",
    ),
    Rule("MetricsMissing", 'up{job="service"} == 0', 30, "does not answer with its metrics"),
)
