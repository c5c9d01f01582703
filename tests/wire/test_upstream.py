"""Requests handed over to other services: which, and that each is answered whatever becomes of them."""
import contextlib
import http.server
import json
import pathlib
import re
import shutil
import socket
import threading
import time

import pytest

VISUAL = {'clip': {'visual': {'modelName': 'fake'}}}
TEXTUAL = {'clip': {'textual': {'modelName': 'fake'}}}
THERE = {'clip': '[1,2,3]'}


class StandIn:
    """A service that answers {"clip": "[1,2,3]"}, keeps what it was sent, and can be made to fail."""

    def __init__(self):
        self.asked, self.ping, self.answer = [], b'pong', lambda: (200, json.dumps(THERE).encode())
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                self.reply(200, outer.ping)

            def do_POST(self):
                body = self.rfile.read(int(self.headers['content-length']))
                outer.asked.append((self.headers, body))
                said = outer.answer()
                if said:
                    self.reply(*said)
                self.close_connection = not said

            def reply(self, status, body):
                try:
                    self.send_response(status)
                    self.send_header('Content-Length', str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}'
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def other():
    other = StandIn()
    yield other
    other.stop()


def counts(server, kind='clip.textual'):
    """{result: n} of the requests of a kind, and whether its upstream is up."""
    page = server.ask('GET', '/metrics')[2].decode()
    told = {r: int(n) for k, r, n in re.findall(r'^fovea_upstream_requests_total{kind="(.*?)",result="(.*?)"} (\d+)',
                                                page, re.M) if k == kind}
    up = re.search(rf'^fovea_upstream_up{{kind="{re.escape(kind)}"}} (\d)', page, re.M)
    return told, bool(up and up[1] == '1')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def test_by_kind(start, other, photo):
    """Texts there, pictures here; nothing is told of the kinds that stay."""
    server, alone = start(FOVEA_UPSTREAM_CLIP_TEXTUAL=other.url + '/'), start()
    assert server.predict(TEXTUAL, text='red dog') == (200, THERE)
    assert server.predict(VISUAL, image=photo) == alone.predict(VISUAL, image=photo)
    [(headers, body)] = other.asked
    assert b'name="text"\r\n\r\nred dog\r\n' in body and json.dumps(TEXTUAL).encode() in body
    assert headers['x-request-id'] and 'authorization' not in headers
    assert counts(server) == ({'answered': 1, 'failed': 0, 'overtaken': 0}, True)
    assert counts(server, 'clip.visual') == ({}, False)
    assert b'upstream' not in alone.ask('GET', '/metrics')[2]


def test_the_picture_is_what_was_sent(start, other, photo):
    server = start(FOVEA_UPSTREAM_CLIP_VISUAL=other.url)
    sent = photo + b'\r\n--XX-\r\n'
    assert server.predict(VISUAL, image=sent) == (200, THERE)
    assert b'\r\n\r\n' + sent + b'\r\n--' in other.asked[0][1]


def test_entries_of_several_kinds_stay(start, other, photo, models):
    server = start(FOVEA_UPSTREAM_CLIP_VISUAL=other.url, FOVEA_UPSTREAM_CLIP_TEXTUAL=other.url)
    status, _ = server.predict({'clip': {**VISUAL['clip'], **TEXTUAL['clip']}}, image=photo)
    assert status == 400 and not other.asked


def test_another_fovea(start, models, tmp_path, fake_model, photo):
    """The same answer as from it, with its token; in its metrics it is an ordinary request."""
    there = tmp_path / 'there'
    shutil.copytree(models, there)
    fake_model(seed=99)
    shutil.copytree(models / 'clip/fake', there / 'clip/fake', dirs_exist_ok=True)
    fake_model()
    gpu = start(folder=there, FOVEA_TOKEN='secret')
    server = start(FOVEA_TOKEN='secret', FOVEA_UPSTREAM_CLIP_VISUAL=f'http://127.0.0.1:{gpu.port}')
    body, kind = server.form(entries=json.dumps(VISUAL), image=photo)
    answers = []
    for s in (server, gpu):
        c = s.connect()
        c.request('POST', '/predict', body, {'Content-Type': kind, 'Authorization': 'Bearer secret'})
        r = c.getresponse()
        answers.append((r.status, json.loads(r.read())))
    assert answers[0] == answers[1] and answers[0][0] == 200
    assert answers[0] != start().predict(VISUAL, image=photo)


