"""The Helm chart as tests render it, by Helm itself."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.deployed import DEPLOY

CHART = DEPLOY / "helm" / "gateway"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
EVERYTHING = {
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "api-tls"},
    "httpRoute": {"enabled": True, "parents": [{"name": "public", "namespace": "ingress"}]},
    "monitoring": {name: {"enabled": True} for name in ("serviceMonitor", "rules", "dashboard")},
    "redis": {"existingSecret": "redis-access", "key": "url"},
    "podLabels": {"team": "edge"},
    "podAnnotations": {"note": "x"},
    "service": {"annotations": {"note": "x"}},
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "edge", "operator": "Exists"}],
}
CUSTOM = {"ServiceMonitor", "PrometheusRule", "HTTPRoute"}  # Kubernetes itself has no schema for these
Resource = dict[str, Any]
Resources = list[Resource]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    found = os.environ.get("HELM") or shutil.which("helm")
    if found is None:
        pytest.skip("helm is neither in PATH nor named by HELM; go install helm.sh/helm/v3/cmd/helm@latest makes it")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False, timeout=60)


def rendering(folder: Path, values: dict[str, Any], chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    file = folder / "values.yaml"
    file.write_text(json.dumps(values))
    # A helm that `go install` made knows of no cluster, and takes it for an old one.
    return helm("template", "gateway", str(chart), "--namespace", "edge", "--kube-version", "1.31.0", "-f", str(file))


def rendered(folder: Path, values: dict[str, Any] | None = None, chart: Path = CHART) -> Resources:
    done = rendering(folder, values or {}, chart)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each is not None]


def one(resources: Resources, kind: str, name: str = "gateway") -> Resource:
    (found,) = [each for each in resources if each["kind"] == kind and each["metadata"]["name"] == name]
    return found
