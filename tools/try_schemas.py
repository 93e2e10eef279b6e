"""Try the simulator's structured outputs on files of JSON schemas: how many it takes, and how many it satisfies.

    python tools/try_schemas.py FILE ... [--draws N]      exit 1 if one value is not valid

A file has a JSON object on each line, with the schema under `schema`; it may be compressed (`.gz`).  Every value is
checked by the package jsonschema, formats included where it knows them.  Four readings of each file:

- enforced: as `output_config.format` or a strict tool has it; what is outside the subset is a 400
- untyped: the same with the setting `validation.untyped_schemas`
- by the SDK: first made to fit by the official SDK's `transform_schema`
- any tool: the schema of a tool that is not strict, for which the simulator does what it can; misses are only counted
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

from anthropic import transform_schema
from jsonschema.validators import Draft202012Validator, validator_for

from headgate.sim.errors import ApiError
from headgate.sim.reply.schema import instance
from headgate.sim.request.grammar import check_enforced


def schemas_in(path: Path) -> list[Any]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line)["schema"] for line in text.splitlines() if line.strip()]


def inside(schema: Any, *, untyped: bool) -> bool:
    """Whether the simulator enforces it."""
    try:
        check_enforced({"output_config": {"format": {"type": "json_schema", "schema": schema}}}, untyped=untyped)
    except ApiError:
        return False
    return True


def by_the_sdk(schemas: Iterable[Any]) -> list[Any]:
    """Those that the SDK would send, as it would send them."""
    sent = []
    for schema in schemas:
        try:
            sent.append(transform_schema(deepcopy(schema)))
        except Exception:  # the SDK has many ways to refuse what it cannot send
            continue
    return sent


def valid(schema: Any, value: Any) -> bool:
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        return bool(kind(schema, format_checker=kind.FORMAT_CHECKER).is_valid(value))
    except Exception:  # a reference to a file that is not here, or a pattern that Python does not read
        return False


def report(name: str, schemas: list[Any], takes: Callable[[Any], bool], draws: int) -> bool:
    taken = [schema for schema in schemas if takes(schema)]
    good = sum(all(valid(one, instance(one, Random(seed))) for seed in range(draws)) for one in taken)
    print(f"  {name:<12} {len(schemas):>5} schemas {len(taken):>5} taken {good:>5} satisfied in all of {draws} draws")
    return good == len(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    parser.add_argument("--draws", type=int, default=20, help="values drawn of each schema (20)")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # jsonschema warns of every dialect that it has to guess
    clean = True
    for path in given.files:
        schemas = schemas_in(path)
        print(path.name)
        clean &= report("enforced", schemas, lambda one: inside(one, untyped=False), given.draws)
        clean &= report("untyped", schemas, lambda one: inside(one, untyped=True), given.draws)
        clean &= report("by the SDK", by_the_sdk(schemas), lambda one: inside(one, untyped=False), given.draws)
        report("any tool", schemas, lambda one: True, 1)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
