"""`/openapi.json`, held against the service by schemathesis, which others wrote."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import need, need_module
from serving import serving

PROGRAM = Path(sys.executable).with_name("st")


@pytest.fixture(scope="module")
def found(service):
    with service.client() as client:
        return client.get("/openapi.json").json()


def test_every_path_and_every_limit_is_described(service, found):
    with service.client() as client:
        (version,) = client.get("/v2/models/digits").json()["versions"]
    model, pinned = "/v2/models/digits", f"/v2/models/digits/versions/{version}"
    places = [f"{place}{end}" for place in (model, pinned)
              for end in ("", "/ready", "/infer", "/predict")]  # fmt: skip
    assert sorted(found["paths"]) == sorted(
        ["/", "/v2", "/v2/health/live", "/v2/health/ready", "/metrics", "/openapi.json", *places]
    )
    data = found["paths"][f"{model}/infer"]["post"]["requestBody"]["content"]["application/json"]
    images = data["schema"]["properties"]["inputs"]["items"]["properties"]
    assert images["shape"] == {"const": [1, 1, 28, 28]}
    assert images["data"]["maxItems"] == 784
    assert "security" not in found


def test_a_token_is_described(digits_run, service):
    token = "a-token-of-some-length"  # noqa: S105 - of this test
    headers = {"authorization": f"Bearer {token}"}
    with (
        serving(digits_run.path, env={"LENET_TOKEN": token}) as running,
        running.client(headers=headers) as client,
    ):
        described = client.get("/openapi.json").json()
    assert described["security"] == [{"token": []}]
    assert described["paths"]["/v2/health/live"]["get"]["security"] == []


def schemathesis(service, *words):
    """A run of all its checks; asserts that none failed, and gives how many cases there were."""
    need_module("schemathesis", "pip install schemathesis")
    need(PROGRAM.exists(), "install schemathesis: pip install schemathesis")
    done = subprocess.run(
        [PROGRAM, "run", f"{service.address}/openapi.json", "--checks", "all", "--seed", "1",
         "--no-color", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, re.sub(r"(\d+(\.0)?, ){20,}", "... ", done.stdout)[-3000:]
    count = re.search(r"(\d+) generated", done.stdout)
    return int(count[1])


@pytest.mark.thorough
def test_the_service_is_as_it_is_described(service):
    assert schemathesis(service, "--max-examples", "2", "--exclude-path-regex", "predict$") > 50


@pytest.mark.thorough
def test_pictures_are_answered_as_it_is_described(service):
    """But for one check: a schema cannot say which bytes are a picture with something on it."""
    words = ["--include-path-regex", "predict$", "--exclude-checks", "positive_data_acceptance"]
    assert schemathesis(service, "--max-examples", "2", *words) > 20


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_service_is_as_it_is_described_with_many_examples(service):
    assert schemathesis(service, "--max-examples", "40", "--exclude-path-regex", "predict$") > 300
    words = ["--include-path-regex", "predict$", "--exclude-checks", "positive_data_acceptance"]
    assert schemathesis(service, "--max-examples", "40", *words) > 100
