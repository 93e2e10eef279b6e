"""Labels of metrics of several subjects."""

from __future__ import annotations

from headgate.events import Reason
from headgate.telemetry.metrics.catalogue.metric import Label

__all__ = ["LANE", "MODEL", "POOL", "REASON", "WORKFLOW"]

WORKFLOW = Label(
    name="workflow",
    meaning="The tool or feature a call was made for: the configured ones, `unset`, the first hundred "
    "others, and `(headgate)` for what Headgate asked of its own accord.",
    first_come=100,
)
LANE = Label(name="lane", meaning="A configured lane; `none`: the call was refused before it had one.")
MODEL = Label(
    name="model",
    meaning="The id of a model that is known here or has a price, an alias counted as what it stands for; `none`: "
    "there is none.",
)
POOL = Label(
    name="pool",
    meaning="The limits that calls draw on: models that share them are one pool, as in limits.md, and so is each "
    "kind of call that is no message.",
)
REASON = Label(name="reason", meaning="A reason of errors.md.", values=tuple([each.value for each in Reason]))
