"""A whole search ad: up to fifteen headlines and four descriptions, each counted as the platform counts."""

from copykit import sync
from copykit.drafts.measure import measure

result = sync.generate(
    product_name="FJORD",
    product_description="Rain jacket, recycled nylon, two pockets",
    target_platform="google ads",
    facts={"weight": "310 g", "color": "Moss green", "price": "129 EUR"},
    call_to_action="Shop rain jackets",
    url="https://example.com/fjord",
)
fields = result.variants[0].fields
for headline in fields["headlines"]:
    print(f"{measure(headline, 'dw'):>3g}/30  {headline}")
for description in fields["descriptions"]:
    print(f"{measure(description, 'dw'):>3g}/90  {description}")
