"""HTTP itself: what several requests on a connection come to, slow clients, sizes, methods, the sockets, the end."""
import json
import os
import signal
import socket
import subprocess
import time

import pytest
from wire.conftest import Raw

TEXT = {'clip': {'textual': {'modelName': 'fake'}}}
SLOW = {'clip': {'visual': {'modelName': 'slow'}}}
PING = b'GET /ping HTTP/1.1\r\nHost: a\r\n\r\n'


def post(server, *headers, path='/predict', entries=TEXT, **fields):
    """A request whole."""
    body, kind = server.form(entries=json.dumps(entries), **fields)
    headers = [*headers, f'Content-Type: {kind}', f'Content-Length: {len(body)}']
    return f'POST {path} HTTP/1.1\r\nHost: a\r\n'.encode() + '\r\n'.join(headers).encode() + b'\r\n\r\n' + body


def head(*headers, method='POST', path='/predict'):
    return '\r\n'.join([f'{method} {path} HTTP/1.1', 'Host: a', *headers, '', '']).encode()


def slow(fake_model, delay_ms):
    fake_model('slow', delay_ms=delay_ms)


def asking_slowly(server, photo):
    """A connection with a request of the slow model under way."""
    c = server.raw()
    c.send(post(server, entries=SLOW, image=photo))
    time.sleep(.3)
    return c


# ---- several requests on a connection ----

def test_requests_in_one_go_are_answered_in_order(server):
    with server.raw() as c:
        c.send((post(server, text='dog') + PING + post(server, text='snow') + post(server, path='/nope')) * 5 + PING)
        answers = [c.answer() for _ in range(21)]
    assert [a[0] for a in answers] == [200, 200, 200, 404] * 5 + [200]
    assert len({a[2] for a in answers}) == 4 and answers[0][2] != answers[2][2] and answers[1][2] == b'pong'


def test_what_is_refused_leaves_the_connection_in_step(server):
    """Each body is read to its end: the next request is found behind it."""
    requests = [(404, post(server, path='/nope', text='dog')), (405, post(server, path='/ping', text='dog')),
                (422, head('Content-Length: 5') + b'abcde'), (422, head('Transfer-Encoding: chunked') + b'0\r\n\r\n'),
                (400, head('Content-Length: 5', 'Content-Type: multipart/form-data; boundary=X') + b'abcde'),
                (422, head('Transfer-Encoding: chunked') + b'3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n'),
                (405, head('Content-Length: 0', method='OPTIONS')), (405, head('Content-Length: 3', method='PUT') + b'abc'),
                (405, head(method='FOO')), (404, head(path='/predict/')), (200, head('Content-Length: 2', method='GET',
                                                                                     path='/ping?a=b') + b'ab')]
    with server.raw() as c:
        for status, request in requests:
            c.send(request, PING)
            got, headers, body = c.answer()
            assert got == status and headers['content-type'].startswith(('application/json', 'text/plain')), request
            assert status == 200 or json.loads(body)['detail']
            assert status != 405 or headers['allow'] in ('POST', 'GET')
            assert c.answer()[2] == b'pong', request
        c.send(head(method='HEAD') + head(method='HEAD', path='/nope') + PING)
        assert [c.answer(has_body=False)[0] for _ in range(2)] == [405, 404] and c.answer()[2] == b'pong'


def test_who_wants_the_connection_closed(server):
    for request in (head('Connection: close', method='GET', path='/ping'), b'GET /ping HTTP/1.0\r\n\r\n'):
        with server.raw() as c:
            c.send(request)
            assert c.answer()[0] == 200 and c.answer() is None


@pytest.mark.parametrize('headers', [
    ('Content-Length: 5', 'Content-Length: 6'), ('Content-Length: 5', 'Transfer-Encoding: chunked'),
    ('Transfer-Encoding: gzip, chunked',), ('Transfer-Encoding: identity',), ('Content-Length: -5',),
    ('Content-Length: +5',), ('Content-Length: 5, 5',), ('Content-Length: 5x',)])
