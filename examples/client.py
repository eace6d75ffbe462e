"""Ask a running service: one brief, a batch with a mistake in it, and a stream."""

# /// script
# dependencies = ["copykit[server]"]
# ///

import subprocess
import sys

from copykit.client import Client
from copykit.errors import InvalidRequest
from copykit.stream_events import FieldDone, StreamFinished

BRIEF = {
    "product_name": "Norr",
    "product_description": "Standing desk, oiled oak, goes up and down at a touch",
    "target_platform": "linkedin",
}

# a service of this machine, on a free port; yours runs elsewhere: Client("https://copy.example.com", key="...")
command = [sys.executable, "-m", "copykit", "run", "--port", "0"]
with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as service:
    address = next(word for line in service.stderr for word in line.split() if word.startswith("http://"))
    with Client(address) as client:
        print(client.generate(BRIEF).text, end="\n\n")

        for item in client.batch([BRIEF, {**BRIEF, "tone": "hapy"}, {**BRIEF, "language": "de"}]):
            print(item.index, item.status, item.error or item.output.variants[0].fields["text"][:60])

        for event in client.stream({**BRIEF, "target_platform": "x"}):
            match event:
                case FieldDone():
                    print(f"\n{event.field}: {event.text}")
                case StreamFinished():
                    print(f"served by {event.output.receipt.served_by}")

        try:
            client.generate({**BRIEF, "target_platform": "linkdin"})
        except InvalidRequest as error:
            print(f"\n{error}")
    service.terminate()
