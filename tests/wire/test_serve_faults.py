"""Every call that the service makes of memory and of the network fails once: it goes on serving.

Each case counts the calls of one kind in a run that starts, is asked and stops, then lets one of them fail, in a
run of its own. It either does not start, and says so, or one request suffers at most: the next are answered, no
connection stays behind, and it stops when told. FOVEA_FAULTS=all lets every call fail (minutes)."""
import errno
import http.client
import json
import os
import pathlib
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from wire.conftest import Raw, Server

TEXT = {'clip': {'textual': {'modelName': 'fake'}}}
IMAGE = {'clip': {'visual': {'modelName': 'fake'}}}
SAMPLES = 300


def n_sockets(pid):
    n = 0
    for fd in pathlib.Path(f'/proc/{pid}/fd').iterdir():
        try:
            n += 'socket:' in os.readlink(fd)
        except FileNotFoundError:
            pass
    return n


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) == 0


@pytest.fixture
def run(build, environment, models, photo, tmp_path):
    """run(**faults) is None, or says what was wrong; run.count(**faults) how many calls of the kind there are."""
    if b'__asan_init' in (build / 'fovea').read_bytes() or b'__tsan_init' in (build / 'fovea').read_bytes():
        pytest.skip('calls fail in the plain build, where no sanitizer stands before libc too')
    settings = {**environment, 'MACHINE_LEARNING_CACHE_FOLDER': str(models), 'FOVEA_HTTP_TIMEOUT_S': '2',
                'LD_PRELOAD': str(build / 'tests/libpreload.so')}
    body, kind = Server.form(entries=json.dumps(IMAGE), image=photo)
    chunk = b'%x\r\n%b\r\n0\r\n\r\n' % (len(body), body)
    picture = f'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n'.encode() + chunk
    body, kind = Server.form(entries=json.dumps(TEXT), text='photo \xe9')
    words = f'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n'.encode() + body
    ping = b'GET /ping HTTP/1.1\r\nHost: a\r\n\r\n'

    def ask(port, *requests):
        """The statuses; None where the connection ended, or the request was left half sent."""
        statuses = []
        try:
            with Raw(port) as c:
                c.socket.settimeout(20)
                for request in requests:
                    c.send(request)
                    answer = c.answer() if request in (ping, words, picture) else None
                    statuses.append(answer and answer[0])
        except ConnectionError:
            statuses.append(None)
        except http.client.HTTPException:
            statuses.append(None)  # broken off within its head
        return statuses

    def use(process, port):
        asked = [ask(port, ping, words, picture), ask(port, picture[:-20]), ask(port, words[:50]), ask(port, ping)]
        served = [ask(port, words, picture) for _ in range(4)]
        if served.count([200, 200]) < 3:
            return f'not served: {asked} {served}'
        deadline = time.monotonic() + 10
        while n_sockets(process.pid) > 1:  # the one it listens on
            if time.monotonic() > deadline:
                return 'a connection stayed behind'
            time.sleep(.02)
        return None

    def once(**faults):
        with socket.create_server(('127.0.0.1', 0)) as s:  # not told by the log, which may lose the line
            port = s.getsockname()[1]
        env = {**settings, **{'FAULT_' + k.upper(): str(v) for k, v in faults.items()}}
        process = subprocess.Popen([build / 'fovea', 'serve', '--host', '127.0.0.1', '--port', str(port)], env=env,
                                   stderr=subprocess.PIPE)
        try:
            while process.poll() is None and not listens(port):
                time.sleep(.01)
            wrong = use(process, port) if process.poll() is None else 'not served'
            if wrong and '200' not in wrong and process.wait(10) == 1:
                return None  # it did not start
            begun = time.monotonic()
            process.terminate()
            _, log = process.communicate(timeout=20)
            took_s = time.monotonic() - begun
            return wrong or (f'stop: {process.returncode} after {took_s:.1f} s: {log}'
                             if process.returncode or took_s > 5 else None)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def count(**faults):
        report = tmp_path / 'report'
        assert once(report=report, **faults) is None
        return int(report.read_text())
    once.count = count
    return once


@pytest.mark.parametrize('kind, how', [('alloc', errno.ENOMEM), ('net', errno.ECONNRESET), ('net', errno.ENOMEM),
                                       ('net', errno.EMFILE), ('net', errno.EINTR), ('net', 'short')])
def test_every_call_may_fail(run, kind, how):
    n = run.count(kind=kind, how=how)
    assert n >= 10, 'the calls are not counted'
    step = 1 if os.environ.get('FOVEA_FAULTS') == 'all' else max(1, n // SAMPLES)

    def check(at):
        wrong = run(kind=kind, how=how, at=at)
        return wrong and f'call {at} of {n}: {wrong}'
    with ThreadPoolExecutor(2) as pool:
        wrong = [w for w in pool.map(check, range(0, n, step)) if w]
    assert not wrong, '\n'.join(wrong[:20])
