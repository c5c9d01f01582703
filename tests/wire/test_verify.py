"""`fovea verify`: what it says of two services with the same models, with others, and of what is no service."""
import http.server
import json
import pathlib
import re
import shlex
import shutil
import threading

import pytest
from PIL import Image

TOYS = pathlib.Path(__file__).resolve().parent.parent / 'models'


@pytest.fixture
def models(models):
    """The toy models of all tasks."""
    for task in ('facial-recognition', 'ocr'):
        shutil.copytree(TOYS / task / 'toy', models / task / 'toy')
    return models


@pytest.fixture
def verify(fovea, models, pictures):
    """verify(URL, ...) compares what is said of a few pictures, one of them with a face and a line of text."""
    image = Image.new('RGB', (320, 240))
    image.paste((250, 245, 240), (200, 80, 260, 150))
    image.paste((255, 0, 0), (20, 40, 120, 70))
    image.save(pictures.folder / 'face.png')
    pictures('below/a.jpg', 1)
    (pictures.folder / 'notes.txt').write_text('no photo')

    def run(url, *args, photos=pictures.folder):
        return fovea('verify', '--against', url, '--clip', 'fake', '--faces', 'toy', '--ocr', 'toy', *args, photos,
                     MACHINE_LEARNING_CACHE_FOLDER=str(models))
    return run


def url_of(server):
    return f'http://127.0.0.1:{server.port}'


def test_the_same_models(verify, start):
    url = url_of(start())
    told = verify(url)
    assert told.status == 0 and told.err == '' and told.out.count('\nok ') == 4 and 'SHORT' not in told.out, told
    assert url in told.out and '2 pictures' in told.out and 'are the same' in told.out
    told = verify(url, '--json')
    result = json.loads(told.out)
    assert told.status == 0 and result['passed'] and result['notes'] == [] and result['url'] == url
    assert [(c['task'], c.get('type')) for c in result['checks']] == [
        ('clip', 'visual'), ('clip', 'textual'), ('facial-recognition', None), ('ocr', None)]
    told = verify(url.replace('://', '://me:secret@'), '--json')
    assert told.status == 0 and json.loads(told.out)['url'] == url and 'secret' not in told.out + told.err
    visual, textual, faces, ocr = result['checks']
    assert visual['asked'] == visual['compared'] == visual['alike'] == visual['vectors'] == 2
    assert textual['compared'] == textual['alike'] == 12
    assert faces['alike'] == faces['faces'] > 0 and ocr['alike'] == ocr['lines'] > 0
    for check in (visual, textual, faces):
        assert .9999999 < check['cosine_min'] <= check['cosine_mean'] <= 1.0000001
    assert visual['norm_off_max'] < 1e-6
    assert all(c['here_ms'] > 0 and c['there_ms'] > 0 for c in result['checks'])


def test_a_token(verify, start, tmp_path):
    """Is sent where it is asked for, is not shown, and is nothing that a setting sends by itself."""
    url = url_of(start(FOVEA_TOKEN='se-cret'))
    (tmp_path / 'token').write_text('se-cret\n')
    few = '--faces=none', '--ocr=none'
    told = verify(url, *few, '--token-file', tmp_path / 'token')
    assert told.status == 0 and told.err == '' and 'se-cret' not in told.out, told
    told = verify(url, *few)
    assert told.status == 1 and 'status 401' in told.err
    (tmp_path / 'token').write_text('an other')
    for bad in ('token', 'absent'):
        told = verify(url, *few, '--token-file', tmp_path / bad)
        assert told.status == 1 and bad in told.err and 'an other' not in told.err and told.err.count('\n') == 1


def test_the_setting_s_token_stays_here(fovea, models, stand_in, pictures):
    asked = []
    told = fovea('verify', '--against', stand_in(lambda body: (401, b'{}'), asked=asked), '--clip', 'fake',
                 '--faces=none', '--ocr=none', pictures('a.jpg', 1),
                 MACHINE_LEARNING_CACHE_FOLDER=str(models), FOVEA_TOKEN='secret')
    assert told.status == 1 and asked and not any('authorization' in headers for headers in asked)


def test_a_token_in_the_clear(fovea, models, pictures, tmp_path):
    (tmp_path / 'token').write_text('secret')
    told = fovea('verify', '--against', 'http://fovea.invalid:1', '--token-file', tmp_path / 'token', pictures('a.jpg', 1),
                 MACHINE_LEARNING_CACHE_FOLDER=str(models))
    assert told.status == 1 and 'unencrypted' in told.err and 'secret' not in told.err


def flip_weights(network):
    """The signs of the first 64 weights of tests/networks/make_faces.py's last layer, other bytes as they were."""
    head = b'B\x01wJ\x80\x30'
    at = network.index(head) + len(head)
    bytes_ = bytearray(network)
    for i in range(at + 3, at + 4 * 64, 4):
        bytes_[i] ^= 0x80
    return bytes(bytes_)


