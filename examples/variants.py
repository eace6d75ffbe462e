"""Three captions that differ in structure, with lengths, scores and the restriction's fate."""

import asyncio

from copykit import CopywritingInput, CopywritingServiceV11


async def main() -> None:
    """Print each variant with what was measured."""
    async with CopywritingServiceV11() as service:
        result = await service.generate(
            CopywritingInput(
                product_description="Bicicleta urbana plegable",
                target_platform="instagram",
                tone="inspirational",
                language="es",
                target_audience="Ciclistas de ciudad",
                key_points=["Ligera", "Se pliega en segundos"],
                restrictions=["no mencionar precio"],
                variants=3,
            )
        )
    for variant in result.variants:
        print(f"--- {variant.structure}: {' > '.join(part.step for part in variant.parts)}")
        print(variant.text)
        print({name: score.value for name, score in variant.scores.items()})
    for restriction in result.restrictions:
        print(restriction.text, "->", restriction.enforced, restriction.kind)


asyncio.run(main())
