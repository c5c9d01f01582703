"""Days of a home server in minutes: mixed requests with idle times in between, at a short time to live.

FOVEA_DAYS is how many requests; 20,000 are the whole, the default is a sample. Texts answered are kept, up to a number
(src/predict/memo.h): a sample alone would still be filling that place at its end, so it is filled beforehand."""
import concurrent.futures
import io
import os
import pathlib
import random
import statistics
import time

import pytest
from PIL import Image

MODELS = pathlib.Path(__file__).resolve().parent.parent / 'models'
N_REQUESTS = int(os.environ.get('FOVEA_DAYS', 1500))
N_BURSTS, N_CLIENTS = 10 if N_REQUESTS < 10000 else 20, 4
N_TEXTS_KEPT = 256
FACES = {'facial-recognition': {'detection': {'modelName': 'toy', 'options': {'minScore': .5}},
                                'recognition': {'modelName': 'toy'}}}
OCR = {'ocr': {'detection': {'modelName': 'toy', 'options': {'minScore': .5}},
               'recognition': {'modelName': 'toy', 'options': {'minScore': .5}}}}
SEEN = {'clip': {'visual': {'modelName': 'starter'}}}
SAID = {'clip': {'textual': {'modelName': 'starter'}}}
WORDS = 'beach sunset dog snow old car red house children mountain market boat at in on under'.split()


@pytest.fixture
def all_models(starter_models, tmp_path):
    for source in [starter_models / 'clip/starter', *MODELS.glob('facial-recognition/toy'), *MODELS.glob('ocr/toy')]:
        to = tmp_path / 'models' / source.parent.name / source.name
        to.parent.mkdir(parents=True, exist_ok=True)
        to.symlink_to(source)
    return tmp_path / 'models'


def make_pictures(chance, n=40):
    """Of many sizes, in the formats that are read in process and in the helper."""
    pictures = []
    for i in range(n):
        size = chance.choice([(320, 240), (1440, 1080), (800, 1440), (64, 64), (2000, 300)])
        image = Image.effect_noise(size, 40).convert('RGB')
        for _ in range(3):
            x, y = chance.randrange(size[0]), chance.randrange(size[1])
            image.paste((250, 245, 240), (x, y, x + 60, y + 70))
        out = io.BytesIO()
        image.save(out, ('JPEG', 'JPEG', 'PNG', 'WEBP')[i % 4])
        pictures.append(out.getvalue())
    return pictures


def ask_one(server, seed, burst, pictures):
    """The same of each burst, whose end depends on what it asked; but for texts, whose answers are remembered."""
    chance = random.Random(seed)
    if chance.random() < .4:
        return server.predict(SAID, text=f'{burst} ' + ' '.join(chance.choices(WORDS, k=chance.randrange(1, 9))))[0]
    entries = chance.choice([SEEN, SEEN, FACES, OCR, {**SEEN, **FACES}, {**SEEN, **FACES, **OCR}])
    return server.predict(entries, image=chance.choice(pictures))[0]


def held(pid):
    """(resident KiB, open descriptors)"""
    with open(f'/proc/{pid}/status') as f:
        kib = int(next(line for line in f if line.startswith('VmRSS')).split()[1])
    return kib, len(os.listdir(f'/proc/{pid}/fd'))


def has_stayed(kib):
    """Is the last tenth at most 5 % above the second?"""
    n = len(kib) // 10
    return statistics.mean(kib[9 * n:]) <= statistics.mean(kib[n:2 * n]) * 1.05


def test_memory_and_descriptors_stay(start, all_models, build):
    if build.name != 'build':
        pytest.skip("memory is measured in the plain build, where no sanitizer's shadow is resident too")
    server = start(folder=all_models, MACHINE_LEARNING_MODEL_TTL='1', MACHINE_LEARNING_MODEL_TTL_POLL_S='1')
    pictures = make_pictures(random.Random(5))
    busy, idle = [], []
    n = N_REQUESTS // N_BURSTS
    with concurrent.futures.ThreadPoolExecutor(N_CLIENTS) as clients:
        kept = list(clients.map(lambda i: server.predict(SAID, text=f'number {i}')[0], range(N_TEXTS_KEPT)))
        assert set(kept) == {200}
        for burst in range(N_BURSTS):
            statuses = list(clients.map(lambda i: ask_one(server, i, burst, pictures), range(n)))
            assert set(statuses) == {200}
            busy.append(held(server.process.pid)[0])
            time.sleep(3.5)
            idle.append(held(server.process.pid))
    told = f'after bursts {busy}; idle {idle}'
    print(told)
    assert has_stayed(busy) and has_stayed([kib for kib, _ in idle]), told
    assert idle[-1][1] <= idle[1][1], told
    assert sum('unloading' in line for line in server.log) >= N_BURSTS, 'nothing was idle'
    assert not [line for line in server.log if 'error' in line]
