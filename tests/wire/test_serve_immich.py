"""Requests byte by byte as known clients write them, on a connection as they keep it.

Immich 3.1's server (server/src/repositories/machine-learning.repository.ts) asks by Node's fetch, that is undici:
recorded from that code under Node 20, but for host, boundary and picture. Its client's writes are kept apart, as
they come apart: the head with the text fields, the head of the picture's part, the picture, a line end, the end.
It takes any 2xx for healthy or answered, and any other status, or a connection that fails, for a reason to ask the
next of its URLs.

Programs in Go that ask the same service (bridges and proxies of it) use mime/multipart, with the body at hand or
through a pipe, which net/http sends chunked."""
import io
import json
import pathlib

import pytest
from PIL import Image

MODELS = pathlib.Path(__file__).resolve().parent.parent / 'models'
BOUNDARY = '----formdata-undici-058017900316'
GO_BOUNDARY = '3f5a9b1c7d2e8f4a6b0c9d3e5f7a1b2c4d6e8f0a1b3c5d7e9f1a2b4c6d8e'


def undici_head(method, path, port, extra=(), length=None):
    lines = [f'{method} {path} HTTP/1.1', f'host: 127.0.0.1:{port}', 'connection: keep-alive', *extra, 'accept: */*',
             'accept-language: *', 'sec-fetch-mode: cors', 'user-agent: node', 'accept-encoding: gzip, deflate']
    lines += [] if length is None else [f'content-length: {length}']
    return ('\r\n'.join(lines) + '\r\n\r\n').encode()


def undici_part(name, more=''):
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()


def undici(port, entries, text=None, picture=None):
    """The writes of one request."""
    entries = json.dumps(entries, separators=(',', ':'))
    body = [undici_part('entries') + entries.encode() + b'\r\n']
    if text is not None:
        body[0] += undici_part('text') + text.encode() + b'\r\n'
    if picture is not None:
        body += [undici_part('image', '; filename="blob"\r\nContent-Type: application/octet-stream'), picture, b'\r\n']
    body.append(f'--{BOUNDARY}--\r\n'.encode())
    head = undici_head('POST', '/predict', port, [f'content-type: multipart/form-data; boundary={BOUNDARY}'],
                       sum(map(len, body)))
    return [head + body[0], *body[1:]]


def encode_image(model):
    return {'clip': {'visual': {'modelName': model}}}


def encode_text(model, **options):
    return {'clip': {'textual': {'modelName': model, 'options': options}}}


def detect_faces(model, score):
    return {'facial-recognition': {'detection': {'modelName': model, 'options': {'minScore': score}},
                                   'recognition': {'modelName': model}}}


def ocr(model):
    return {'ocr': {'detection': {'modelName': model, 'options': {'minScore': .5, 'maxResolution': 736}},
                    'recognition': {'modelName': model, 'options': {'minScore': .5}}}}


@pytest.fixture
def server(start, models, build):
    if b'__tsan_init' in (build / 'fovea').read_bytes():
        pytest.skip("ONNX Runtime's threads are not built for the thread sanitizer")
    for task in ('facial-recognition', 'ocr'):
        (models / task).symlink_to(MODELS / task)
    return start()


@pytest.fixture
def picture():
    """A face and a line of text, to the toy networks; bytes of a boundary within, which end nothing."""
    image = Image.new('RGB', (320, 240))
    image.paste((250, 245, 240), (200, 80, 260, 150))
    image.paste((255, 0, 0), (20, 40, 120, 70))
    out = io.BytesIO()
    image.save(out, 'PNG')
    return out.getvalue() + f'\r\n--{BOUNDARY[:-1]}\r\n\r\n--'.encode()


def answered(connection, *pieces):
    connection.send(*pieces, pause_s=.01)
    status, headers, body = connection.answer()
    assert status == 200 and headers['content-type'] == 'application/json', body
    assert headers.get('connection', '').lower() != 'close'
    return json.loads(body)


