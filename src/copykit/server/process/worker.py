"""``python -m copykit.server.process.worker``: one of several serving processes, started by the parent of workers."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from contextlib import suppress

from copykit.errors import ConfigurationError, CopykitError, MissingExtra

__all__ = ["main"]

_CANNOT, _WRONG_SETTINGS = 1, 78


def main(listening: int, told: int, life: int) -> int:
    """Serve until the parent says otherwise, or is gone.

    Args:
        listening: file descriptor of the listening socket,
        told: of a pipe that is written to once this process serves,
        life: and of one that ends with the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to every process; the parent decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # which held it back until here
    try:
        from copykit.server.app import create_app
        from copykit.server.config import ServerSettings
        from copykit.server.process.failure import log_failure
        from copykit.server.process.serving import Serving
        from copykit.server.watch.logs import configure
    except ModuleNotFoundError as error:
        name = (error.name or "uvicorn").partition(".")[0]
        if name == "copykit":
            raise
        print(MissingExtra("the server", name, "server").message, file=sys.stderr)
        return _WRONG_SETTINGS
    try:
        settings = ServerSettings.from_env(keep=True)
        configure(settings.log_format, settings.log_level)
        app = create_app(server=settings)
    except CopykitError as error:  # also a store that does not answer
        log_failure(error, os.environ)
        return _WRONG_SETTINGS if isinstance(error, ConfigurationError) else _CANNOT

    def started() -> None:
        with suppress(BrokenPipeError):  # the parent went meanwhile: `_outlive` ends this process in order
            os.write(told, b"1")
        os.close(told)

    serving = Serving(app, settings, worker=True, started=started)
    threading.Thread(target=_outlive, args=(life,), name="parent", daemon=True).start()
    serving.run(sockets=[socket.socket(fileno=listening)])
    gc.freeze()  # the process ends: to look through all that it holds once more takes most of a second
    return serving.status


def _outlive(life: int) -> None:
    """Drain once the parent is gone: nobody else would ever end this process."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(*(int(number) for number in sys.argv[1:4])))
