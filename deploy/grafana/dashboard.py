"""Writes the dashboard: python deploy/grafana/dashboard.py > deploy/grafana/dashboards/gateway.json.

Compose and the Helm chart both take that file. `rows.py` has what is shown, and `panels.py` how a panel is written.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from panels import SOURCE, expanded, placed
from rows import PANELS

# What a person chooses at the head of the dashboard; each list has only what the choices before it leave.
VARIABLES = (
    ("job", "Job", "label_values(gateway_build_info, job)"),
    ("instance", "Instance", 'label_values(gateway_build_info{job=~"$job"}, instance)'),
    ("route", "Route", 'label_values(gateway_request_duration_seconds_count{job=~"$job"}, route)'),
)
TAKEN = "changes(gateway_config_last_reload_seconds{@}[1m]) > 0"


def variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> dict[str, Any]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    reloads = {"name": "Reloads", "datasource": SOURCE, "enable": True, "iconColor": "blue", "expr": expanded(TAKEN)}
    return {
        "uid": "gateway",
        "title": "Gateway",
        "tags": ["gateway"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "annotations": {"list": [reloads | {"titleFormat": "configuration taken", "textFormat": "{{instance}}"}]},
        "templating": {
            "list": [source | {"definition": "", "current": {}, "refresh": 1}, *(variable(*each) for each in VARIABLES)]
        },
        "links": [],
        "panels": list(placed(PANELS)),
    }


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
