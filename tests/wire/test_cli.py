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


def test_settings_that_a_command_does_not_use_cannot_stop_it(fovea, tmp_path):
    """Neither where the models are nor how the service is set matters to a look at a library."""
    result = fovea('status', '--library', tmp_path / 'none', HOME='', XDG_CACHE_HOME='', IMMICH_PORT='x')
    assert result.status == 1 and 'no library in' in result.err
    result = fovea('search', '--library', tmp_path / 'none', 'red', HOME='', XDG_CACHE_HOME='')
    assert result.err == 'fovea: neither MACHINE_LEARNING_CACHE_FOLDER nor HOME is set: set one of them\n'
    result = fovea('serve', IMMICH_PORT='x')
    assert result.status == 1 and 'IMMICH_PORT is a whole number' in result.err


def test_help_lists_the_settings_where_they_are_used(fovea):
    everywhere, service = fovea('--help').out, fovea('serve', '--help').out
    assert 'FOVEA_LIBRARY' in everywhere and 'FOVEA_MODEL' in everywhere and 'IMMICH_' not in everywhere
    assert 'IMMICH_PORT' in service and 'MACHINE_LEARNING_MODEL_TTL' in service and 'FOVEA_LIBRARY' not in service
    assert 'settings' not in fovea('status', '--help').out
    assert 'reference' in fovea('embed', '--help').out and 'upright' in fovea('embed', '--help').out


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


def test_the_networks_library_tells_nothing_of_this_machine(fovea, tmp_path):
    """ONNX Runtime's builds keep an identifier below the cache folder and send events, unless they are told not to."""
    result = fovea('doctor', ORT_DISABLE_TELEMETRY='0')
    assert 'ONNX Runtime 1.' in result.out, result
    left = [str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*') if p.is_file()]
    assert not [p for p in left if 'fovea' not in p], left