def test_a_body_whose_end_is_not_clear(server, headers):
    """Two readers could see different requests: none is answered but by a refusal, and the connection ends."""
    with server.raw() as c:
        c.send(head(*headers) + b'0\r\n\r\n' + PING)
        assert c.answer()[0] == 400
        assert b'pong' not in c.file.read()


@pytest.mark.parametrize('rest', [b'zz\r\nabc\r\n0\r\n\r\n', b'-1\r\nabc\r\n0\r\n\r\n', b'ffffffffffffffffff\r\nabc\r\n',
                                  b'3\r\nabcdef\r\n0\r\n\r\n'])
def test_chunks_that_are_none(server, rest):
    with server.raw() as c:
        c.send(head('Transfer-Encoding: chunked') + rest + PING)
        answer = c.answer()
        assert answer is None or answer[0] in (400, 413)
        assert b'pong' not in c.file.read()
    assert server.ask('GET', '/ping')[0] == 200


@pytest.mark.parametrize('bytes_', [b'hello\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(300),
                                    b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'GET /' + b'a' * 100000 + b' HTTP/1.1\r\n\r\n',
                                    b'GET /ping HTTP/1.1\r\nX: ' + b'a' * 100000 + b'\r\n\r\n',
                                    b'GET /ping HTTP/1.1\r\n' + b'X: y\r\n' * 20000 + b'\r\n'])
def test_what_is_no_request(start, bytes_):
    server = start(FOVEA_HTTP_TIMEOUT_S='1')
    with server.raw() as c:
        c.send(bytes_)
        answer = c.answer()
        assert answer is None or answer[0] in (400, 414, 431, 505)
    assert server.ask('GET', '/ping')[0] == 200


# ---- Expect: 100-continue ----

def test_a_client_that_waits_to_be_asked_for_the_body(server):
    head_, body = post(server, 'Expect: 100-continue', text='dog').split(b'\r\n\r\n', 1)
    with server.raw() as c:
        c.send(head_ + b'\r\n\r\n')
        assert c.answer()[0] == 100
        c.send(body)
        assert c.answer()[0] == 200


def test_and_is_refused_before_it_sends_it(start):
    server = start(FOVEA_HTTP_MAX_BODY_MIB='1')
    with server.raw() as c:
        c.send(head('Expect: 100-continue', 'Content-Length: 1048577'))
        status, _, body = c.answer()
        assert status == 413 and b'1048576' in body and c.answer() is None


# ---- slow clients ----

def test_a_request_byte_by_byte(server):
    with server.raw() as c:
        c.send(*[bytes([b]) for b in post(server, text='dog')], pause_s=.002)
        assert c.answer()[0] == 200


@pytest.mark.parametrize('begun', [b'', b'GET /pi', b'GET /ping HTTP/1.1\r\nHost:', head('Content-Length: 100'),
                                   head('Content-Length: 100') + b'abc', head('Transfer-Encoding: chunked') + b'f\r\nabc'])
def test_a_client_that_falls_silent(start, begun):
    server = start(FOVEA_HTTP_TIMEOUT_S='1')
    begun_at = time.monotonic()
    with server.raw() as c:
        c.send(begun)
        assert c.answer() is None and .5 < time.monotonic() - begun_at < 8
    assert server.ask('GET', '/ping')[0] == 200


def until_closed(c, drop, pause_s):
    """Send a byte now and then; how long the server bears it."""
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < 30:
            c.socket.sendall(drop)
            time.sleep(pause_s)
    except OSError:
        pass
    return time.monotonic() - begun


