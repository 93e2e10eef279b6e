"""Traces and metrics as a real collector gets them, read by OpenTelemetry's own classes."""

from __future__ import annotations

import asyncio
import socket
from random import Random
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from headgate.clock import SystemClock
from headgate.config.schema import Config, RetryConfig, TelemetryConfig
from headgate.sim import SimSettings
from headgate.telemetry.otel import export, sender, settings, tracing
from headgate.telemetry.otel.settings import Target
from headgate.upstream.dial import TcpDial
from support.collector import Collector, attributes_of, collector
from support.edge import MESSAGE, MODEL, Edge, Exchange, body_of, play

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


def sent(scene, *, sim: SimSettings | None = None, upstream=None, **telemetry) -> Collector:
    """What a collector has after a gateway ran and stopped."""
    with collector() as found:
        config = Config(
            telemetry=TelemetryConfig(otlp_endpoint=found.url, **telemetry), retry=RetryConfig(base_s=0.01, cap_s=0.02)
        )
        play(scene, sim=sim or (SimSettings() if upstream is None else None), upstream=upstream, config=config)
    return found


def one_call(sim: str = "", *, stream: bool = False, headers: dict[str, str] | None = None):
    async def scene(edge: Edge) -> None:
        told = {"x-sim": sim, "x-headgate-workflow": "chat", "x-correlation-id": "order-4711", **(headers or {})}
        await edge.ask(body=body_of(stream=stream), headers=told)

    return scene


def test_a_call_is_a_span_and_each_attempt_a_child_of_it():
    """The attempt that was repeated too."""
    call, *attempts = sent(one_call("flaky=1:529")).spans

    assert (call.kind, call.name) == (Span.SPAN_KIND_SERVER, "headgate messages")
    assert [(each.kind, each.name) for each in attempts] == [(Span.SPAN_KIND_CLIENT, f"chat {MODEL}")] * 2
    assert {each.trace_id for each in attempts} == {call.trace_id}
    assert {each.parent_span_id for each in attempts} == {call.span_id}
    assert len({call.span_id, *[each.span_id for each in attempts]}) == 3
    assert [each.status.code for each in (call, *attempts)] == [
        Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET
    ]  # fmt: skip
    assert call.start_time_unix_nano <= attempts[0].start_time_unix_nano < attempts[1].end_time_unix_nano
    assert attempts[1].end_time_unix_nano <= call.end_time_unix_nano + 1_000_000  # the call's begin is in milliseconds


def test_an_attempt_says_what_the_conventions_ask_for():
    """Input tokens hold those of the cache; an error has its class."""
    _, failed, answered = [attributes_of(span) for span in sent(one_call("flaky=1:529", stream=True)).spans]

    assert failed["error.type"] == "overloaded"
    assert (failed["http.response.status_code"], failed["headgate.decision"]) == (529, "retried")
    assert "gen_ai.usage.input_tokens" not in failed
    assert answered["gen_ai.operation.name"] == "chat"
    assert answered["gen_ai.provider.name"] == answered["gen_ai.system"] == "anthropic"
    assert answered["gen_ai.request.model"] == answered["gen_ai.response.model"] == MODEL
    assert answered["gen_ai.response.id"].startswith("msg_")
    assert answered["gen_ai.response.finish_reasons"] in (("end_turn",), ("max_tokens",))
    assert answered["gen_ai.request.stream"] is True
    assert answered["gen_ai.request.max_tokens"] == 64
    assert answered["gen_ai.usage.input_tokens"] > 0 < answered["gen_ai.usage.output_tokens"]
    assert answered["gen_ai.response.time_to_first_chunk"] > 0
    assert answered["server.address"] == "127.0.0.1"
    assert answered["server.port"] > 0


