"""What OpenTelemetry's own variables do."""

from __future__ import annotations

import pytest

from headgate.config.schema import TelemetryConfig
from headgate.telemetry.otel.settings import Target, read_settings

HERE = "http://collector:4318"


def of(*, config: TelemetryConfig | None = None, **environ: str):
    return read_settings(config or TelemetryConfig(), environ)


def test_nothing_is_sent_unless_an_endpoint_is_named():
    found = of(OTEL_SERVICE_NAME="x")

    assert not found.sends_something


def test_an_endpoint_is_the_base_of_both_signals():
    found = of(OTEL_EXPORTER_OTLP_ENDPOINT=f"{HERE}/")

    assert found.traces == Target(url=f"{HERE}/v1/traces", timeout_s=10.0)
    assert found.metrics == Target(url=f"{HERE}/v1/metrics", timeout_s=10.0)


def test_a_signals_own_endpoint_is_taken_as_it_is():
    found = of(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="https://other/x")

    assert found.traces is not None
    assert (found.traces.url, found.metrics) == ("https://other/x", None)


def test_headgates_own_setting_goes_first():
    config = TelemetryConfig(otlp_endpoint="http://ours:4318")

    found = of(
        config=config, OTEL_EXPORTER_OTLP_ENDPOINT=HERE, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=HERE,
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
    )  # fmt: skip

    assert found.traces is not None
    assert found.traces.url == "http://ours:4318/v1/traces"


def test_headers_time_compression_and_certificates():
    found = of(
        OTEL_EXPORTER_OTLP_ENDPOINT=HERE, OTEL_EXPORTER_OTLP_HEADERS="a=1, b=x%20y",
        OTEL_EXPORTER_OTLP_METRICS_HEADERS="c=3", OTEL_EXPORTER_OTLP_TIMEOUT="2500",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_EXPORTER_OTLP_CERTIFICATE="/etc/ca.pem",
    )  # fmt: skip

    assert found.traces == Target(
        url=f"{HERE}/v1/traces", headers=(("a", "1"), ("b", "x y")), timeout_s=2.5, gzip=True, ca_file="/etc/ca.pem"
    )
    assert found.metrics is not None
    assert found.metrics.headers == (("c", "3"),)


@pytest.mark.parametrize("told", ["a=1%0d%0ax-b: 2", "a b=1", "a=%E2%80%A8"])
def test_a_header_that_cannot_be_sent_is_left_out_and_not_told(told, caplog):
    """It may be a secret."""
    found = of(OTEL_EXPORTER_OTLP_ENDPOINT=HERE, OTEL_EXPORTER_OTLP_HEADERS=f"{told},c=3")

    assert found.traces is not None
    assert found.traces.headers == (("c", "3"),)
    assert {record.getMessage() for record in caplog.records} == {
        "OTEL_EXPORTER_OTLP_HEADERS holds what is no header: it is left out"
    }


@pytest.mark.parametrize(
    "environ",
    [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"OTEL_TRACES_EXPORTER": "none"},
     {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "no address"}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[::1"},
     {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b\u00fccher"}],
    ids=str,
)  # fmt: skip
def test_traces_can_be_switched_off_and_what_cannot_be_followed_stops_nothing(environ):
    """The variables are often set for a whole machine."""
    assert of(OTEL_EXPORTER_OTLP_ENDPOINT=HERE, **environ).traces is None


@pytest.mark.parametrize(
    ("sampler", "argument", "share", "follow"),
    [
        ("always_on", "", 1.0, False),
        ("always_off", "", 0.0, False),
        ("traceidratio", "0.25", 0.25, False),
        ("parentbased_traceidratio", "0.25", 0.25, True),
        ("parentbased_always_off", "", 0.0, True),
        ("traceidratio", "many", 1.0, False),
        ("traceidratio", "2", 1.0, False),
        ("jaeger_remote", "", 1.0, True),
        ("", "", 1.0, True),
    ],
)
def test_which_traces_are_kept(sampler, argument, share, follow):
    found = of(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument)

    assert (found.root_share, found.follow_parent) == (share, follow)


@pytest.mark.parametrize("told", ["nonsense", "-1", "0", "inf", "nan"])
def test_a_number_that_says_nothing_is_not_followed(told):
    found = of(OTEL_BSP_MAX_QUEUE_SIZE=told, OTEL_BSP_SCHEDULE_DELAY=told, OTEL_EXPORTER_OTLP_TIMEOUT=told)

    assert (found.spans_waiting, found.span_delay_s) == (8_192, 5.0)


def test_the_queue_and_the_pace_are_the_operators():
    found = of(
        OTEL_BSP_MAX_QUEUE_SIZE="100", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10", OTEL_BSP_SCHEDULE_DELAY="250",
        OTEL_METRIC_EXPORT_INTERVAL="15000",
    )  # fmt: skip

    assert (found.spans_waiting, found.spans_at_once) == (100, 10)
    assert (found.span_delay_s, found.metric_interval_s) == (0.25, 15.0)


def test_the_resource_is_named():
    found = of(OTEL_RESOURCE_ATTRIBUTES="deployment.environment=prod,service.name=x", OTEL_SERVICE_NAME="gate")

    assert found.resource["deployment.environment"] == "prod"
    assert found.resource["service.name"] == "gate"


@pytest.mark.parametrize(
    ("opted", "semconv"),
    [("gen_ai_latest_experimental", "new"), ("http,gen_ai_latest_experimental", "new"), ("http", "both")],
)
def test_opting_in_means_the_new_names_alone(opted, semconv):
    assert of(OTEL_SEMCONV_STABILITY_OPT_IN=opted).semconv == semconv
