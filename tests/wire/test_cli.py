"""The command line as scripts see it: exit statuses, and which words go to which stream."""
import os
import signal
import subprocess
import time

import pytest


def test_help_is_output_and_no_error(fovea):
    result = fovea('help')
    assert result.status == 0 and 'fovea index' in result.out and result.err == ''


def test_a_wrong_command_is_a_usage_error(fovea):
    result = fovea('nonsense')
    assert result.status == 2 and result.out == '' and 'nonsense' in result.err


def test_a_search_for_nothing_is_a_usage_error(fovea):
    result = fovea('search')
    assert result.status == 2 and result.err.count('\n') == 1 and '--help' in result.err


def test_without_a_home_it_says_what_to_set(fovea):
    result = fovea('status', HOME='', XDG_DATA_HOME='')
    assert result.status == 1 and result.err == 'fovea: neither FOVEA_LIBRARY nor HOME is set: set one of them\n'


@pytest.mark.parametrize('args', [('--help',), ('--version',), ('status', '--help'), ('doctor',)])
def test_output_that_cannot_be_written_is_a_failure(build, environment, args):
    with open('/dev/full', 'w') as full:
        run = subprocess.run([build / 'fovea', *args], env=environment, stdout=full, stderr=subprocess.PIPE)
    assert run.returncode == 1 and b'cannot write' in run.stderr


def test_a_reader_that_has_left_ends_it_quietly(build, environment):
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([build / 'fovea', '--help'], env=environment, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert run.returncode == -signal.SIGPIPE and run.stderr == b''


def test_closed_descriptors_are_not_taken_for_files(build, environment):
    """Else what is printed would go into whatever was opened in their place: a socket, the database."""
    run = subprocess.Popen(['sh', '-c', 'exec "$0" serve --port 0 <&- >&- 2>&-', build / 'fovea'], env=environment)
    deadline = time.monotonic() + 60
    while not os.path.exists(f'/proc/{run.pid}/fd/4') and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    taken = [os.readlink(f'/proc/{run.pid}/fd/{fd}') for fd in range(3)]
    run.terminate()
    assert run.wait() == 0 and taken == ['/dev/null'] * 3
