"""Phoenix itself, of the package registry and in an environment of its own, takes the turns we send on."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from pipeline.events import Answer
from pipeline.http.sending import exported
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.console.peers import installed, running
from tests.console.test_supervisor import free_port, wait_for
from tests.pipeline.turns import ask, make_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LID = "What happens when I close the lid of my laptop?"


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("phoenix")
    program = installed(folder, "arize-phoenix==20.26.1") / "phoenix"
    port = free_port()
    environment = os.environ | {
        "PHOENIX_WORKING_DIR": str(folder / "data"),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    address = f"http://127.0.0.1:{port}"
    with running([program, "serve"], environment, folder, f"{address}/healthz"):
        yield address


def read(address: str) -> list[dict[str, Any]]:
    with suppress(OSError), urllib.request.urlopen(f"{address}/v1/projects/default/spans") as reply:
        return json.load(reply)["data"]
    return []


async def test_a_turn_is_a_trace_there_with_its_kinds_of_steps(phoenix: str) -> None:
    pipeline = await make_pipeline(Scripted("The laptop goes to sleep to save power [1]."))
    telemetry = {"endpoint": f"{phoenix}/v1/traces", "texts": True}
    with exported(pipeline, load_settings(telemetry=telemetry)):
        answer, _ = await ask(pipeline, LID)
    await pipeline.close()
    assert isinstance(answer, Answer)
    spans = wait_for(lambda: read(phoenix), 60)
    (root,) = (span for span in spans if span["parent_id"] is None)
    assert root["context"]["trace_id"] == answer.turn_id.replace("-", "")
    assert root["attributes"]["input.value"] == LID
    assert root["attributes"]["output.value"] == answer.answer
    assert {"CHAIN", "RETRIEVER", "GUARDRAIL", "LLM"} == {span["span_kind"] for span in spans}
    (searched,) = (span for span in spans if "retrieval.documents.0.document.content" in span["attributes"])
    assert searched["attributes"]["retrieval.documents.0.document.id"]
