"""Every metric there is: its name, what it means, its labels and their values.  docs/reference/metrics.md prints this.

No label holds what callers make up without a bound: its values are a closed list, or those that are configured and, of
some, the first so many that come; whatever else comes is `other`.  Never a user, a session, a key or an id.

Not here is what Headgate does not do yet, because a metric without a source stays at zero and would be taken for good
news: jobs of its own, webhooks for results, signals of injection, settings that are loaded again.
"""

# To whoever uses it the catalogue is one list; `__all__` of a subject is what it adds to it.
# ruff: noqa: F403

from __future__ import annotations

from headgate.telemetry.metrics.catalogue import (
    access,
    admission,
    alerts,
    attempts,
    batches,
    budgets,
    calls,
    content,
    itself,
    metric,
    stores,
    tokens_and_cost,
)
from headgate.telemetry.metrics.catalogue.access import *
from headgate.telemetry.metrics.catalogue.admission import *
from headgate.telemetry.metrics.catalogue.alerts import *
from headgate.telemetry.metrics.catalogue.attempts import *
from headgate.telemetry.metrics.catalogue.batches import *
from headgate.telemetry.metrics.catalogue.budgets import *
from headgate.telemetry.metrics.catalogue.calls import *
from headgate.telemetry.metrics.catalogue.content import *
from headgate.telemetry.metrics.catalogue.itself import *
from headgate.telemetry.metrics.catalogue.labels import *
from headgate.telemetry.metrics.catalogue.metric import *
from headgate.telemetry.metrics.catalogue.stores import *
from headgate.telemetry.metrics.catalogue.tokens_and_cost import *

_SUBJECTS = (calls, attempts, tokens_and_cost, content, batches, admission, budgets, stores, access, itself, alerts)
METRICS: tuple[metric.Metric, ...] = tuple(
    each for subject in _SUBJECTS for each in vars(subject).values() if isinstance(each, metric.Metric)
)
"""In the order of the subjects, and of each as they stand there."""
