"""docs/operations.md: its commands are run in its order, and the metrics that it names are there."""
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

PAGE = (pathlib.Path(__file__).resolve().parents[2] / 'docs/operations.md').read_text()


def blocks(kind):
    return re.findall(rf'```{kind}\n(.*?)```', PAGE, re.S)


class Shell:
    """Runs lines of the page in one folder: `fovea serve` beside the rest, on a port of its own in place of 3003."""

    def __init__(self, folder, build, env):
        with socket.create_server(('127.0.0.1', 0)) as s:
            self.port = str(s.getsockname()[1])
        self.folder, self.service = folder, None
        self.env = {**env, 'PATH': f'{build}:{env["PATH"]}', 'IMMICH_PORT': self.port, 'IMMICH_HOST': 'localhost'}

    def serve(self, line):
        self.stop()
        self.service = subprocess.Popen(['sh', '-c', 'exec env ' + line], cwd=self.folder, env=self.env,
                                        stderr=subprocess.PIPE, text=True)
        self.told('listening on')

    def told(self, word):
        line = self.service.stderr.readline()
        assert word in line, line

    def stop(self):
        if self.service:
            self.service.send_signal(signal.SIGTERM)
            self.service.stderr.read()
            assert self.service.wait(20) == 0
        self.service = None

    def run(self, line):
        if line.endswith('fovea serve'):
            return self.serve(line)
        line = line.replace(':3003', ':' + self.port)
        if 'pidof' in line:
            line = line.replace('$(pidof fovea)', str(self.service.pid))
        done = subprocess.run(line, shell=True, cwd=self.folder, env=self.env, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        if 'kill' in line:
            self.told('the certificate was read again')
        return done.stdout


@pytest.fixture
def shell(tmp_path, build, environment, models):
    if not shutil.which('curl'):
        pytest.skip('curl is not installed')
    shell = Shell(tmp_path, build, {**environment, 'MACHINE_LEARNING_CACHE_FOLDER': str(models), 'FOVEA_MODEL': 'fake'})
    yield shell
    shell.stop()


def commands(i):
    return [line.split('   #')[0].strip() for line in blocks('sh')[i].splitlines()]


def test_the_health_checks(shell):
    shell.serve('fovea serve')
    deadline = time.monotonic() + 10
    while subprocess.run(['curl', '-fsS', f'http://localhost:{shell.port}/readyz'], capture_output=True).returncode:
        assert time.monotonic() < deadline
    out = [shell.run(line) for line in commands(0)]
    assert out[:2] == ['{"status":"alive"}', '{"status":"ready"}'] and out[3] == 'pong\n' and 'photos a second' in out[4]
    rows = [line.split('|')[1] for line in PAGE.splitlines() if line.startswith('| `')]
    named = {name for row in rows for name in re.findall(r'`(\w+)`', row)}
    there = set(re.findall(r'^# TYPE (\S+)', out[2], re.M))
    assert named == there
    queried = set(re.findall(r'\b(?:fovea|process)_\w+', ''.join(blocks('yaml'))))
    assert queried and {q.removesuffix('_bucket') for q in queried} <= there


def test_the_token(shell):
    for line in commands(1):
        out = shell.run(line)
    assert '# TYPE fovea_build_info gauge' in out
    assert (shell.folder / 'token').stat().st_mode & 0o777 == 0o600
    assert subprocess.run(['curl', '-fsS', f'http://localhost:{shell.port}/metrics'], capture_output=True).returncode


def test_the_certificate(shell):
    for line in commands(2):
        shell.run(line)
    shell.run('fovea ping https://localhost:3003 || FOVEA_TLS_CERT=cert.pem FOVEA_TLS_KEY=key.pem fovea ping')


def test_the_log_line(start):
    server = start(FOVEA_LOG_FORMAT='json')
    body, kind = server.form(entries='{"clip":{"visual":{"modelName":"fake"}}}', image=b'no picture at all')
    assert server.ask('POST', '/predict', body, kind)[0] == 415
    assert server.stop()[0] == 0
    shown, got = json.loads(blocks('json')[0]), json.loads(next(line for line in server.log if 'POST' in line))
    assert list(shown) == list(got) and shown['why'] == got['why'] and shown['level'] == got['level']
    assert len(blocks('sh')) == 3  # all are run above