@pytest.mark.parametrize('answer', [
    None, (500, b'Internal Server Error'), (422, b'{"detail":"secret"}'), (404, b'{}'), (401, b''), (503, b'busy'), (302, b''), (200, b''),
    (200, b'<html>'), (200, b'{' + b' ' * (17 << 20)),
    (200, b'{"clip":"[1,2'), (200, b'[]'), (200, b'{"a":' * 10**6),
    (200, b'{}'), (200, b'{"clip":null}'), (200, b'{"ocr":"[1,2,3]"}')])
def test_what_fails_there_is_done_here(start, other, answer):
    other.answer = lambda: answer
    server = start(FOVEA_UPSTREAM_CLIP_TEXTUAL=other.url)
    want = start().predict(TEXTUAL, text='red dog')
    assert server.predict(TEXTUAL, text='red dog') == want and want[0] == 200
    assert counts(server)[0] == {'answered': 0, 'failed': 1, 'overtaken': 0}
    assert not any('secret' in line for line in server.log)
    assert 1 <= len(other.asked) <= 2  # on a connection that was closed curl asks once more


def test_what_both_refuse(start, other):
    """In the words of this service."""
    other.answer = lambda: (500, b'Internal Server Error')
    server = start(FOVEA_UPSTREAM_CLIP_VISUAL=other.url)
    status, answer = server.predict(VISUAL, image=b'no picture')
    assert status == 415 and answer['detail']


def test_down_and_up_again(start, other):
    """Who is down is not asked, until a ping is answered."""
    port = free_port()
    server = start(FOVEA_UPSTREAM_CLIP_TEXTUAL=f'http://127.0.0.1:{port}', FOVEA_UPSTREAM_CLIP_VISUAL=other.url)
    want = start().predict(TEXTUAL, text='red dog')
    assert server.predict(TEXTUAL, text='red dog') == want
    until(lambda: not counts(server)[1])
    failed = counts(server)[0]['failed']
    assert server.predict(TEXTUAL, text='red dog') == want and counts(server)[0]['failed'] == failed
    other.ping = b'<html>'
    until(lambda: not counts(server, 'clip.visual')[1])
    other.ping = b'pong'
    until(lambda: counts(server, 'clip.visual')[1])
    told = [line for line in server.log if 'upstream of' in line]
    assert sum('clip.visual is down' in line for line in told) == 1
    assert sum('clip.visual is up again' in line for line in told) == 1


def until(what, seconds=30):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(.1)


def test_slow(start, other):
    """The answer comes from here, and the other is let go."""
    release = threading.Event()

    def slow():
        release.wait(60)
        return 200, json.dumps(THERE).encode()
    other.answer = slow
    server = start(FOVEA_UPSTREAM_CLIP_TEXTUAL=other.url, FOVEA_UPSTREAM_HEDGE_MS='100')
    begun = time.monotonic()
    assert server.predict(TEXTUAL, text='red dog') == start().predict(TEXTUAL, text='red dog')
    assert time.monotonic() - begun < 30
    assert counts(server)[0] == {'answered': 0, 'failed': 0, 'overtaken': 1}
    _, seconds = server.stop()
    assert seconds < 30
    release.set()


def test_slow_but_only_there(start, other):
    """What cannot be done here takes as long as it takes there."""
    def slow():
        time.sleep(2)
        return 200, json.dumps(THERE).encode()
    other.answer = slow
    server = start(FOVEA_UPSTREAM_CLIP_TEXTUAL=other.url, FOVEA_UPSTREAM_HEDGE_MS='100')
    elsewhere = {'clip': {'textual': {'modelName': 'not-here'}}}
    assert server.predict(elsewhere, text='red dog') == (200, THERE)
    other.answer = lambda: (time.sleep(1), (500, b''))[1]
    status, answer = server.predict(elsewhere, text='red dog')
    assert status == 404 and 'not-here' in answer['detail']


