"""Who may ask and over what: the token, and HTTPS with a certificate that is made here."""
import concurrent.futures
import http.client
import json
import signal
import socket
import ssl
import subprocess
import time

import pytest

TEXT = {'clip': {'textual': {'modelName': 'fake'}}}
IMAGE = {'clip': {'visual': {'modelName': 'fake'}}}
TOKEN = 'b3BlbiBzZXNhbWU.and-more_of~it+/='


def ask(server, path, authorization=None, method='GET', body=None, kind=None):
    c = server.connect()
    headers = {'Authorization': authorization, 'Content-Type': kind}
    c.request(method, path, body, {k: v for k, v in headers.items() if v is not None})
    r = c.getresponse()
    return r.status, r.headers, r.read()


@pytest.fixture(params=['setting', 'file'])
def guarded(start, tmp_path, request):
    if request.param == 'setting':
        return start(FOVEA_TOKEN=TOKEN, IMMICH_LOG_LEVEL='debug')
    (tmp_path / 'token').write_text(TOKEN + '\n')
    return start(FOVEA_TOKEN_FILE=str(tmp_path / 'token'), IMMICH_LOG_LEVEL='debug')


def test_what_needs_the_token_and_what_does_not(guarded):
    body, kind = guarded.form(entries=json.dumps(TEXT), text='dog')
    for path in ('/', '/ping', '/healthz'):
        assert ask(guarded, path)[0] == 200
    assert ask(guarded, '/readyz')[0] in (200, 503)
    for path, method in (('/metrics', 'GET'), ('/predict', 'GET'), ('/nope', 'GET'), ('/metrics', 'POST')):
        status, headers, answer = ask(guarded, path, method=method)
        assert (status, headers['www-authenticate'], answer) == (401, 'Bearer', b'{"detail":"Not authenticated"}')
    assert ask(guarded, '/predict', None, 'POST', body, kind)[0] == 401
    assert ask(guarded, '/predict', 'Bearer ' + TOKEN, 'POST', body, kind)[0] == 200
    assert ask(guarded, '/metrics', 'bearer  ' + TOKEN)[0] == 200  # the scheme in any case (RFC 9110)
    assert ask(guarded, '/nope', 'Bearer ' + TOKEN)[0] == 404


@pytest.mark.parametrize('wrong', ['', 'Bearer', 'Bearer ', 'Bearer x', 'Bearer ' + TOKEN[:-1], 'Bearer ' + TOKEN + 'x',
                                   'Bearer ' + TOKEN.swapcase(), TOKEN, 'Basic ' + TOKEN, 'Bearer\t' + TOKEN,
                                   'Bearer ' + 'x' * 20000, 'Bearer ' + TOKEN + ', Bearer x', 'Bearer "' + TOKEN + '"'])
def test_a_wrong_token(start, wrong):
    server = start(FOVEA_TOKEN=TOKEN)
    assert ask(server, '/metrics', wrong)[0] == 401


def test_a_large_body_without_token_is_not_kept(start):
    server = start(FOVEA_TOKEN=TOKEN, FOVEA_HTTP_MAX_BODIES_MIB='1')
    body, kind = server.form(entries='{}', image=bytes(8 << 20))
    assert ask(server, '/predict', None, 'POST', body, kind)[0] == 401
    assert ask(server, '/predict', 'Bearer ' + TOKEN, 'POST', body, kind)[0] == 503  # more than all may hold


def test_the_token_is_in_no_log(guarded):
    body, kind = guarded.form(entries=json.dumps(TEXT), text='dog')
    for authorization in (None, 'Bearer ' + TOKEN, 'Bearer sesame' + TOKEN, 'Basic sesame'):
        ask(guarded, '/predict', authorization, 'POST', body, kind)
        ask(guarded, '/metrics', authorization)
    assert guarded.stop()[0] == 0
    log = '\n'.join(guarded.log)
    assert 'sesame' not in log and TOKEN not in log and log.count('status=401') == 3


