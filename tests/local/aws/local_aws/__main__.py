"""python -m local_aws --port 0 --dir D: prints {"url": …} when ready; ends at stdin's end or SIGTERM."""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from .children import Children
from .dispatch import Dispatcher
from .server import Server


def main() -> None:
    parser = argparse.ArgumentParser(prog="local_aws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--dir", type=Path, required=True, help="for unpacked code and certificates")
    arguments = parser.parse_args()
    arguments.dir.mkdir(parents=True, exist_ok=True)

    children = Children()
    server = Server(arguments.port, Dispatcher(arguments.dir.resolve(), children))
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=_wait_for_end_of_stdin, args=(stopping,), daemon=True).start()
    print(json.dumps({"url": server.url}), flush=True)
    stopping.wait()
    children.stop_all()
    sys.stdout.flush()
    os._exit(0)  # threads of open connections would hold the interpreter otherwise


def _wait_for_end_of_stdin(stopping: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stopping.set()


if __name__ == "__main__":
    main()