def test_what_the_cache_gives_and_takes_is_part_of_the_input():
    usage = {
        "input_tokens": 10, "output_tokens": 4, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 500,
    }  # fmt: skip

    async def upstream(exchange: Exchange) -> None:
        await exchange.answer(msgspec.json.encode(MESSAGE | {"usage": usage}))

    async def scene(edge: Edge) -> None:
        await edge.ask()

    told = attributes_of(sent(scene, upstream=upstream).spans[1])

    assert told["gen_ai.usage.input_tokens"] == 540
    assert told["gen_ai.usage.cache_read.input_tokens"] == 500
    assert told["gen_ai.usage.cache_write.input_tokens"] == told["gen_ai.usage.cache_creation.input_tokens"] == 30


def test_a_call_says_who_asked_and_how_it_ended():
    told = attributes_of(sent(one_call()).spans[0])

    assert told["headgate.call_id"].startswith("call_")
    assert told["headgate.correlation_id"] == "order-4711"
    assert told["gen_ai.workflow.name"] == "chat"
    assert (told["headgate.lane"], told["headgate.outcome"], told["headgate.attempts"]) == ("standard", "ok", 1)
    assert told["headgate.cost_usd"] > 0


def test_no_text_of_anybody_is_in_a_span():
    """What was asked and answered, keys, users."""

    async def scene(edge: Edge) -> None:
        await edge.ask(body=body_of("canary-question"), headers={"x-headgate-user": "canary-user"})

    found = sent(scene)

    assert b"canary" not in b"".join(request.SerializeToString() for request in found.traces)


def test_a_caller_that_traces_is_the_parent():
    """W3C Trace Context in; out in the answer's `traceresponse`; the same trace id in the ledger and in the log."""

    async def scene(edge: Edge) -> None:
        reply = await edge.ask(headers={"traceparent": TRACEPARENT, "tracestate": "vendor=opaque"})
        seen.append((reply.header("traceresponse"), edge.calls[0].trace_id))

    seen: list[tuple[str | None, str | None]] = []
    call, attempt = sent(scene).spans

    assert (call.trace_id.hex(), call.parent_span_id.hex(), call.trace_state) == (TRACE, PARENT, "vendor=opaque")
    assert attempt.trace_id == call.trace_id
    assert seen == [(f"00-{TRACE}-{call.span_id.hex()}-01", TRACE)]


def test_a_call_of_nobodys_trace_begins_one():
    async def scene(edge: Edge) -> None:
        await edge.ask()
        seen.append(edge.calls[0].trace_id)

    seen: list[str | None] = []
    call, _ = sent(scene).spans

    assert call.parent_span_id == b""
    assert seen == [call.trace_id.hex()]


def test_a_caller_that_does_not_keep_its_trace_gets_no_span():
    """Its decision is followed; the trace id is written down all the same."""
    found = sent(one_call(headers={"traceparent": TRACEPARENT[:-1] + "0"}))

    assert found.spans == []
    assert found.metrics


@pytest.mark.parametrize("asked", [False, True])
def test_the_api_is_told_the_trace_only_if_asked_to(asked):
    """Then each attempt is told its own span."""

    async def upstream(exchange: Exchange) -> None:
        heads.append(exchange.head)
        await exchange.answer_plainly()

    async def scene(edge: Edge) -> None:
        await edge.ask(headers={"traceparent": TRACEPARENT, "tracestate": "vendor=opaque"})

    heads: list[bytes] = []
    _, attempt = sent(scene, upstream=upstream, trace_upstream=asked).spans

    traced = f"traceparent: 00-{TRACE}-{attempt.span_id.hex()}-01\r\n".encode()
    assert (traced in heads[0], b"tracestate: vendor=opaque\r\n" in heads[0]) == (asked, asked)
    assert asked or b"trace" not in heads[0]


