"""A worker as a process of its own: `python -m saescope.jobs.work --home DIR [--slot N]`, started by `saescope serve`.

It ends on SIGTERM, and when its standard input does: whoever started it is gone then. Running jobs are given back.
"""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
import time

from ..errors import StudioError
from ..home import Home
from ..store import jobs
from ..store.database import open_database
from .answering import Answering
from .context import Context
from .serving import serving
from .worker import Worker

_GRACE_SECONDS = 8.0
"""How long running jobs have to come to where they are whole."""
_PREDECESSOR_SECONDS = 20.0
"""How long a worker whose server was killed may take to go before this one, which takes its place, gives up."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", required=True)
    parser.add_argument("--slot", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s worker: %(message)s", stream=sys.stderr)
    going = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: going.set())
    threading.Thread(target=_until_input_ends, args=(going,), daemon=True).start()
    home = Home(arguments.home)
    try:
        with serving(home, arguments.slot, _PREDECESSOR_SECONDS), open_database(home) as db:
            owner = f"{socket.gethostname()}:{home.root}:{arguments.slot}"
            jobs.abandon(db, owner)  # of our predecessor, who is gone: we have his lock
            context = Context(home, db)
            worker = Worker(context, owner)
            answering = Answering(context) if not arguments.slot else None
            threads = worker.start()
            while not going.wait(0.5) and all(thread.is_alive() for thread in threads):
                pass
            worker.going.set()
            until = time.monotonic() + _GRACE_SECONDS
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            if answering is not None:
                answering.close()
            if any(thread.is_alive() for thread in threads):
                jobs.abandon(db, owner)
    except StudioError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    logging.shutdown()
    os._exit(0)  # threads of a verb that did not come to an end do not hold the process


def _until_input_ends(going: threading.Event) -> None:
    """Set `going` when whoever holds the other end of our input is gone."""
    while os.read(0, 1024):
        pass
    going.set()


if __name__ == "__main__":
    sys.exit(main())
