"""The service over HTTP: statuses and bodies, forms as they come, connections that break off, the end of it."""
import base64
import json
import pathlib
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DIM = 24  # of the toy model

TEXT = {'clip': {'textual': {'modelName': 'fake'}}}
IMAGE = {'clip': {'visual': {'modelName': 'fake'}}}
MISSING = '{"detail":[{"type":"missing","loc":["body","entries"],"msg":"Field required","input":null}]}'


def test_root_and_ping(server):
    status, headers, body = server.ask('GET', '/')
    assert (status, headers['content-type'], body) == (200, 'application/json', b'{"message":"Immich ML"}')
    status, headers, body = server.ask('GET', '/ping')
    assert (status, headers['content-type'], body) == (200, 'text/plain; charset=utf-8', b'pong')


def test_no_such_route(server):
    assert server.ask('GET', '/nope')[::2] == (404, b'{"detail":"Not Found"}')
    status, headers, body = server.ask('GET', '/predict')
    assert (status, headers['allow'], body) == (405, 'POST', b'{"detail":"Method Not Allowed"}')
    status, headers, body = server.ask('HEAD', '/ping')
    assert (status, headers['content-type'], body) == (405, 'application/json', b'')


def test_words_and_pictures_become_vectors(server, library, photo, tmp_path):
    status, answer = server.predict(TEXT, text='red dog')
    assert status == 200 and set(answer) == {'clip'}
    alone = library('embed', '--text', 'red dog', '--model', 'fake')
    assert json.loads(answer['clip']) == json.loads(alone.out) and len(json.loads(alone.out)) == DIM
    status, answer = server.predict(IMAGE, image=photo)
    assert status == 200 and (answer['imageHeight'], answer['imageWidth']) == (32, 48)
    (tmp_path / 'b.jpg').write_bytes(photo)
    alone = library('embed', '--image', tmp_path / 'b.jpg', '--model', 'fake', '--contract', 'reference')
    assert json.loads(answer['clip']) == json.loads(alone.out)


def test_a_picture_counts_before_words(server, photo):
    assert server.predict(IMAGE, image=photo, text='dog') == server.predict(IMAGE, image=photo)


@pytest.mark.parametrize('entries', ['foo', '[]', 'null', '', '{"clip":[]}', '{"clip":{"textual":{}}}',
                                     '{"clip":{"textual":{"modelName":3}}}', '{"clip":{"textual":[]}}',
                                     '{"clip":{"textual":{"modelName":"fake","options":null}}}'])
def test_entries_that_are_none(server, entries):
    status, answer = server.predict(entries, text='dog')
    assert status == 422
    assert answer == (json.loads(MISSING) if not entries else {'detail': 'Invalid request format.'})


@pytest.mark.parametrize('entries, status, word', [
    ({'nope': {'textual': {'modelName': 'fake'}}}, 422, 'nope'),
    ({'clip': {'nope': {'modelName': 'fake'}}}, 422, 'nope'),
    ({'clip': {'textual': {'modelName': 'absent'}}}, 404, 'absent'),
    ({'clip': {'textual': {'modelName': '../..'}}}, 400, 'name'),
    ({'clip': {'textual': {'modelName': 'fake', 'options': {'foo': 1}}}}, 422, 'foo'),
    ({'clip': {'textual': {'modelName': 'fake', 'options': {'language': 1}}}}, 422, 'language'),
    ({'facial-recognition': {'detection': {'modelName': 'fake', 'options': {'minScore': 'x'}}}}, 422, 'minScore'),
    (IMAGE, 400, 'image'),
])
def test_entries_that_cannot_be_carried_out(server, entries, status, word):
    got, answer = server.predict(entries, text='dog')
    assert got == status and word in answer['detail']


def test_a_model_that_is_not_there_says_what_to_do(server):
    status, answer = server.predict({'clip': {'textual': {'modelName': 'absent'}}}, text='dog')
    assert status == 404
    assert answer['detail'] == 'model "absent" is not there; `fovea models list` names what is or can be fetched'


@pytest.mark.parametrize('fields, word', [
    ({}, 'Either image or text must be provided'), ({'text': ''}, 'Either image or text must be provided'),
    ({'image': b''}, 'empty'), ({'image': b'not an image'}, ''), ({'image': 'text'}, 'filename'),
])
def test_inputs_that_are_none(server, fields, word):
    status, answer = server.predict(TEXT if 'text' in fields or not fields else IMAGE, **fields)
    assert 400 <= status < 500 and word in answer['detail']


