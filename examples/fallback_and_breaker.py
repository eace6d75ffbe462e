"""Two targets of which one is down: who answers, what the receipt says, and how the dead one is left alone."""

import asyncio

from copykit import CopywritingInput, CopywritingServiceV11, Settings, register_provider
from copykit.errors import ProviderUnavailable
from copykit.settings import RoutingSettings


class Dead:
    """A server that nobody answers at."""

    name = "dead"

    async def complete(self, prompt):
        """Fail as a refused connection does."""
        raise ProviderUnavailable("connection refused", target="dead")


async def main() -> None:
    """Print the way of each of six requests."""
    register_provider("dead", Dead)
    routing = RoutingSettings(providers=("main",), deployments={"main": ["dead", "phrasebank"]})
    async with CopywritingServiceV11(Settings(routing=routing)) as service:
        for number in range(1, 7):
            result = await service.generate(
                CopywritingInput(
                    product_name="Norr",
                    product_description="Standing desk, oiled oak",
                    target_platform="x",
                    seed=number,
                )
            )
            way = " -> ".join(f"{a.target} ({a.outcome})" for a in result.receipt.attempts)
            print(f"{number}. {way}: {result.text}")
        health = (await service.get_performance_stats())["routing"]["targets"]["dead"]
    print(f"\nbreaker of dead: {health['breaker']}, asked again in {health['opens_in_s']:.1f} s")


asyncio.run(main())