def test_a_race(start, other, fake_model, photo):
    """Either may win, and is counted."""
    fake_model('slow', delay_ms=1500)
    entries = {'clip': {'visual': {'modelName': 'slow'}}}
    other.answer = lambda: (time.sleep(.6), (200, json.dumps(THERE).encode()))[1]
    server = start(FOVEA_UPSTREAM_CLIP_VISUAL=other.url, FOVEA_UPSTREAM_HEDGE_MS='200')
    status, answer = server.predict(entries, image=photo)
    assert status == 200
    told = counts(server, 'clip.visual')[0]
    assert (told['answered'], told['overtaken']) == ((1, 0) if answer == THERE else (0, 1))


def test_never_hedged(start, other):
    other.answer = lambda: (time.sleep(1), (200, json.dumps(THERE).encode()))[1]
    server = start(FOVEA_UPSTREAM_CLIP_TEXTUAL=other.url, FOVEA_UPSTREAM_HEDGE_MS='0')
    assert server.predict(TEXTUAL, text='red dog') == (200, THERE)


def test_loops(start):
    """To itself, or two to each other: one step, and then it is done."""
    ports = [free_port(), free_port()]
    one, two = [start('--port', str(ports[i]), FOVEA_UPSTREAM_CLIP_TEXTUAL=f'http://127.0.0.1:{ports[1 - i]}')
                for i in range(2)]
    until(lambda: counts(one)[1] and counts(two)[1])
    want = start().predict(TEXTUAL, text='red dog')
    assert one.predict(TEXTUAL, text='red dog') == want
    assert counts(one)[0]['answered'] == 1 and sum(counts(two)[0].values()) == 0
    port = free_port()
    itself = start('--port', str(port), FOVEA_UPSTREAM_CLIP_TEXTUAL=f'http://127.0.0.1:{port}')
    until(lambda: counts(itself)[1])
    assert itself.predict(TEXTUAL, text='red dog') == want and counts(itself)[0]['answered'] == 1


def test_many_at_once(start, other, photo):
    """Half of what is asked fails there; each gets its answer."""
    answers = iter(range(10**6))
    other.answer = lambda: (500, b'') if next(answers) % 2 else (200, json.dumps(THERE).encode())
    server = start(FOVEA_UPSTREAM_CLIP_TEXTUAL=other.url, FOVEA_UPSTREAM_HEDGE_MS='50')
    got = []

    def ask(i):
        for k in range(20):
            got.append(server.predict(TEXTUAL, text=f'red dog {i} {k}')[0])
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == [200] * 80 and sum(counts(server)[0].values()) == 80


def test_a_client_that_leaves(start, other):
    release = threading.Event()
    other.answer = lambda: (release.wait(60), (200, b'{}'))[1]
    server = start(FOVEA_UPSTREAM_CLIP_TEXTUAL=other.url, FOVEA_UPSTREAM_HEDGE_MS='0')
    body, kind = server.form(entries=json.dumps(TEXTUAL), text='red dog')
    with server.raw() as c:
        c.send(f'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n'
               .encode(), body)
        until(lambda: other.asked)
    _, seconds = server.stop()
    release.set()
    assert seconds < 8


def test_stops_while_it_pings(start):
    """Four that take a connection and say nothing: a ping of each takes two seconds."""
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(('127.0.0.1', 0))) for _ in range(4)]
        urls = [f'http://127.0.0.1:{s.getsockname()[1]}' for s in silent]
        server = start(FOVEA_UPSTREAM_CLIP_VISUAL=urls[0], FOVEA_UPSTREAM_CLIP_TEXTUAL=urls[1],
                       FOVEA_UPSTREAM_FACIAL_RECOGNITION=urls[2], FOVEA_UPSTREAM_OCR=urls[3])
        _, seconds = server.stop()
    assert seconds < 4


@pytest.mark.parametrize('options, kinds', [
    (['--upstream', 'URL'], 'clip.visual clip.textual facial-recognition ocr'),
    (['--upstream=clip=URL', '--upstream', 'ocr=URL/'], 'clip.visual clip.textual ocr'),
    (['--upstream', 'http://127.0.0.1:1', '--upstream=clip.textual=URL'], 'clip.visual clip.textual facial-recognition ocr')])