def test_a_cut_picture(server, photo):
    status, answer = server.predict(IMAGE, image=photo[:len(photo) // 2])
    assert 400 <= status < 500 and 'truncated' in answer['detail']


def test_nothing_to_do(server, photo):
    assert server.predict('{}', text='dog') == (200, {})
    assert server.predict('{}', image=photo) == (200, {'imageHeight': 32, 'imageWidth': 48})


def test_the_last_of_two_fields_counts(server):
    body = server.form(entries='foo')[0].removesuffix(b'--XX--\r\n') + server.form(entries=json.dumps(TEXT), text='dog')[0]
    assert server.ask('POST', '/predict', body, 'multipart/form-data; boundary=XX')[0] == 200


def test_a_form_in_an_url(server):
    body = b'entries=' + json.dumps(TEXT).replace(' ', '+').encode() + b'&text=red%20dog'
    status, _, answer = server.ask('POST', '/predict', body, 'application/x-www-form-urlencoded')
    assert status == 200 and json.loads(answer) == server.predict(TEXT, text='red dog')[1]


def test_text_that_is_not_utf8_is_latin_1(server):
    body, kind = server.form(entries=json.dumps(TEXT), text='photo @')
    bad = server.ask('POST', '/predict', body.replace(b'@', b'\xe9'), kind)
    assert bad[0] == 200 and json.loads(bad[2]) == server.predict(TEXT, text='photo \xe9')[1]


def test_a_body_in_small_pieces(server, photo):
    body, kind = server.form(entries=json.dumps(IMAGE), image=b'\r\n--X' + photo)
    whole = server.ask('POST', '/predict', body, kind)[::2]
    c = server.connect()
    pieces = (body[i:i + 7] for i in range(0, len(body), 7))  # chunked
    c.request('POST', '/predict', pieces, {'Content-Type': kind})
    r = c.getresponse()
    assert (r.status, r.read()) == whole


def test_a_connection_is_kept(server):
    c = server.connect()
    for _ in range(3):
        assert server.predict(TEXT, connection=c, text='dog')[0] == 200
        local = c.sock.getsockname()
        assert server.ask('GET', '/nope', connection=c)[0] == 404 and c.sock.getsockname() == local


def test_an_idle_connection_is_closed(start):
    server = start(MACHINE_LEARNING_HTTP_KEEPALIVE_TIMEOUT_S='1')
    c = server.connect()
    server.ask('GET', '/ping', connection=c)
    begun = time.monotonic()
    assert c.sock.recv(1) == b'' and time.monotonic() - begun < 5


def test_limits(start, photo):
    server = start(FOVEA_HTTP_MAX_BODY_MIB='1', FOVEA_HTTP_MAX_FIELDS='4', FOVEA_HTTP_MAX_ENTRIES_KIB='1')
    status, answer = server.predict(TEXT, a='', b='', c='', text='dog')
    assert status == 413 and 'fields' in answer['detail']
    status, answer = server.predict(json.dumps(TEXT) + ' ' * 1024, text='dog')
    assert status == 413 and 'entries' in answer['detail']
    body, kind = server.form(entries=json.dumps(IMAGE), image=bytes(1 << 20))
    c = server.connect()
    c.request('POST', '/predict', (body[i:i + 65536] for i in range(0, len(body), 65536)), {'Content-Type': kind})
    r = c.getresponse()
    assert r.status == 413 and b'1048576' in r.read()
    with socket.create_connection(('127.0.0.1', server.port)) as s:  # told before it is sent
        s.sendall(b'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n')
        assert s.recv(4096).startswith(b'HTTP/1.1 413 ')
    assert server.predict(IMAGE, image=photo)[0] == 200


def test_a_full_queue(start, fake_model, photo):
    fake_model('slow', delay_ms=1500)
    server = start(MACHINE_LEARNING_REQUEST_THREADS='1', FOVEA_HTTP_QUEUE='1')
    body, kind = server.form(entries=json.dumps({'clip': {'visual': {'modelName': 'slow'}}}), image=photo)
    waiting = [server.connect() for _ in range(2)]
    for c in waiting:
        c.request('POST', '/predict', body, {'Content-Type': kind})
        time.sleep(.3)
    status, headers, answer = server.ask('POST', '/predict', body, kind)
    assert status == 503 and int(headers['retry-after']) > 0 and b'detail' in answer
    begun = time.monotonic()
    assert server.ask('GET', '/ping')[0] == 200 and time.monotonic() - begun < .5  # the loop does not wait
    waiting.pop().close()  # gives its place to another
    time.sleep(.3)
    assert server.ask('POST', '/predict', body, kind)[0] == 200
    assert waiting[0].getresponse().status == 200


@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_finished(start, fake_model, photo, how):
    fake_model('slow', delay_ms=1500)
    server = start()
    body, kind = server.form(entries=json.dumps({'clip': {'visual': {'modelName': 'slow'}}}), image=photo)
    idle, c = server.connect(), server.connect()
    server.ask('GET', '/ping', connection=idle)
    c.request('POST', '/predict', body, {'Content-Type': kind})
    time.sleep(.3)
    server.process.send_signal(how)
    r = c.getresponse()
    assert r.status == 200 and r.headers['connection'].lower() == 'close'
    assert server.process.wait(10) == 0


def test_clients_that_go(server, photo):
    body, kind = server.form(entries=json.dumps(IMAGE), image=photo)
    for cut in (1, 60, len(body) // 2, len(body) - 1, len(body)):
        with socket.create_connection(('127.0.0.1', server.port)) as s:
            s.sendall(f'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n'
                      f'Content-Length: {len(body)}\r\n\r\n'.encode() + body[:cut])
    assert server.predict(IMAGE, image=photo)[0] == 200


def test_a_hang_up_right_behind_the_bytes_is_seen(server):
    """While the server cannot read, so that it finds both at once."""
    def n_descriptors():
        return len(list(pathlib.Path(f'/proc/{server.process.pid}/fd').iterdir()))
    before = n_descriptors()
    server.process.send_signal(signal.SIGSTOP)
    for head in (b'POST /pre', b'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc') * 20:
        with socket.create_connection(('127.0.0.1', server.port)) as s:
            s.sendall(head)
    server.process.send_signal(signal.SIGCONT)
    assert server.ask('GET', '/ping')[0] == 200
    deadline = time.monotonic() + 5
    while n_descriptors() > before and time.monotonic() < deadline:
        time.sleep(.05)
    assert n_descriptors() <= before


def test_a_unix_socket(build, environment, models, tmp_path):
    path, env = tmp_path / 's', {**environment, 'MACHINE_LEARNING_CACHE_FOLDER': str(models)}
    socket.socket(socket.AF_UNIX).bind(str(path))  # left by one that died
    process = subprocess.Popen([build / 'fovea', 'serve', '--socket', path], env=env, stderr=subprocess.PIPE)
    assert b'listening' in process.stderr.readline()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b'GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
        assert b''.join(iter(lambda: s.recv(4096), b'')).endswith(b'pong')
    process.terminate()
    process.stderr.read()
    assert process.wait(10) == 0 and not path.exists()


def test_a_socket_s_name_that_is_a_file_s(fovea, models, tmp_path):
    file, link = tmp_path / 'letters', tmp_path / 'link'
    file.write_text('dear')
    link.symlink_to(file)
    for path in file, link:
        result = fovea('serve', '--socket', path, MACHINE_LEARNING_CACHE_FOLDER=str(models))
        assert result.status == 1 and f'cannot listen on {path}: Address already in use' in result.err
    assert link.is_symlink() and file.read_text() == 'dear'


def test_an_address_that_is_taken(server, fovea, models):
    result = fovea('serve', '--host', '127.0.0.1', '--port', server.port)
    assert result.status == 1 and str(server.port) in result.err


@pytest.mark.parametrize('name, value', [('IMMICH_PORT', 'x'), ('IMMICH_PORT', '65536'), ('IMMICH_LOG_LEVEL', 'loud'),
                                         ('MACHINE_LEARNING_MODEL_TTL', '-1'), ('MACHINE_LEARNING_ANN', 'perhaps')])
def test_a_bad_setting_stops_the_start(fovea, name, value):
    result = fovea('serve', **{name: value})
    assert result.status == 1 and name in result.err and value in result.err


def test_settings_without_effect_are_told(start):
    server = start(MACHINE_LEARNING_WORKERS='4', NO_COLOR='1')
    assert sum('does nothing here' in line for line in server.log) == 2
    assert start(MACHINE_LEARNING_WORKERS='4', IMMICH_LOG_LEVEL='log').log


def test_the_settings_are_described(build):
    """docs/config.md is what build/config_doc prints."""
    made = subprocess.run([build / 'config_doc'], capture_output=True, text=True, check=True).stdout
    assert (ROOT / 'docs/config.md').read_text() == made


def cosine(a, b):
    a, b = json.loads(a), json.loads(b)
    return sum(x * y for x, y in zip(a, b)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** .5


# What the reference answers with 500: ours says what is wrong with it.
BAD_INPUT = {
    'unknown task': (422, 'nope'), 'unknown type': (422, 'nope'), 'unknown model': (404, 'no-such-model'),
    'path in model name': (404, 'etc'), 'detection alone': (400, 'minScore'), 'visual with text': (400, 'needs an image'),
    'textual with image': (400, 'needs text'), 'image empty': (400, 'image is empty'), 'image garbage': (415, 'image'),
    'image truncated': (400, 'truncated'), 'image without filename': (400, 'filename'),
    'options unknown key': (422, 'foo'), 'minScore string': (422, 'minScore')}


def differences(case, status, headers, got):
    """What an answer has other than the record; bodies were recorded to their 400th byte."""
    if case['status'] >= 500:
        want, word = BAD_INPUT[case['case']]
        same = status == want and list(json.loads(got)) == ['detail'] and word in json.loads(got)['detail']
        return [] if same else [f'{status} {got[:200]}']
    got = got.decode()
    wrong = [] if status == case['status'] else [f'status {status}, not {case["status"]}: {got[:200]}']
    if headers['content-type'] != case['content_type']:
        wrong.append(headers['content-type'])
    if not wrong and case['body'].startswith('{"clip":"['):
        n = case['body'].rindex(',')
        want = case['body'][len('{"clip":"'):n] + ']'
        have = json.loads(json.loads(got)['clip'])[:len(json.loads(want))]
        return [] if cosine(json.dumps(have), want) > .9999 else ['another vector']
    same = got[:400] == case['body'] or 'depends on output of' in got and got[:60] == case['body'][:60]
    return wrong if same else wrong + [f'body {got[:200]}']


def test_the_recorded_answers(start, shared, build):
    """The reference's record: its status and body where it answers 2xx or 4xx, else a 4xx of ours."""
    if b'__tsan_init' in (build / 'fovea').read_bytes():
        pytest.skip("ONNX Runtime's threads are not built for the thread sanitizer")
    server = start(folder=shared / 'models')
    photo = (shared / 'photos/portrait.jpg').read_bytes()
    wrong = []
    cases = [json.loads(line) for line in (shared / 'golden/errors.jsonl').read_text().splitlines()]
    assert len(cases) >= 36 and {c['case'] for c in cases if c['status'] >= 500} == set(BAD_INPUT)
    for case in cases:
        body = base64.b64decode(case['request_body_base64'])
        body = body.replace(b'@PHOTO', photo).replace(b'@HALFPHOTO', photo[:len(photo) // 2])
        answer = server.ask(case['method'], case['path'], body or None, case['request_content_type'])
        wrong += [f'{case["case"]}: {what}' for what in differences(case, *answer)]
    assert not wrong, '\n'.join(wrong)


def test_ping_asks_whether_a_service_is_up(server, library, tmp_path):
    url = f'http://127.0.0.1:{server.port}'
    up = library('ping', url)
    assert (up.status, up.out) == (0, 'pong\n')
    own = {'IMMICH_HOST': '127.0.0.1', 'IMMICH_PORT': str(server.port)}
    assert library('ping', **own, http_proxy='http://127.0.0.1:1').out == 'pong\n'  # which is for downloads
    down = library('ping', IMMICH_HOST='127.0.0.1', IMMICH_PORT='1')
    assert down.status == 1 and 'http://127.0.0.1:1/ping' in down.err
    assert library('ping', 'not a url').status == 1
    wrong = library('ping', url + '/predict')
    assert wrong.status == 1 and 'status 404' in wrong.err