@pytest.mark.parametrize('token', [b'', b'\n', b'two words', b'a\tb', b'caf\xc3\xa9', b'a\0b', b'x' * 1025, b'a\nb\n'])
def test_a_token_that_is_none_stops_the_start(fovea, tmp_path, token):
    (tmp_path / 'token').write_bytes(token)
    result = fovea('serve', '--port', '0', FOVEA_TOKEN_FILE=str(tmp_path / 'token'))
    assert result.status == 1 and str(tmp_path / 'token') in result.err
    assert not token.strip() or token.decode('latin1') not in result.err


def test_two_tokens_and_one_that_is_absent(fovea, tmp_path):
    result = fovea('serve', FOVEA_TOKEN=TOKEN, FOVEA_TOKEN_FILE=str(tmp_path / 'token'))
    assert result.status == 1 and 'both' in result.err and TOKEN not in result.err
    result = fovea('serve', FOVEA_TOKEN_FILE=str(tmp_path / 'absent'))
    assert result.status == 1 and 'absent' in result.err
    assert TOKEN not in fovea('--help', FOVEA_TOKEN=TOKEN).out


def make_certificate(folder, name, key='ec'):
    """(certificate, key), for 127.0.0.1, signed by itself."""
    cert, private = folder / f'{name}.pem', folder / f'{name}.key'
    how = ['rsa:2048'] if key == 'rsa' else ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
    subprocess.run(['openssl', 'req', '-x509', '-newkey', *how, '-nodes', '-keyout', private, '-out', cert, '-days', '2',
                    '-subj', f'/CN={name}', '-addext', 'subjectAltName=IP:127.0.0.1'], check=True, capture_output=True)
    return cert, private


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'tls'
    folder.mkdir()
    return folder


def start_tls(start, cert, key, trusted=None, **settings):
    server = start(FOVEA_TLS_CERT=str(cert), FOVEA_TLS_KEY=str(key), **settings)
    context = ssl.create_default_context(cafile=trusted or cert)
    server.connect = lambda: http.client.HTTPSConnection('127.0.0.1', server.port, timeout=60, context=context)
    return server


@pytest.mark.parametrize('kind', ['rsa', 'ec'])
def test_https(start, folder, photo, kind):
    server = start_tls(start, *make_certificate(folder, 'a', kind))
    assert server.ask('GET', '/ping')[::2] == (200, b'pong')
    c = server.connect()
    for _ in range(3):  # waits for work, over one connection
        assert server.predict(IMAGE, image=photo, connection=c)[0] == 200
    assert server.predict(IMAGE, image=bytes(5 << 20), connection=c)[0] == 415
    assert len(server.ask('GET', '/metrics', connection=c)[2]) > 20000
    assert c.sock.version() == 'TLSv1.3'


@pytest.mark.filterwarnings('ignore:ssl.TLSVersion')
def test_only_versions_that_are_sound(start, folder):
    server = start_tls(start, *make_certificate(folder, 'a'))
    for version, works in (('TLSv1_1', False), ('TLSv1_2', True), ('TLSv1_3', True)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers('ALL:@SECLEVEL=0')
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        with socket.create_connection(('127.0.0.1', server.port), timeout=10) as s:
            if works:
                context.wrap_socket(s).close()
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    context.wrap_socket(s)


def test_many_clients_and_such_as_are_none(start, folder, fake_model, photo):
    """Silent ones, plain HTTP, noise and cut handshakes beside forty that are served, work and hang-ups among them."""
    fake_model('slow', delay_ms=100)
    server = start_tls(start, *make_certificate(folder, 'a'), FOVEA_HTTP_QUEUE='1000')
    idle = [socket.create_connection(('127.0.0.1', server.port)) for _ in range(20)]
    hello = b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'
    for s, noise in zip(idle, [b'GET /ping HTTP/1.1\r\nHost: a\r\n\r\n', b'\x80' * 300, hello, b'\0'] * 3):
        s.sendall(noise)
    body, kind = server.form(entries=json.dumps({'clip': {'visual': {'modelName': 'slow'}}}), image=photo)

    def client(i):
        c = server.connect()
        c.request('POST', '/predict', body, {'Content-Type': kind})
        if i % 4:
            return c.getresponse().status
        c.close()
        return 0
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(client, range(40)))
    assert answers == [200 if i % 4 else 0 for i in range(40)]
    for s in idle:
        s.close()
    assert server.ask('GET', '/ping')[0] == 200