@pytest.mark.parametrize('first', [b'', PING])
def test_a_head_that_trickles(start, first):
    """Each byte is in time, and the whole never is; requests before it do not change that."""
    server = start(FOVEA_HTTP_TIMEOUT_S='1', MACHINE_LEARNING_HTTP_KEEPALIVE_TIMEOUT_S='1')
    with server.raw() as c:
        c.send(first)
        assert not first or c.answer()[0] == 200
        c.send(b'GET /')
        assert 2 < until_closed(c, b'a', .2) < 15
    assert server.ask('GET', '/ping')[0] == 200


def test_a_body_that_trickles(start, build):
    """Ten minutes, here a hundred times as fast."""
    if b'__asan_init' in (build / 'fovea').read_bytes() or b'__tsan_init' in (build / 'fovea').read_bytes():
        pytest.skip('the clock is changed in the plain build, where no sanitizer stands before libc too')
    server = start(LD_PRELOAD=str(build / 'tests/libpreload.so'), FAULT_CLOCK_SPEED='100')
    with server.raw() as c:
        c.send(head('Content-Length: 100000', 'Content-Type: multipart/form-data; boundary=X') + b'--X\r\n')
        assert 4 < until_closed(c, b'a', .1) < 20
    assert server.ask('GET', '/ping')[0] == 200


def test_many_slow_clients_leave_room(start):
    """Those that hold a place and say nothing are gone in time."""
    server = start(FOVEA_HTTP_TIMEOUT_S='1')
    held = [server.raw() for _ in range(900)]
    for c in held:
        c.send(b'GET /ping HT')
    begun = time.monotonic()
    assert server.ask('GET', '/ping')[0] == 200 and time.monotonic() - begun < 2
    assert all(c.answer() is None for c in held)
    for c in held:
        c.socket.close()


def test_a_client_that_does_not_read(server):
    """Many answers that stay in its way hold up nobody else."""
    with server.raw() as c:
        c.socket.setblocking(False)
        try:
            for _ in range(20000):
                c.socket.send(PING * 100)
        except BlockingIOError:
            pass
        assert server.ask('GET', '/ping')[0] == 200


def test_a_log_that_nobody_reads(build, environment, models):
    """A full pipe loses lines and not the service, and tells how many when it is read again."""
    env = {**environment, 'MACHINE_LEARNING_CACHE_FOLDER': str(models)}
    process = subprocess.Popen([build / 'fovea', 'serve', '--host', '127.0.0.1', '--port', '0'], env=env,
                               stderr=subprocess.PIPE, bufsize=0)
    port = int(process.stderr.readline().split()[-1])

    def ask(n):  # a line each
        with Raw(port) as c:
            c.send(head('Content-Length: 0') * n)
            assert [c.answer()[0] for _ in range(n)] == [422] * n
    for _ in range(20):
        ask(100)
    log = os.read(process.stderr.fileno(), 1 << 20)
    ask(1)
    process.terminate()
    log += process.stderr.read()
    lost = int(log.split(b' lines of the log are lost')[0].split()[-1])
    assert process.wait(10) == 0 and lost > 0 and log.count(b'POST /predict') + lost == 2001


# ---- sizes ----

def test_the_fields_of_a_form(start):
    server = start()
    for n, status in ((62, 200), (63, 413)):  # with entries and text: 64 and 65
        got, answer = server.predict(TEXT, text='dog', **{f'x{i}': '' for i in range(n)})
        assert got == status and (status == 200 or '64' in answer['detail'])


def test_the_size_of_entries(server):
    entries = json.dumps(TEXT)
    for n, status in ((64 << 10, 200), ((64 << 10) + 1, 413)):
        got, answer = server.predict(entries + ' ' * (n - len(entries)), text='dog')
        assert got == status and (status == 200 or '65536' in answer['detail'])


def test_the_size_of_a_text(server):
    got, answer = server.predict(TEXT, text='x' * ((1 << 20) + 1))
    assert got == 413 and 'text' in answer['detail'] and '1048576' in answer['detail']