@pytest.mark.parametrize("asked", [False, True])
def test_without_a_collector_the_callers_own_trace_goes_on(asked):
    async def upstream(exchange: Exchange) -> None:
        heads.append(exchange.head)
        await exchange.answer_plainly()

    async def scene(edge: Edge) -> str | None:
        reply = await edge.ask(headers={"traceparent": TRACEPARENT})
        return reply.header("traceresponse")

    heads: list[bytes] = []
    config = Config(telemetry=TelemetryConfig(trace_upstream=asked))

    assert play(scene, upstream=upstream, config=config) is None
    assert (f"traceparent: {TRACEPARENT}\r\n".encode() in heads[0]) is asked


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_metrics_have_the_names_of_the_conventions():
    """Durations in seconds; input with what the cache gave; both sets of names unless one is chosen."""
    found = sent(one_call("tokens=50", stream=True))

    point = found.metric("gen_ai.client.inference.duration").histogram.data_points[0]
    assert list(point.explicit_bounds) == [0.01 * 2**n for n in range(14)]
    assert (point.count, point.sum > 0) == (1, True)
    assert attributes_of(point) == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.system": "anthropic",
        "gen_ai.request.model": MODEL, "gen_ai.response.model": MODEL, "server.address": "127.0.0.1",
        "server.port": attributes_of(point)["server.port"],
    }  # fmt: skip
    output = found.metric("gen_ai.client.inference.usage.output_tokens")
    assert (output.unit, output.sum.is_monotonic, output.sum.data_points[0].as_double) == ("{token}", True, 50)
    types = {
        attributes_of(each)["gen_ai.token.type"]: each.sum
        for each in found.metric("gen_ai.client.token.usage").histogram.data_points
    }
    assert (types["output"], types["input"] > 0) == (50, True)
    assert found.metric("gen_ai.client.inference.time_to_first_chunk").histogram.data_points[0].count == 1


@pytest.mark.parametrize(("semconv", "there"), [("new", (True, False)), ("legacy", (False, True))])
def test_one_set_of_names_can_be_chosen(semconv, there):
    found = sent(one_call(), semconv=semconv)

    told = {m.name for r in found.metrics for rm in r.resource_metrics for sm in rm.scope_metrics for m in sm.metrics}
    attributes = attributes_of(found.spans[1])
    assert ("gen_ai.client.inference.duration" in told, "gen_ai.client.operation.duration" in told) == there
    assert ("gen_ai.provider.name" in attributes, "gen_ai.system" in attributes) == there


def test_a_failure_has_its_class():
    found = sent(one_call("error=400"))

    points = found.metric("gen_ai.client.inference.duration").histogram.data_points
    assert [attributes_of(point).get("error.type") for point in points] == ["invalid_request"]


def test_headgates_own_metrics_go_along():
    """The same as in `/metrics`."""
    found = sent(one_call())

    requests = {
        attributes_of(point)["outcome"]: point.as_double
        for point in found.metric("headgate_requests_total").sum.data_points
    }
    assert requests["ok"] == 1
    assert found.metric("headgate_queue_depth").gauge.data_points
    assert sum(found.metric("headgate_request_duration_seconds").histogram.data_points[0].bucket_counts) == 1


def test_metrics_are_told_again_and_again(monkeypatch):
    """As they have come to be since the process began."""
    monkeypatch.setattr(settings, "METRIC_INTERVAL_MS", 50)

    async def scene(edge: Edge) -> None:
        for number in (1, 2):
            await edge.ask()
            while output_of(found) != 4 * number:  # noqa: ASYNC110 - another thread's
                await asyncio.sleep(0.01)

    def output_of(found: Collector) -> float:
        told = found.metric("gen_ai.client.inference.usage.output_tokens") if found.metrics else None
        return told.sum.data_points[0].as_double if told is not None else 0.0

    with collector() as found:
        config = Config(telemetry=TelemetryConfig(otlp_endpoint=found.url))
        play(scene, config=config)

    first, *_, last = [point_of(request) for request in found.metrics]
    assert first.start_time_unix_nano == last.start_time_unix_nano < first.time_unix_nano < last.time_unix_nano


