"""Text over HTTP, read by the toy networks of tests/models: a bright bar is a line, its colours are the letters."""
import io
import pathlib

import pytest
from PIL import Image

MODELS = pathlib.Path(__file__).resolve().parent.parent / 'models'
SIZE = 640, 480
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
NOTHING = {'box': [], 'text': [], 'boxScore': [], 'textScore': []}


@pytest.fixture
def server(start):
    return start(folder=MODELS)


def picture(*bars):
    image = Image.new('RGB', SIZE)
    for colour, place in bars:
        image.paste(colour, place)
    out = io.BytesIO()
    image.save(out, 'JPEG', quality=95, subsampling=0)
    return out.getvalue()


@pytest.fixture
def photo():
    return picture((RED, (50, 40, 150, 80)), (BLUE, (150, 40, 250, 80)), (GREEN, (250, 40, 350, 80)),
                   (GREEN, (100, 200, 300, 260)))


def entries(recognition='toy', detection='toy', least=.5, surely=.5, **options):
    asked = {'detection': {'modelName': detection, 'options': {'minScore': least, **options}},
             'recognition': {'modelName': recognition, 'options': {'minScore': surely}}}
    return {'ocr': {k: v for k, v in asked.items() if v['modelName']}}


def test_lines(server, photo):
    status, answer = server.predict(entries(), image=photo)
    assert status == 200 and (answer['imageWidth'], answer['imageHeight']) == SIZE
    text = answer['ocr']
    assert list(text) == list(NOTHING) and sorted(text['text']) == ['G', 'RBG']
    assert len(text['box']) == 16 and all(0 <= v < 1 for v in text['box'])
    assert len(text['boxScore']) == len(text['textScore']) == 2
    assert all(.5 <= v <= 1 for v in text['boxScore'] + text['textScore'])
    i = text['text'].index('RBG')
    x, y = text['box'][8 * i:8 * i + 8:2], text['box'][8 * i + 1:8 * i + 8:2]
    assert 0 <= min(x) < 50 / 640 < 350 / 640 < max(x) < .7 and 0 <= min(y) < 40 / 480 < 80 / 480 < max(y) < .3


def test_a_language_has_its_own_recogniser(server, photo):
    """And the detector that all share, however it is called."""
    want = server.predict(entries(), image=photo)[1]['ocr']
    for detection in ('toy', 'XX__toy'):
        status, answer = server.predict(entries('XX__toy', detection), image=photo)
        assert status == 200 and answer['ocr'] == {**want, 'text': [t.lower() for t in want['text']]}


def test_what_is_not_said(server, photo):
    short = {'ocr': {'detection': {'modelName': 'toy'}, 'recognition': {'modelName': 'toy'}}}
    whole = entries(maxResolution=736, surely=.9)
    assert server.predict(short, image=photo) == server.predict(whole, image=photo)


def test_no_text(server, photo):
    for image, asked in ((photo, entries(surely=1)), (picture(), entries()), (photo, entries(least=1))):
        status, answer = server.predict(asked, image=image)
        assert status == 200 and answer['ocr'] == NOTHING


def test_odd_options(server, photo):
    """As the reference: any score mode but "fast" takes the mean within the outline, which here is the line's."""
    usual = server.predict(entries(), image=photo)[1]['ocr']
    for same in (entries(scoreMode='fast'), entries(scoreMode=None, maxResolution=1e6), entries(least=None)):
        assert server.predict(same, image=photo) == (200, {'ocr': usual, 'imageWidth': SIZE[0], 'imageHeight': SIZE[1]})
    slow = server.predict(entries(scoreMode='slow'), image=photo)[1]['ocr']
    assert slow['text'] == usual['text'] and slow['box'] == usual['box']
    assert server.predict(entries(least=-1, surely=-1), image=photo)[0] == 200
    assert server.predict(entries(least=2), image=photo)[1]['ocr'] == NOTHING


def test_detection_alone(server, photo):
    """Points in pixels, as the reference answers when nothing follows."""
    whole = server.predict(entries(), image=photo)[1]['ocr']
    status, answer = server.predict(entries(recognition=None), image=photo)
    found = answer['ocr']
    assert status == 200 and list(found) == ['boxes', 'scores'] and found['scores'] == whole['boxScore']
    flat = [v / SIZE[k] for box in found['boxes'] for point in box for k, v in enumerate(point)]
    assert flat == pytest.approx(whole['box'], abs=1e-6)
    assert server.predict(entries(recognition=None), image=picture())[1]['ocr'] == {'boxes': [], 'scores': []}


@pytest.mark.parametrize('asked, words', [
    (entries(detection=None), 'depends on output of'),
    (entries(detection='nope'), 'nope'),
    (entries(recognition='nope'), 'nope'),
    (entries(recognition='NO__toy'), 'NO__toy'),
    (entries(least='x'), 'minScore'),
    (entries(maxResolution=0), 'maxResolution')])
def test_what_cannot_be_carried_out(server, photo, asked, words):
    status, answer = server.predict(asked, image=photo)
    assert 400 <= status < 500 and words in answer['detail']


@pytest.mark.parametrize('size', [(1, 1), (3000, 7), (32, 32), (31, 400), (6000, 40)])
def test_odd_sizes(server, size):
    out = io.BytesIO()
    Image.new('RGB', size, RED).save(out, 'PNG')
    status, answer = server.predict(entries(), image=out.getvalue())
    assert status == 200 and set(answer['ocr']['text']) <= {'R'}
