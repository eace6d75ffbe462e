"""Equal briefs and seeds give equal copy, whatever order a process keeps its sets in."""

from __future__ import annotations

import os
import subprocess
import sys

STORY = """
import asyncio, json
from copykit import CopywritingServiceV11, Settings
BRIEFS = {
    "ar": ("مكتب من خشب البلوط، سطح مزيت", "مجرى للأسلاك"),
    "de": ("Schreibtisch aus Eiche, geölt. Die Platte ist 120 cm breit.", "Kabelkanal"),
    "en": ("Oak desk, oiled. The top is 120 cm wide.", "Cable tray"),
    "es": ("Escritorio de roble, aceitado. El tablero mide 120 cm.", "Bandeja para cables"),
    "fr": ("Bureau en chêne, huilé. Le plateau mesure 120 cm.", "Passe-câbles"),
    "hi": ("ओक की मेज़, तेल की परत", "तार की ट्रे"),
    "it": ("Scrivania in rovere, oliata. Il piano misura 120 cm.", "Passacavi"),
    "ja": ("オーク材のデスク、オイル仕上げ", "ケーブルトレー"),
    "nl": ("Bureau van eikenhout, geolied. Het blad is 120 cm breed.", "Kabelgoot"),
    "pl": ("Biurko dębowe, olejowane. Blat ma 120 cm.", "Kanał na kable"),
    "pt-BR": ("Escrivaninha de carvalho, oleada. O tampo mede 120 cm.", "Bandeja para cabos"),
    "zh-Hans": ("橡木书桌，涂油表面", "走线槽"),
}
async def story():
    service = CopywritingServiceV11(Settings())
    for seed, (language, (description, point)) in enumerate(BRIEFS.items()):
        for placement in ("google_ads.rsa", "instagram.caption", "amazon.listing"):
            result = await service.generate({
                "product_description": description, "target_platform": placement, "language": language,
                "product_name": "Norr", "key_points": [point], "keywords": [point], "seed": seed,
                "variants": 3, "tone": "playful", "facts": {"price": "249 EUR", "height": "73 cm"},
                "restrictions": ["no emoji", "no exclamation marks"] if seed % 2 else [],
                "brand": {"name": "Norr", "banned_terms": ["cheap", "bad"], "competitors": ["Sund", "Tarn"]},
            })
            told = result.model_dump(mode="json", exclude={"created_at": ..., "receipt": {"attempts"}})
            print(json.dumps(told))
asyncio.run(story())
"""


def written(hash_seed: str) -> str:
    """Run the story in a process whose sets are ordered by *hash_seed*."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", STORY], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_order_of_sets_reaches_no_copy() -> None:
    """Texts, remarks, scores and ids of twelve languages are the same bytes in differently hashed processes."""
    first, second = written("1"), written("31337")
    assert first.count("\n") == 36
    assert first == second