def point_of(request: Any) -> Any:
    """Of any counter."""
    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    return next(metric.sum.data_points[0] for metric in metrics if metric.HasField("sum"))


def test_what_is_sent_can_be_compressed_and_carries_the_operators_headers():
    async def send(target: Target) -> bool:
        sending = sender.Sender("traces", target, TcpDial(allow_private=True), SystemClock(), Random(1))
        taken = await sending.send(export.spans_request({"service.name": "x" * 1000}, []))
        sending.close()
        return taken

    with collector() as found:
        target = Target(url=f"{found.url}/v1/traces", timeout_s=5.0, gzip=True, headers=(("x-tenant", "a"),))
        assert asyncio.run(send(target))

    assert attributes_of(found.traces[0].resource_spans[0].resource) == {"service.name": "x" * 1000}
    assert (found.got[0].headers["x-tenant"], found.got[0].headers["content-encoding"]) == ("a", "gzip")
    assert int(found.got[0].headers["content-length"]) < 200


# -- a collector in trouble --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["refuses", "hangs"])
def test_j03_a_dead_collector_costs_calls_nothing_and_what_is_lost_is_counted(trouble, monkeypatch):
    """Nobody listens there, or whoever does never answers.  What waits is bounded, the oldest goes first."""
    monkeypatch.setattr(settings, "MOST_SPANS_WAITING", 16)
    monkeypatch.setattr(settings, "MOST_SPANS_AT_ONCE", 8)
    monkeypatch.setattr(export, "CLOSING_S", 0.1)
    monkeypatch.setattr(tracing, "IN_A_ROW", 1)

    async def scene(edge: Edge) -> tuple[list[int], list[str]]:
        replies = [await edge.ask() for _ in range(20)]
        told = edge.engine.metrics.exposition().decode().splitlines()
        return [reply.status for reply in replies], [line for line in told if 'dropped_total{signal="spans"}' in line]

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if trouble == "hangs" else 9
        config = Config(telemetry=TelemetryConfig(otlp_endpoint=f"http://127.0.0.1:{port}"))
        statuses, (dropped,) = play(scene, sim=SimSettings(), config=config)

    assert statuses == [200] * 20
    assert 40 - 16 - 8 <= int(dropped.split()[1]) <= 40 - 16


def test_a_collector_that_asks_for_time_gets_the_same_again(monkeypatch):
    monkeypatch.setattr(settings, "SPAN_DELAY_MS", 10)
    monkeypatch.setattr(sender, "FIRST_WAIT_S", 0.01)

    async def scene(edge: Edge) -> None:
        await edge.ask()
        while not found.traces:  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.01)

    with collector() as found:
        found.answers = [(503, {}), (429, {})]
        play(scene, sim=SimSettings(), config=Config(telemetry=TelemetryConfig(otlp_endpoint=found.url)))

    assert len(found.spans) == 2


def test_what_a_collector_refuses_for_good_is_not_sent_again(monkeypatch):
    monkeypatch.setattr(settings, "SPAN_DELAY_MS", 10)

    async def scene(edge: Edge) -> list[str]:
        await edge.ask()
        while found.answers:  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        told = edge.engine.metrics.exposition().decode().splitlines()
        return [line for line in told if 'dropped_total{signal="spans"}' in line]

    with collector() as found:
        found.answers = [(400, {})]
        (dropped,) = play(scene, sim=SimSettings(), config=Config(telemetry=TelemetryConfig(otlp_endpoint=found.url)))

    assert found.traces == []
    assert dropped.endswith(" 2")


def test_spans_come_from_where_the_resource_says():
    """Names of the service and its version, in a scope of ours."""
    found = sent(one_call())

    told = attributes_of(found.traces[0].resource_spans[0].resource)
    assert told["service.name"] == "headgate"
    assert found.traces[0].resource_spans[0].scope_spans[0].scope.name == "headgate"
    assert found.got[0].headers["content-type"] == "application/x-protobuf"
