"""Options of metrics."""

from __future__ import annotations

from synapse_lite.config._options import option, section


@section(title="Metrics")
class MetricsConfig:
    """What Prometheus reads at /_synapse/metrics of listeners with the resource `metrics`."""

    enable_metrics: bool = option(default=False, doc="Serve metrics in the master.")
