"""Watch copy being written: fields as they come, each with its checks, then the result with its receipt."""

import asyncio
import json
from contextlib import aclosing

from copykit import CopywritingInput, CopywritingServiceV11, register_provider
from copykit.models import Usage
from copykit.providers.base import Completion
from copykit.streaming import FieldDelta, FieldDone, FieldMended, StreamFailed, StreamFinished

TEXTS = {"text": "Norr, the standing desk in oiled oak, goes up and down at a touch. Take a look!!"}


class Slow:
    """Writes as a model does: a few letters at a time."""

    name = "slow"

    async def stream(self, prompt):
        """Give the answer in pieces, and last the whole."""
        text = json.dumps({"variants": [{"fields": TEXTS}]})
        for at in range(0, len(text), 12):
            await asyncio.sleep(0.01)
            yield text[at : at + 12]
        yield Completion(text=text, model="slow-1", usage=Usage(input_tokens=300, output_tokens=40))

    async def complete(self, prompt):
        """Give the whole answer."""
        async for piece in self.stream(prompt):
            completion = piece
        return completion


async def main() -> None:
    """Print the events of one request."""
    register_provider("slow", Slow)
    brief = CopywritingInput(
        product_name="Norr",
        product_description="Standing desk, oiled oak, goes up and down at a touch",
        target_platform="x",
        provider="slow",
    )
    async with CopywritingServiceV11() as service, aclosing(service.stream(brief)) as events:
        async for event in events:
            match event:
                case FieldDelta():
                    print(event.text, end="|", flush=True)
                case FieldDone():
                    print(f"\n{event.field}: {event.text!r}, {len(event.violations)} remarks")
                case FieldMended():
                    print(f"{event.field} mended ({event.rule}): {event.text!r}")
                case StreamFinished():
                    print(f"served by {event.output.receipt.served_by}, {event.output.variants[0].status}")
                case StreamFailed():
                    print(f"failed: {event.error}")


asyncio.run(main())
