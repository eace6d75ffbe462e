"""Write one post with no key and no server."""

from copykit import CopywritingInput, sync

result = sync.generate(
    CopywritingInput(
        product_name="Norr",
        product_description="Standing desk, oiled oak, 140x70 cm",
        target_platform="LinkedIn",
        key_points=["Cable tray", "Two drawers"],
        facts={"price": "449 EUR"},
        url="https://example.com/norr",
    )
)
print(result.text)
print(result.receipt.served_by, result.variants[0].status)