def test_on_the_command_line(start, other, options, kinds):
    """One more way to say what the settings say; over them, and over those given before."""
    server = start(*(o.replace('URL', other.url) for o in options), FOVEA_UPSTREAM_CLIP_TEXTUAL='http://127.0.0.1:1')
    assert server.predict(TEXTUAL, text='red dog') == (200, THERE)
    told = re.findall(r'^fovea_upstream_up{kind="(.*?)"}', server.ask('GET', '/metrics')[2].decode(), re.M)
    assert told == kinds.split()


@pytest.mark.parametrize('given, why', [
    ('gpu:3003', 'not a URL'), ('clip=gpu', 'not a URL'), ('ocr=', 'not a URL'), ('', 'not a URL'),
    ('http://me:secret@gpu:x', 'not a URL'), ('clip.=http://gpu', 'no task "clip."'), ('cl=http://gpu', 'no task "cl"'),
    ('=http://gpu', 'no task ""'), ('facial-recognition.detection=http://gpu', 'there are clip, ')])
def test_mistakes_on_the_command_line(fovea, given, why):
    told = fovea('serve', '--host', '127.0.0.1', '--port', '0', '--upstream', given)
    assert told.status == 2 and told.out == '' and told.err.count('\n') == 1
    assert why in told.err and 'secret' not in told.err


def test_too_many_on_the_command_line(fovea):
    told = fovea('serve', *['--upstream=http://gpu'] * 17)
    assert told.status == 2 and 'more than 16 times' in told.err


@pytest.mark.parametrize('settings, names', [
    ({'FOVEA_UPSTREAM_CLIP_VISUAL': 'http://192.0.2.1:3003', 'FOVEA_UPSTREAM_OCR': 'http://192.0.2.1:3003'}, 'clip.visual, ocr'),
    ({'FOVEA_UPSTREAM_CLIP_VISUAL': 'https://192.0.2.1:3003', 'FOVEA_UPSTREAM_OCR': 'http://localhost:1'}, None)])
def test_a_token_in_the_clear(start, settings, names):
    """Is warned of, once; without a token there is nothing to warn of."""
    for token in ('secret', ''):
        server = start(**settings, FOVEA_TOKEN=token)
        told = [line for line in server.log if 'unencrypted' in line]
        assert len(told) == (1 if token and names else 0) and not any('secret' in line for line in server.log)
        assert not told or f'upstream of {names};' in told[0]


@pytest.mark.parametrize('url', ['gpu:3003', 'ftp://gpu', 'file:///etc/passwd', 'http://', 'http://gpu:99999'])
def test_what_is_no_url(fovea, models, url):
    told = fovea('serve', '--host', '127.0.0.1', '--port', '0', MACHINE_LEARNING_CACHE_FOLDER=str(models),
                 FOVEA_UPSTREAM_OCR=url)
    assert told.status == 1 and 'upstream of ocr: not a URL' in told.err and 'listening' not in told.err


def test_what_the_page_says(start, other, commands):
    """Its commands, here with the port of the test's own services, and its settings and metrics."""
    path = pathlib.Path(__file__).resolve().parents[2] / 'docs/upstream.md'
    page = path.read_text()
    serve, curl, same = commands(path)
    assert curl == 'curl -fsS http://localhost:3003/metrics'
    pages = []
    for command in (serve, same):
        settings, options = (part.split() for part in command.split('fovea serve'))
        server = start(*(re.sub('http://\\w+:3003', other.url, option) for option in options),
                       **{name: other.url for name, _ in (s.split('=') for s in settings)})
        pages.append(server.ask('GET', '/metrics')[2].decode())
    told = [re.findall(r'^fovea_upstream_up{kind="(.*?)"}', metrics, re.M) for metrics in pages]
    assert told[0] == told[1] == ['clip.visual', 'facial-recognition', 'ocr']
    named = set(re.findall(r'^\| `(\w+)`', page, re.M))
    assert named == set(re.findall(r'^# TYPE (fovea_upstream_\w+)', pages[0], re.M)) and len(named) == 2
