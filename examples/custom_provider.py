"""Let something else write: a provider is a name and one method."""

import asyncio

from copykit import CopywritingInput, CopywritingServiceV11, register_provider
from copykit.providers.base import Completion


class Shouting:
    """Writes every brief the same way, and badly: watch the checks object."""

    name = "shouting"

    async def complete(self, prompt):
        """Give the answer as a model would: JSON text."""
        product = prompt.brief.name
        return Completion(
            text=f'{{"variants": [{{"fields": {{"text": "{product}!! The best deal, only 5 EUR."}}}}]}}',
            model="loud-1",
        )


async def main() -> None:
    """Print the copy and what is wrong with it."""
    register_provider("shouting", Shouting)
    async with CopywritingServiceV11() as service:
        result = await service.generate(
            CopywritingInput(
                product_name="Norr",
                product_description="Standing desk, oiled oak",
                target_platform="x",
                provider="shouting",
            )
        )
    variant = result.variants[0]
    print(variant.status, "-", variant.text)
    for violation in variant.violations:
        print(f"  {violation.severity:7} {violation.rule}: {violation.message}")


asyncio.run(main())