ALTERED = {
    'clip/fake/visual/model.onnx': lambda b: b.replace(b'seed 7', b'seed 9'),
    'clip/fake/textual/model.onnx': lambda b: b.replace(b'seed 8', b'seed 9'),
    'clip/fake/visual/preprocess_cfg.json': lambda b: b.replace(b'"mean": [0.5', b'"mean": [0.4'),
    'facial-recognition/toy/recognition/model.onnx': flip_weights,
    'ocr/toy/recognition/model.onnx': lambda _: (TOYS / 'ocr/XX__toy/recognition/model.onnx').read_bytes(),
}


@pytest.fixture
def altered(models, tmp_path):
    """altered(FILE) is a copy of the models folder in which that file is another."""
    def make(file):
        other = tmp_path / 'other'
        shutil.copytree(models, other)
        before = (other / file).read_bytes()
        (other / file).write_bytes(ALTERED[file](before))
        assert (other / file).read_bytes() != before
        return other
    return make


@pytest.mark.parametrize('file', ALTERED)
def test_one_file_is_another(verify, start, altered, file):
    told = verify(url_of(start(folder=altered(file))))
    assert told.status == 1 and told.err == '' and told.out.count('\nok ') == 3 and told.out.count('\nSHORT ') == 1
    assert 'NOT the same' in told.out and ('cosine' if 'clip' in file else 'alike') in told.out.split('\n\n')[2]
    assert ('face.png' in told.out) == ('textual' not in file)


def test_a_lower_bar(verify, start, altered):
    url = url_of(start(folder=altered('clip/fake/visual/preprocess_cfg.json')))
    few = url, '--faces=none', '--ocr=none'
    visual = json.loads(verify(*few, '--json').out)['checks'][0]
    assert .5 < visual['cosine_min'] < .9999 and not visual['passed']
    bar = f'{visual["cosine_min"] - .001:.4f}'
    lower = json.loads(verify(*few, '--json', '--min-cosine', bar).out)['checks'][0]
    assert lower['alike'] == (2 if visual['norm_off_max'] <= 1e-4 else 0)


def test_what_is_not_there(verify, start, models):
    told = verify('http://127.0.0.1:1')
    assert told.status == 1 and told.out == '' and told.err.startswith('fovea: http://127.0.0.1:1/ping: ')
    told = verify(url_of(start()), '--ocr', 'absent')
    assert told.status == 1 and told.out == '' and 'absent' in told.err and told.err.count('\n') == 1
    told = verify(url_of(start()), '--ocr', 'none', '--faces=none')
    assert told.status == 0 and told.out.count('\nok ') == 2
    for nothing in (models, models / 'none'):
        told = verify(url_of(start()), photos=nothing)
        assert told.status == 1 and told.out == '' and told.err.count('\n') == 1


@pytest.mark.parametrize('args', [(), ('x.jpg',), ('--against', 'http://127.0.0.1:1'),
                                  ('--against', 'http://127.0.0.1:1', '--min-cosine', '2', 'x.jpg'),
                                  ('--against', 'gpu:3003', 'x.jpg')])
def test_usage(fovea, args):
    told = fovea('verify', *args)
    assert told.status == 2 and told.out == '' and '--help' in told.err


def test_a_model_that_only_one_side_has(verify, start, models, tmp_path):
    other = tmp_path / 'other'
    shutil.copytree(models / 'clip', other / 'clip')
    told = verify(url_of(start(folder=other)), '--ocr', 'none')
    assert told.status == 1 and 'no answer there: status 404' in told.out


