"""Both shapes on the wire, request by request, as they stand in files: what others have built on does not change unseen."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

from copykit.legacy import LegacyResult
from copykit.models import CopywritingOutput
from copykit.server.described.openapi import document
from golden import CASES, FOLDER, SAMPLE, sample, written


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_the_one_on_file(name: str) -> None:
    """After dropping times and what a cache did. Where a change is meant: ``python tests/golden.py``, and look at it."""
    assert written(CASES[name]) == (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def test_every_file_belongs_to_a_request() -> None:
    """None is left over."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(CASES)


def test_the_legacy_shape_is_a_subset_of_the_whole_one() -> None:
    """The same request under both: equal copy, under the first interface's names."""

    def body(name: str) -> dict[str, object]:
        return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["response"]["body"]

    whole, legacy = body("v11-generate"), body("legacy-generate")
    assert set(legacy) | {"cached", "processing_time_ms", "created_at"} == set(LegacyResult.model_fields)
    assert set(whole) | {"cached", "created_at"} == set(CopywritingOutput.model_fields)
    assert (legacy["content"], legacy["platform"]) == (whole["text"], whole["placement"])
    assert [v["fields"] for v in legacy["variants"]] == [v["fields"] for v in whole["variants"]]  # type: ignore[attr-defined]


def test_answers_in_the_description_are_true_ones() -> None:
    """Each route that gives copy shows an answer that the phrase bank wrote, and that its own schema takes."""
    held = json.loads(SAMPLE.read_text(encoding="utf-8"))
    now = json.loads(sample())
    assert now["output"].keys() == held["output"].keys()
    assert held["output"]["receipt"]["served_by"].startswith("phrasebank:")
    shown = {}
    for path, methods in document(keyed=True)["paths"].items():
        for told in methods.values():
            for content in told["responses"]["200"]["content"].values():
                if "example" in content:
                    shown[path] = content["example"]
    assert CopywritingOutput.model_validate(shown["/v11/generate"]).text == held["output"]["text"]
    assert LegacyResult.model_validate(shown["/generate"]).content == held["output"]["text"]
    for path, gives in (("/v11/batch-generate", "/v11/generate"), ("/generate/batch", "/generate")):
        assert [item["output"] for item in shown[path]["results"]] == [shown[gives]]
