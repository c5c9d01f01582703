"""Faces over HTTP, found by the toy networks of tests/models: they take bright places for faces."""
import io
import json
import pathlib

import pytest
from PIL import Image

MODELS = pathlib.Path(__file__).resolve().parent.parent / 'models'
SIZE = 320, 240


@pytest.fixture
def server(start):
    return start(folder=MODELS)


@pytest.fixture
def photo():
    """A dark picture with one bright place of 60 x 70 pixels."""
    image = Image.new('RGB', SIZE, (10, 10, 10))
    image.paste((250, 245, 240), (100, 80, 160, 150))
    out = io.BytesIO()
    image.save(out, 'JPEG', quality=95)
    return out.getvalue()


def entries(detection='toy', recognition='toy', **options):
    asked = {'detection': {'modelName': detection, 'options': options}, 'recognition': {'modelName': recognition}}
    return {'facial-recognition': {k: v for k, v in asked.items() if v['modelName']}}


@pytest.mark.parametrize('name, dim', [('toy', 32), ('toy_yunet_sface', 128)])
def test_faces(server, photo, name, dim):
    status, answer = server.predict(entries(name, name, minScore=.5), image=photo)
    assert status == 200 and (answer['imageWidth'], answer['imageHeight']) == SIZE
    faces = answer['facial-recognition']
    assert faces
    for face in faces:
        box = face['boundingBox']
        assert set(face) == {'boundingBox', 'embedding', 'score'} and .5 <= face['score'] <= 1
        assert 60 < box['x1'] < box['x2'] < 200 and 40 < box['y1'] < box['y2'] < 190
        assert all(v == int(v) for v in box.values())
        assert isinstance(face['embedding'], str) and len(json.loads(face['embedding'])) == dim
    assert [f['score'] for f in faces] == sorted((f['score'] for f in faces), reverse=True)


def test_no_face(server, photo):
    status, answer = server.predict(entries(minScore=.9999), image=photo)
    assert status == 200 and answer == {'facial-recognition': [], 'imageWidth': SIZE[0], 'imageHeight': SIZE[1]}


def test_detection_alone(server, photo):
    """Arrays instead of faces, as the reference answers when nothing follows."""
    _, whole = server.predict(entries(minScore=.5), image=photo)
    status, answer = server.predict(entries(recognition=None, minScore=.5), image=photo)
    found, faces = answer['facial-recognition'], whole['facial-recognition']
    assert status == 200 and set(found) == {'boxes', 'scores', 'landmarks'}
    assert found['boxes'] == [list(f['boundingBox'].values()) for f in faces]
    assert found['scores'] == [f['score'] for f in faces]
    assert all(len(points) == 5 and all(len(p) == 2 for p in points) for points in found['landmarks'])


@pytest.mark.parametrize('asked, words', [
    (entries(), 'minScore'),
    (entries(minScore='x'), 'minScore'),
    (entries(minScore=.5, other=1), 'other'),
    (entries(detection=None), 'depends on output of'),
    (entries(detection='nope', minScore=.5), 'nope'),
    (entries(recognition='nope', minScore=.5), 'nope')])
def test_what_cannot_be_done(server, photo, asked, words):
    status, answer = server.predict(asked, image=photo)
    assert 400 <= status < 500 and words in answer['detail']


def test_networks_of_the_other_family(start, photo, tmp_path):
    """The name says which family a model is of; a network of the other is refused in words."""
    folder = tmp_path / 'facial-recognition'
    folder.mkdir()
    (folder / 'yunet').symlink_to(MODELS / 'facial-recognition/toy')
    (folder / 'plain').symlink_to(MODELS / 'facial-recognition/toy_yunet_sface')
    server = start(folder=tmp_path)
    for name, expected in [('yunet', 'YuNet'), ('plain', 'SCRFD')]:
        status, answer = server.predict(entries(name, name, minScore=.5), image=photo)
        assert status >= 400 and expected in answer['detail'] and '640, 640' in answer['detail'], answer
