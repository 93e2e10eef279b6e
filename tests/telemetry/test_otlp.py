"""What is written as OTLP is what OpenTelemetry's own classes read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from headgate.telemetry.metrics.catalogue import Label, Metric
from headgate.telemetry.metrics.registry import Registry
from headgate.telemetry.otel.export import Source, metrics_request
from headgate.telemetry.otel.protobuf import attribute
from support.collector import attributes_of

VALUES = st.one_of(
    st.text(max_size=300), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
    st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5).map(tuple),
)  # fmt: skip


@given(key=st.text(min_size=1, max_size=200), value=VALUES)
def test_an_attribute_of_any_kind_and_length_is_read_back(key, value):
    told = attributes_of(Span.FromString(attribute(9, key, value)))

    assert told == {key: value}
    assert type(told[key]) is type(value)


def test_each_kind_of_metric_is_read_back():
    """Buckets by themselves, as OTLP has them; an empty label is none."""
    who = Label(name="who", meaning="", first_come=9)
    done = Metric(name="done", kind="counter", help="Done.", labels=(who,), unit="{call}")
    level = Metric(name="level", kind="gauge", help="Level.", labels=(who,))
    took = Metric(name="took", kind="histogram", help="Took.", labels=(who,), bounds=(0.5, 1.0), unit="s")
    registry = Registry({}, metrics=(done, level, took))
    registry.counter(done, "a").value += 3
    registry.set(level, [(("",), 1.5)])
    for seconds in (0.5, 0.7, 2.0, 3.0):
        registry.histogram(took, "a").add(seconds)

    read = ExportMetricsServiceRequest.FromString(
        metrics_request({"service.name": "x"}, [Source(registry, {"all": 1})], 5, 7)
    )

    counter, gauge, histogram = read.resource_metrics[0].scope_metrics[0].metrics
    assert attributes_of(read.resource_metrics[0].resource) == {"service.name": "x"}
    assert (counter.name, counter.description, counter.unit) == ("done", "Done.", "{call}")
    assert (counter.sum.is_monotonic, counter.sum.aggregation_temporality) == (True, 2)
    point = counter.sum.data_points[0]
    assert (point.start_time_unix_nano, point.time_unix_nano, point.as_double) == (5, 7, 3.0)
    assert attributes_of(point) == {"who": "a", "all": 1}
    assert (gauge.gauge.data_points[0].as_double, attributes_of(gauge.gauge.data_points[0])) == (1.5, {"all": 1})
    spread = histogram.histogram.data_points[0]
    assert (list(spread.bucket_counts), list(spread.explicit_bounds)) == ([1, 1, 2], [0.5, 1.0])
    assert (spread.count, spread.sum, attributes_of(spread)) == (4, 6.2, {"who": "a", "all": 1})