def test_what_the_bytes_are(picture):
    """Those recorded, of one request whole."""
    assert b''.join(undici(43104, encode_text('ViT-B-32__openai', language='en'), text='a cat at the sea')) == (
        b'POST /predict HTTP/1.1\r\nhost: 127.0.0.1:43104\r\nconnection: keep-alive\r\n'
        b'content-type: multipart/form-data; boundary=----formdata-undici-058017900316\r\naccept: */*\r\n'
        b'accept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: gzip, deflate\r\n'
        b'content-length: 308\r\n\r\n------formdata-undici-058017900316\r\n'
        b'Content-Disposition: form-data; name="entries"\r\n\r\n'
        b'{"clip":{"textual":{"modelName":"ViT-B-32__openai","options":{"language":"en"}}}}\r\n'
        b'------formdata-undici-058017900316\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
        b'a cat at the sea\r\n------formdata-undici-058017900316--\r\n')
    sizes = [len(p) for p in undici(43104, encode_image('ViT-B-32__openai'), picture=bytes(89134))]
    assert sizes == [419, 141, 89134, 2, 38]


def test_immich_asks(server, picture):
    """Its health check and its four requests on one connection."""
    port = server.port
    with server.raw() as c:
        c.send(undici_head('GET', '/ping', port))
        status, headers, body = c.answer()
        assert (status, body) == (200, b'pong') and headers.get('connection', '').lower() != 'close'
        english = answered(c, *undici(port, encode_text('fake', language='en'), text='red dog'))
        assert set(english) == {'clip'} and len(json.loads(english['clip'])) == 24
        assert answered(c, *undici(port, encode_text('fake'), text='red dog')) == english
        assert answered(c, *undici(port, encode_text('fake'), text='red\r\ndog')) == english  # a line end is made CRLF
        assert answered(c, *undici(port, encode_text('fake'), text='\N{DOG FACE} snow')) != english
        seen = answered(c, *undici(port, encode_image('fake'), picture=picture))
        assert set(seen) == {'clip', 'imageHeight', 'imageWidth'} and isinstance(seen['clip'], str)
        assert (seen['imageHeight'], seen['imageWidth']) == (240, 320)
        found = answered(c, *undici(port, detect_faces('toy', .5), picture=picture))
        assert set(found) == {'facial-recognition', 'imageHeight', 'imageWidth'}
        for face in found['facial-recognition']:
            assert set(face) == {'boundingBox', 'embedding', 'score'} and len(json.loads(face['embedding'])) == 32
            assert set(face['boundingBox']) == {'x1', 'y1', 'x2', 'y2'}
        assert len(found['facial-recognition']) > 0
        read = answered(c, *undici(port, ocr('toy'), picture=picture))
        assert set(read) == {'ocr', 'imageHeight', 'imageWidth'}
        assert set(read['ocr']) == {'text', 'box', 'boxScore', 'textScore'} and 'R' in read['ocr']['text']
        assert len(read['ocr']['box']) == 8 * len(read['ocr']['text'])


def test_immich_is_refused(server, picture):
    """What is answered is no 2xx, and the connection goes on for the next."""
    port = server.port
    with server.raw() as c:
        for status, *request in [(404, encode_text('nope'), 'dog', None), (400, encode_image('fake'), 'dog', None),
                                 (415, encode_image('fake'), None, b'no picture'),
                                 (404, detect_faces('nope', .5), None, picture)]:
            c.send(*undici(port, *request))
            got, _, body = c.answer()
            assert got == status and json.loads(body)['detail']
            c.send(undici_head('GET', '/ping', port))
            assert c.answer()[0] == 200


def go(port, entries, picture, chunked=False):
    """The writes of one request."""
    part = f'--{GO_BOUNDARY}\r\nContent-Disposition: form-data; name='
    body = [f'{part}"entries"\r\n\r\n{json.dumps(entries, separators=(",", ":"))}'.encode(),
            f'\r\n{part}"image"; filename="image.jpg"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode(),
            picture, f'\r\n--{GO_BOUNDARY}--\r\n'.encode()]
    length = sum(map(len, body))
    if chunked:
        body = [b'%x\r\n%b\r\n' % (len(p), p) for p in [*body, b'']]
    size = 'Transfer-Encoding: chunked' if chunked else f'Content-Length: {length}'
    head = (f'POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: Go-http-client/1.1\r\n{size}\r\n'
            f'Content-Type: multipart/form-data; boundary={GO_BOUNDARY}\r\nAccept-Encoding: gzip\r\n\r\n').encode()
    return [head, *body]


@pytest.mark.parametrize('chunked', [False, True])
def test_a_program_in_go_asks(server, picture, chunked):
    with server.raw() as c:
        want = answered(c, *undici(server.port, encode_image('fake'), picture=picture))
        assert answered(c, *go(server.port, encode_image('fake'), picture, chunked)) == want
        faces = answered(c, *go(server.port, detect_faces('toy', .5), picture, chunked))
        assert faces['facial-recognition']