def certificate_name(server, folder, *names):
    """Which of the certificates a new connection is shown."""
    shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(('127.0.0.1', server.port)))
    return [n for n in names if ssl.PEM_cert_to_DER_cert((folder / f'{n}.pem').read_text()) == shown]


def hang_up(server, word, n=1):
    """SIGHUP; word is in n lines of the log after it."""
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while sum(word in line for line in server.log) < n and time.monotonic() < deadline:
        time.sleep(.02)
    assert sum(word in line for line in server.log) == n, server.log


def test_a_renewed_certificate_is_shown_after_sighup(start, folder):
    old, new = make_certificate(folder, 'old'), make_certificate(folder, 'new', 'rsa')
    cert, key = folder / 'cert', folder / 'key'
    cert.write_bytes(old[0].read_bytes())
    key.write_bytes(old[1].read_bytes())
    server = start_tls(start, cert, key, old[0])
    kept = server.connect()
    assert server.ask('GET', '/ping', connection=kept)[0] == 200
    cert.write_bytes(new[0].read_bytes())  # the key not yet
    hang_up(server, 'the old one stays')
    assert certificate_name(server, folder, 'old', 'new') == ['old']
    key.write_bytes(new[1].read_bytes())
    for n in (1, 2):
        hang_up(server, 'the certificate was read again', n)
    assert certificate_name(server, folder, 'old', 'new') == ['new']
    assert server.ask('GET', '/ping', connection=kept)[0] == 200


def test_sighup_without_a_certificate(server):
    hang_up(server, 'nothing to read again')
    assert server.ask('GET', '/ping')[0] == 200


def test_ping_over_https(start, folder, library):
    """Its own service by the settings alone, whatever names the certificate has; another's only by a name that fits."""
    cert, key = make_certificate(folder, 'a')
    server = start_tls(start, cert, key)
    own = library('ping', IMMICH_HOST='localhost', IMMICH_PORT=str(server.port), FOVEA_TLS_CERT=str(cert))
    assert (own.status, own.out) == (0, 'pong\n'), own.err
    other = library('ping', f'https://127.0.0.1:{server.port}')
    assert other.status == 1 and 'certificate' in other.err


def test_what_runs_is_finished_over_https_too(start, folder, fake_model, photo):
    fake_model('slow', delay_ms=1000)
    server = start_tls(start, *make_certificate(folder, 'a'))
    body, kind = server.form(entries=json.dumps({'clip': {'visual': {'modelName': 'slow'}}}), image=photo)
    c = server.connect()
    c.request('POST', '/predict', body, {'Content-Type': kind})
    time.sleep(.4)
    server.process.send_signal(signal.SIGTERM)
    assert c.getresponse().status == 200 and server.process.wait(10) == 0


def test_a_certificate_that_is_none_stops_the_start(fovea, folder):
    (cert, key), (_, other) = make_certificate(folder, 'a'), make_certificate(folder, 'b')
    (folder / 'noise').write_bytes(b'-----BEGIN CERTIFICATE-----\nnoise\n')
    for settings, words in ((dict(FOVEA_TLS_CERT=cert), 'need each other'), (dict(FOVEA_TLS_KEY=key), 'need each other'),
                            (dict(FOVEA_TLS_CERT=cert, FOVEA_TLS_KEY=other), 'b.key'),
                            (dict(FOVEA_TLS_CERT=folder / 'noise', FOVEA_TLS_KEY=key), 'noise'),
                            (dict(FOVEA_TLS_CERT=cert, FOVEA_TLS_KEY=folder / 'absent'), 'absent'),
                            (dict(FOVEA_TLS_CERT=folder, FOVEA_TLS_KEY=key), str(folder))):
        result = fovea('serve', '--port', '0', **{k: str(v) for k, v in settings.items()})
        assert result.status == 1 and words in result.err, result
