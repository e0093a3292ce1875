"""Classes that do tasks, with queues and cron, as the example shows them."""

from __future__ import annotations

import re
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.system.place import EXAMPLES, read_line

if TYPE_CHECKING:
    from tests.system.place import Place


def test_queues_retries_delays_and_cron_do_what_the_classes_say(place: Place) -> None:
    status, printed = place.run_example("class_handlers.py")

    assert status == 0, printed
    lines = printed.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["critical", "HealthCheck"],
        ["default", "CountWords"],
        ["low", "NightlyReport"],
    ]
    assert "Connection refused" in lines[1]
    assert "us-constitution has 7,670 words" in lines[2]
    assert "2026-01-31: 4 texts, 111,338 words" in lines[3]
    assert lines[4] == "Tried again, each time after twice as long: Ada is on the line, at attempt 3."
    waited_s = [float(seconds) for seconds in re.findall(r"Not before its time, (\d+\.\d) s after", printed)]
    assert waited_s[0] >= 0.5
    assert waited_s[1] >= 0.9, "by its own clock, not by the server's"
    assert re.search(r"^  \*/10 \* \* \* \*  HealthCheck    next at \d{4}-\d\d-\d\d \d\d:\d0$", printed, re.MULTILINE)
    assert re.search(r"^  0 2 \* \* \*     NightlyReport  next at \d{4}-\d\d-\d\d 02:00$", printed, re.MULTILINE)


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_health_check_asks_the_page_that_the_deployment_names(place: Place) -> None:
    web = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    serving = threading.Thread(target=web.serve_forever)
    serving.start()
    try:
        url = f"http://127.0.0.1:{web.server_port}/"
        place.environment |= {"PYTHONPATH": f"{EXAMPLES}:{EXAMPLES.parent}", "HEALTH_URL": url}
        asking = place.start("-c", "from class_handlers import HealthCheck; print(HealthCheck.perform())")
        printed, _ = asking.communicate(timeout=30)
    finally:
        web.shutdown()
        serving.join()
        web.server_close()

    assert printed == f"{ {'page': url, 'status': 200} }\n"
    assert not place.data_dir.exists(), "called here and now, a handler needs no queue"


def test_ctrl_c_ends_it(place: Place) -> None:
    program = place.start_example("class_handlers.py")
    read_line(program, "^Tried again")
    program.send_signal(signal.SIGINT)

    printed, _ = program.communicate(timeout=40)

    assert (program.returncode, printed) == (130, "\nInterrupted. What was not done yet stays in the queue.\n")