def test_the_size_of_all_bodies(start, photo):
    """Those that wait for more of themselves count, and no longer when they are gone."""
    server = start(FOVEA_HTTP_MAX_BODY_MIB='2', FOVEA_HTTP_MAX_BODIES_MIB='3')
    body, kind = server.form(entries=json.dumps(TEXT), image=bytes(1800 << 10))
    half = head(f'Content-Type: {kind}', f'Content-Length: {len(body)}') + body[:1700 << 10]
    with server.raw() as first:
        first.send(half)
        time.sleep(.5)
        status, headers, answer = server.ask('POST', '/predict', body, kind)
        assert status == 503 and int(headers['retry-after']) > 0 and b'too many bodies' in answer
        assert server.predict(TEXT, text='dog')[0] == 200
    deadline = time.monotonic() + 10
    while server.ask('POST', '/predict', body, kind)[0] == 503 and time.monotonic() < deadline:
        time.sleep(.1)
    for _ in range(50):  # whose room is free again when it is answered
        assert server.ask('POST', '/predict', body, kind)[0] != 503


# ---- the sockets ----

@pytest.mark.parametrize('host, reached', [('[::]', ['127.0.0.1', '::1']), ('::', ['127.0.0.1', '::1']),
                                           ('0.0.0.0', ['127.0.0.1']), ('::1', ['::1']), ('localhost', ['localhost'])])
def test_addresses(start, host, reached):
    try:
        socket.create_server(('::1', 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip('no IPv6 here')
    server = start('--host', host)  # the last one counts
    for address in reached:
        with socket.create_connection((address, server.port), timeout=10) as s:
            s.sendall(head('Connection: close', method='GET', path='/ping'))
            assert b''.join(iter(lambda: s.recv(4096), b'')).endswith(b'pong')


# ---- clients that go ----

def test_who_goes_while_it_waits_is_not_worked_for(start, fake_model, photo):
    slow(fake_model, 1000)
    server = start(MACHINE_LEARNING_REQUEST_THREADS='1')
    running, *waiting = [asking_slowly(server, photo) for _ in range(6)]
    for c in waiting:
        c.socket.close()
        c.file.close()
    assert running.answer()[0] == 200
    begun = time.monotonic()
    assert server.predict(SLOW, image=photo)[0] == 200 and time.monotonic() - begun < 3  # not after five others


# ---- the end ----

@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGINT])
def test_what_runs_too_long_is_not_waited_for(start, fake_model, photo, how):
    slow(fake_model, 10000)  # to open it, and again to run it
    server = start(MACHINE_LEARNING_REQUEST_THREADS='1', TSAN_OPTIONS='report_thread_leaks=0')  # one is left behind
    running, waiting = asking_slowly(server, photo), asking_slowly(server, photo)
    status, took_s = server.stop(how)
    assert status == 0 and 9 < took_s < 12
    assert running.answer() is None and waiting.answer() is None
    assert any('did not end' in line for line in server.log)


def test_what_comes_during_the_stop(start, fake_model, photo):
    """No new connection; one that is there is told that this is the end of it."""
    slow(fake_model, 1500)
    server = start()
    with server.raw() as idle, asking_slowly(server, photo) as running, server.raw() as half:
        half.send(post(server, text='dog')[:-40])
        server.process.send_signal(signal.SIGTERM)
        time.sleep(.3)
        with pytest.raises(OSError):
            server.raw()
        idle.send(PING)
        status, headers, _ = idle.answer()
        assert status == 200 and headers['connection'].lower() == 'close' and idle.answer() is None
        half.send(post(server, text='dog')[-40:])
        assert half.answer()[0] == 200
        assert running.answer()[0] == 200
        assert server.process.wait(10) == 0


def test_a_second_signal(start, fake_model, photo):
    slow(fake_model, 1000)
    server = start()
    with asking_slowly(server, photo) as running:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(.2)
        server.process.send_signal(signal.SIGINT)
        assert running.answer()[0] == 200
    assert server.process.wait(10) == 0
