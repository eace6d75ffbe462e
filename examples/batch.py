"""Many briefs at once: results in order, an error in the place of a failure."""

import asyncio

from copykit import CopykitError, CopywritingService

ROWS = [
    {"product_name": "STIG", "product_description": "Bar stool with backrest, 74 cm"},
    {"product_name": "BROKEN", "product_description": " "},
    {"product_name": "LUNA", "product_description": "Table lamp, linen shade"},
]


async def main() -> None:
    """Print one line a row."""
    async with CopywritingService() as service:
        results = await service.batch_generate([{**row, "target_platform": "x"} for row in ROWS])
    for row, result in zip(ROWS, results, strict=True):
        said = f"error: {result}" if isinstance(result, CopykitError) else result.text.replace("\n", " / ")
        print(f"{row['product_name']}: {said}")


asyncio.run(main())
