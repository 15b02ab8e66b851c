import json
import subprocess
import sys

PROGRAM = """
import json, logging, resource, sys
from gateway.server.descriptors import allow_descriptors

class Kept(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())

lines = []
logging.basicConfig(handlers=[Kept()])
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allow_descriptors(connections)
print(json.dumps([resource.getrlimit(resource.RLIMIT_NOFILE), lines]))
"""


def allowed(soft, hard, connections):
    """The limits afterwards and what was logged, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(soft), str(hard), str(connections)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    limits, lines = json.loads(done.stdout)
    return limits, lines


def test_the_soft_limit_is_raised_to_what_the_connections_need():
    assert allowed(64, 900, 100) == ([456, 900], [])


def test_a_limit_that_will_do_is_left_alone():
    assert allowed(800, 900, 100) == ([800, 900], [])


def test_the_hard_limit_is_the_end_of_it():
    assert allowed(64, 400, 100) == ([400, 400], [])


def test_too_few_even_for_clients_are_said_in_the_log():
    limits, [line] = allowed(64, 300, 100)
    assert limits == [300, 300]
    assert "server.max_connections is 100 and this process may open 300 files" in line