@pytest.fixture
def stand_in():
    """stand_in(answer) is a service's URL: answer(body) gives (status, body) of what is asked of /predict, or None
    to hang up; asked, a list, gets the headers."""
    running = []

    def make(answer, ping=b'pong', asked=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                self.reply(200, ping)

            def do_POST(self):
                if asked is not None:
                    asked.append(self.headers)
                said = answer(self.rfile.read(int(self.headers['content-length'])))
                if said:
                    self.reply(*said)
                self.close_connection = not said

            def reply(self, status, body):
                self.send_response(status)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        running.append((server, thread))
        return f'http://127.0.0.1:{server.server_address[1]}/'
    yield make
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


VECTOR = json.dumps([1.0] * 24)
SIZES = ',"imageHeight":32,"imageWidth":48}'


@pytest.mark.parametrize('answer, words', [
    (None, 'Empty reply'), ((200, b''), 'not JSON'), ((200, b'<html>'), 'not JSON'), ((200, b'[' * 100000), 'not JSON'),
    ((200, b'[]'), 'size of the picture'), ((200, ('{"clip":null' + SIZES).encode()), 'no vector'),
    ((200, ('{"clip":"[]"' + SIZES).encode()), 'no vector'), ((200, ('{"clip":"[1e999]"' + SIZES).encode()), 'no vector'),
    ((200, ('{"clip":"[1,\\"x\\"]"' + SIZES).encode()), 'vector of numbers'), ((503, b'busy\n\x1b[2J'), '503: busy??[2J'),
    ((302, b''), 'status 302'), ((200, b' ' * (17 << 20)), '16777216')])
def test_no_answers(verify, stand_in, answer, words):
    told = verify(stand_in(lambda body: answer), '--faces=none', '--ocr=none')
    assert told.status == 1 and 'are the same' not in told.out
    assert words in told.err + told.out, told


@pytest.mark.parametrize('option, answer', [
    ('--faces', '{"facial-recognition":[{"boundingBox":{"x1":0,"y1":0,"x2":1},"score":1,"embedding":"[1]"}]' + SIZES),
    ('--faces', '{"facial-recognition":{}' + SIZES),
    ('--faces', '{"facial-recognition":[' + ','.join(['{}'] * 5000) + ']' + SIZES),
    ('--ocr', '{"ocr":{"text":["a"],"box":[0,0,1,0,1,1,0]}' + SIZES),
    ('--ocr', '{"ocr":{"text":[1],"box":[0,0,1,0,1,1,0,1]}' + SIZES),
    ('--ocr', '{"ocr":[]' + SIZES)])
def test_no_answers_of_faces_and_text(verify, stand_in, option, answer):
    models = {'--clip': 'none', '--faces': 'none', '--ocr': 'none', option: 'toy'}
    told = verify(stand_in(lambda body: (200, answer.encode())), *(f'{k}={v}' for k, v in models.items()))
    assert told.status == 1 and 'SHORT' in told.out and 'no answer there: ' in told.out
    assert 'nothing could be compared' in told.out


def test_a_ping_of_something_else(verify, stand_in):
    told = verify(stand_in(lambda body: None, ping=b'<html>'))
    assert told.status == 1 and told.out == '' and 'not the answer of such a service' in told.err


def test_what_one_side_refuses(verify, start, stand_in, pictures):
    """Refused there alone is listed, refused here alone a failure, refused by both is counted."""
    (pictures.folder / 'broken.jpg').write_bytes(b'\xff\xd8\xff broken')
    server = start()
    lenient = {'clip': VECTOR, 'imageHeight': 1, 'imageWidth': 1}

    def forward(body, refused, broken):
        if refused in body:
            return 500, b'Internal Server Error'
        if b'broken' in body:
            return broken
        boundary = body[2:body.index(b'\r\n')].decode()
        status, _, answer = server.ask('POST', '/predict', body, f'multipart/form-data; boundary={boundary}')
        return status, answer

    only = ('--faces=none', '--ocr=none', '--json')
    told = verify(stand_in(lambda body: forward(body, b'\x89PNG', (500, b'no'))), *only)
    visual = json.loads(told.out)['checks'][0]
    assert told.status == 0 and (visual['compared'], visual['only_here'], visual['neither']) == (1, 1, 1)
    assert [(n['event'], pathlib.Path(n['input']).name) for n in json.loads(told.out)['notes']] == [
        ('only-here', 'face.png')]
    told = verify(stand_in(lambda body: forward(body, b'never', (200, json.dumps(lenient).encode()))), *only)
    visual = json.loads(told.out)['checks'][0]
    assert told.status == 1 and visual['only_there'] == 1 and not visual['passed'] and visual['alike'] == 2
    assert [n['event'] for n in json.loads(told.out)['notes']] == ['only-there']


def commands():
    text = (TOYS.parent.parent / 'docs/verify.md').read_text()
    return [line.split('#')[0].split('>')[0].strip() for block in re.findall(r'```sh\n(.*?)```', text, re.S)
            for line in block.splitlines()]


@pytest.mark.parametrize('command', commands())
def test_what_the_page_says(fovea, verify, start, models, pictures, command):
    """With models of the default names, which are toys here."""
    for name in ('clip/ViT-B-32__openai', 'facial-recognition/buffalo_l', 'ocr/PP-OCRv5_mobile'):
        task = name.split('/')[0]
        shutil.copytree(models / task / ('fake' if task == 'clip' else 'toy'), models / name)
    words = {'http://immich-ml:3003': url_of(start()), '~/Pictures': pictures.folder,
             'photo.jpg': pictures.folder / 'below/a.jpg'}
    args = [words.get(word, word) for word in shlex.split(command)]
    told = fovea(*args[1:], MACHINE_LEARNING_CACHE_FOLDER=str(models))
    assert args[0] == 'fovea' and told.status == 0, told
