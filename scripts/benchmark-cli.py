"""Measures the command line and the API of one node: `benchmark-cli.py KONTENA SOCKET`, for `scripts/benchmark-cli`."""

import http.client
import json
import socket
import statistics
import subprocess
import sys
import time

SERVICES = 1_000
SMALL = 10
RUNS = 300

kontena, path = sys.argv[1:]


class Connection(http.client.HTTPConnection):
    """HTTP over the node's socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)


def ask(connection, verb, url, body=None):
    text = None if body is None else json.dumps(body)
    connection.request(verb, url, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{verb} {url}: {answer.status} {content[:500]}")
    return content


def create(connection, first, last):
    for number in range(first, last):
        body = {"name": f"service-{number}", "image": "nginx:1.27", "stateful": False}
        ask(connection, "POST", "/v1/grids/lab/services", body)


def measure(what):
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        what()
        times.append(1000 * (time.perf_counter() - begun))
    return times


def run(*arguments):
    subprocess.run(
        [kontena, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def report(what, times, aim):
    times = sorted(times)
    median, late = statistics.median(times), times[len(times) * 99 // 100]
    print(f"| {what} | **{median:.1f} ms** ({late:.1f}) | {aim} |", flush=True)


print(f"| what ({RUNS} runs each) | median (99th of 100) | aim |\n|---|---|---|")
nothing = measure(lambda: subprocess.run(["true"], check=True))
report("a process that does nothing, as it is measured here", nothing, "")
report("`kontena --help`", measure(lambda: run("--help")), "< 10 ms")
report("`kontena --version`", measure(lambda: run("--version")), "< 10 ms")

connection = Connection("node")
create(connection, 0, SMALL)
report(f"`kontena service ls`, {SMALL} services", measure(lambda: run("service", "ls")), "< 20 ms")
create(connection, SMALL, SERVICES)
report(f"`kontena service ls`, {SERVICES:,} services", measure(lambda: run("service", "ls")), "")


def whole():
    return ask(connection, "GET", "/v1/grids/lab/services")


size = len(whole()) // 1024
report(f"`GET /v1/grids/G/services`, {SERVICES:,} services, {size} KiB", measure(whole), "p99 < 50 ms")
page = "/v1/grids/lab/services?limit=100"
report("the same, a page of 100", measure(lambda: ask(connection, "GET", page)), "")
