"""A library from outside: indexing, what it reports, searching, and the ways a folder can change."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest


def counts(result):
    """{'added': 3, 'unchanged': 0, ...} from the summary line of an index run."""
    line = next(l for l in result.out.splitlines() if ' added' in l)
    line = line.split(': ')[-1].split(' in ')[0]
    pairs = (part.split(' ', 1) for part in line.split(', ') if part[0].isdigit())
    return {what: int(n) for n, what in pairs}


def found(result):
    assert result.status == 0, result.err
    return [os.path.basename(r['path']) for r in json.loads(result.out)['results']]


def status(library):
    return json.loads(library('status', '--json').out)


def test_index_search_similar_status(library, pictures):
    for i in range(5):
        pictures(f'{i}.jpg', i)
    result = library('index', pictures.folder)
    assert result.status == 0 and counts(result) == {'added': 5, 'unchanged': 0}
    names = found(library('search', '--json', '-n', '3', 'red dog'))
    assert len(names) == 3 and len(set(names)) == 3
    assert '0.jpg' not in found(library('similar', '--json', pictures.folder / '0.jpg'))
    shutil.copy(pictures.folder / '2.jpg', pictures.folder.parent / 'elsewhere.jpg')
    assert found(library('similar', '--json', '-n1', pictures.folder.parent / 'elsewhere.jpg')) == ['2.jpg']
    s = status(library)
    assert s['photos'] == 5 and s['files'] == 5 and s['failed'] == 0
    assert len(s['spaces'][0].pop('hash')) == 64
    assert s['spaces'] == [{'model': 'fake', 'dim': 24, 'vectors': 5, 'in_sidecar': 5}]
    assert library('doctor').out.count('library') >= 1


def test_scores_are_cosines_best_first(library, pictures):
    for i in range(4):
        pictures(f'{i}.jpg', i)
    library('index', pictures.folder)
    answer = json.loads(library('search', '--json', f'image:{pictures.folder}/1.jpg').out)
    scores = [r['score'] for r in answer['results']]
    assert scores == sorted(scores, reverse=True) and abs(scores[0] - 1) < 2e-3 and min(scores) >= -1.001
    assert os.path.basename(answer['results'][0]['path']) == '1.jpg'
    turned = json.loads(library('search', '--json', '--', f'-image:{pictures.folder}/1.jpg').out)
    assert [r['id'] for r in turned['results']] == [r['id'] for r in answer['results']][::-1]


def test_only_what_changed_is_read_again(library, pictures):
    for i in range(4):
        pictures(f'a/{i}.jpg', i)
    library('index', pictures.folder)
    assert counts(library('index', pictures.folder)) == {'added': 0, 'unchanged': 4}
    assert counts(library('index')) == {'added': 0, 'unchanged': 4}  # no folder named: all there are
    pictures('a/0.jpg', 9)                                           # other content
    os.remove(pictures.folder / 'a/1.jpg')
    os.rename(pictures.folder / 'a/2.jpg', pictures.folder / 'moved.jpg')
    pictures('new.jpg', 12)
    assert counts(library('index')) == {'added': 1, 'copied or moved': 1, 'changed': 1, 'unchanged': 1,
                                        'removed': 2}
    names = set(found(library('search', '--json', 'red')))
    assert names == {'0.jpg', 'moved.jpg', '3.jpg', 'new.jpg'}
    assert status(library)['gone'] == 2
    pictures('a/1.jpg', 1)  # and it comes back without being embedded again
    library('index')
    assert '1.jpg' in found(library('search', '--json', 'red')) and status(library)['gone'] == 1


def test_copies_are_one_photo(library, pictures):
    pictures('a.jpg', 1)
    shutil.copy(pictures.folder / 'a.jpg', pictures.folder / 'b.jpg')
    os.link(pictures.folder / 'a.jpg', pictures.folder / 'c.jpg')
    library('index', pictures.folder)
    s = status(library)
    assert s['files'] == 3 and s['photos'] == 1
    assert len(found(library('search', '--json', 'red'))) == 1


def test_a_folder_inside_a_known_one_is_a_part_of_it(library, pictures):
    pictures('x/1.jpg', 1)
    pictures('y/2.jpg', 2)
    library('index', pictures.folder)
    os.remove(pictures.folder / 'x/1.jpg')
    os.remove(pictures.folder / 'y/2.jpg')
    assert counts(library('index', pictures.folder / 'x'))['removed'] == 1
    assert len(status(library)['roots']) == 1
    assert found(library('search', '--json', 'red')) == ['2.jpg']


def test_loops_links_hidden_and_special_files(library, pictures):
    pictures('d/1.jpg', 1)
    pictures('.hidden/2.jpg', 2)
    pictures('@eaDir/3.jpg', 3)
    os.symlink(pictures.folder, pictures.folder / 'd/loop')
    os.symlink('nowhere', pictures.folder / 'd/broken.jpg')
    os.mkfifo(pictures.folder / 'd/pipe.jpg')
    os.symlink('/dev/zero', pictures.folder / 'd/zero.jpg')
    (pictures.folder / 'd/folder.jpg').mkdir()
    (pictures.folder / 'notes.txt').write_text('not a photo')
    result = library('index', pictures.folder)
    assert result.status == 0 and counts(result)['added'] == 1, result


def test_names_of_any_bytes(library, pictures):
    odd = pictures(b'new\nline \xff\xfe.jpg', 1)
    result = library('index', pictures.folder)
    assert result.status == 0 and counts(result)['added'] == 1
    plain = library('search', 'red')
    assert plain.out.count('\n') == 1 and r'new\nline \xff\xfe.jpg' in plain.out
    assert '\ufffd' in json.loads(library('search', '--json', 'red').out)['results'][0]['path']
    assert os.path.exists(odd)


BAD = {
    'empty.jpg': (lambda p: p.write_bytes(b''), 'empty'),
    'text.jpg': (lambda p: p.write_text('this is no photo, whatever it is called'), ''),
    'cut.jpg': (lambda p: p.write_bytes(p.with_name('good.jpg').read_bytes()[:400]), 'truncated'),
    'garbage.png': (lambda p: p.write_bytes(b'\x89PNG\r\n\x1a\n' + b'x' * 500), ''),
}


def test_poison_never_stops_the_run(library, pictures):
    good = pictures('good.jpg', 1)
    for name, (make, _) in BAD.items():
        make(pictures.folder / name)
    before = {p.name: p.read_bytes() for p in pictures.folder.iterdir()}
    result = library('index', pictures.folder)
    assert result.status == 1 and counts(result) == {'added': 1, 'unchanged': 0, 'failed': len(BAD)}
    for name, (_, word) in BAD.items():
        lines = [l for l in result.out.splitlines() if name in l]
        assert len(lines) == 1 and word in lines[0], (name, result.out)
    assert found(library('search', '--json', 'red')) == ['good.jpg']
    listed = library('status', '--failed').out
    assert all(name in listed for name in BAD)
    shutil.copy(good, pictures.folder / 'cut.jpg')  # mended: read again, since it changed
    result = library('index')
    assert result.status == 0 and counts(result)['failed before and unchanged'] == len(BAD) - 1
    assert 'cut.jpg' not in result.out
    for name, content in before.items():
        if name != 'cut.jpg':
            assert (pictures.folder / name).read_bytes() == content


def test_a_poison_file_is_not_tried_again(library, pictures):
    (pictures.folder / 'bad.jpg').write_text('no photo')
    library('index', pictures.folder)
    with sqlite3.connect(library.folder / 'library.db') as db:
        db.execute("UPDATE file SET error = 'what the first run said'")
    assert 'what the first run said' in library('index').out


def png_of(width, height):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = zlib.compress(b'\0' * 4096)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
            + chunk(b'IDAT', rows) + chunk(b'IEND', b''))


def test_a_bomb_is_refused_before_memory_is_taken(library, pictures):
    (pictures.folder / 'bomb.png').write_bytes(png_of(65000, 65000))
    start = time.monotonic()
    result = library('index', '--timing', pictures.folder)
    assert 'bomb.png' in result.out and '65000' in result.out and '400' in result.out, result.out
    assert time.monotonic() - start < 30
    peaks = [l for l in result.out.splitlines() if l.startswith('peak memory')][0].split()
    assert float(peaks[2]) < 500 and float(peaks[8]) < 500


def test_a_missing_or_empty_folder_is_offline(library, pictures):
    pictures('1.jpg', 1)
    pictures('2.jpg', 2)
    library('index', pictures.folder)
    away = pictures.folder.with_name('away')
    os.rename(pictures.folder, away)
    result = library('index')
    assert result.status == 1 and counts(result)['folder offline'] == 1 and 'removed' not in counts(result)
    assert len(found(library('search', '--json', 'red'))) == 2
    pictures.folder.mkdir()
    result = library('index', pictures.folder)
    assert counts(result)['folder offline'] == 1 and status(library)['roots'][0]['offline']
    pictures.folder.rmdir()
    os.rename(away, pictures.folder)
    assert counts(library('index')) == {'added': 0, 'unchanged': 2}
    assert not status(library)['roots'][0]['offline']


def test_a_part_of_a_missing_folder_is_offline_too(library, pictures):
    pictures('part/1.jpg', 1)
    library('index', pictures.folder)
    os.rename(pictures.folder, pictures.folder.with_name('away'))
    library('index')
    before = library('status').out
    result = library('index', pictures.folder / 'part')
    assert result.status == 1 and counts(result)['folder offline'] == 1 and 'removed' not in counts(result)
    assert result.out.count(str(pictures.folder / 'part')) == 1
    assert 'offline' in before and library('status').out == before


def test_a_folder_that_never_was_is_an_error(library, tmp_path):
    for path, word in ((tmp_path / 'nowhere', 'No such file'), (tmp_path / 'file', 'not a folder')):
        (tmp_path / 'file').write_text('x')
        result = library('index', path)
        assert result.status == 1 and str(path) in result.err and word in result.err
        assert result.err.count('\n') == 1


def test_special_files_are_never_opened(library, tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    for path in (tmp_path / 'pipe.jpg', '/dev/zero', tmp_path):
        result = library('embed', '--image', path)
        assert result.status == 1 and str(path) in result.err and result.err.count('\n') == 1


def test_an_unreadable_subfolder_keeps_its_photos(as_nobody, pictures):
    pictures('open/1.jpg', 1)
    pictures('shut/2.jpg', 2)
    pictures('3.jpg', 3)
    os.chmod(pictures.folder, 0o755)
    for name in ('open', 'shut'):
        os.chmod(pictures.folder / name, 0o755)
    assert as_nobody('index', pictures.folder).returncode == 0
    os.chmod(pictures.folder / 'shut', 0o700)
    os.chmod(pictures.folder / '3.jpg', 0o600)
    os.utime(pictures.folder / '3.jpg')
    result = as_nobody('index')
    assert result.returncode == 1 and 'shut' in result.stdout and 'Permission denied' in result.stdout
    assert 'removed' not in result.stdout and '3.jpg' in result.stdout
    assert '2.jpg' in as_nobody('search', 'red').stdout
    os.chmod(pictures.folder / '3.jpg', 0o644)  # the time of change of the content is as before
    result = as_nobody('index')  # nothing but the folder
    assert result.returncode == 1 and '1 folder offline' in result.stdout
    os.chmod(pictures.folder / 'shut', 0o755)
    assert as_nobody('index').returncode == 0 and '3.jpg' in as_nobody('search', 'red').stdout


def test_broken_libraries_are_named_and_kept(library, pictures):
    pictures('1.jpg', 1)
    library('index', pictures.folder)
    db = library.folder / 'library.db'
    whole = db.read_bytes()
    for content in (b'not a database at all, but long enough to look at' * 100, whole[:1000] + b'\xff' * 9000):
        db.write_bytes(content)
        for command in (('search', 'red'), ('index',), ('status',)):
            result = library(*command)
            assert result.status == 1 and str(db) in result.err and result.err.count('\n') == 1, result
        assert db.read_bytes() == content
    db.write_bytes(whole)
    with sqlite3.connect(db) as connection:
        connection.execute('PRAGMA user_version = 1000')
    for command in (('search', 'red'), ('index',)):
        result = library(*command)
        assert result.status == 1 and 'newer' in result.err and str(db) in result.err


def test_a_damaged_sidecar_is_not_trusted(library, pictures):
    for i in range(5):
        pictures(f'{i}.jpg', i)
    library('index', pictures.folder)
    want = library('search', 'red dog').out
    sidecar = next(library.folder.glob('vectors-*.i8'))
    whole = sidecar.read_bytes()
    for content in (b'', whole[:100], whole[:-64], b'x' * len(whole), whole[:8] + b'\xff' + whole[9:]):
        sidecar.write_bytes(content)
        assert library('search', 'red dog').out == want
        assert 'sidecar' in library('doctor').out
    sidecar.unlink()
    assert library('search', 'red dog').out == want
    library('index')
    assert sidecar.read_bytes() == whole


def test_models_that_are_not_there_or_broken(library, pictures, models, fake_model):
    pictures('1.jpg', 1)
    result = library('index', '--model', 'nonesuch', pictures.folder)
    assert result.status == 1 and 'nonesuch' in result.err and result.err.count('\n') == 1
    network = models / 'clip/fake/visual/model.onnx'
    network.write_bytes(b'\x08\x07garbage')
    result = library('index', pictures.folder)
    assert result.status == 1 and str(network) in result.err and result.err.count('\n') == 1
    assert library('status').status in (0, 1)
    fake_model()
    assert library('index', pictures.folder).status == 0
    (models / 'clip/fake/textual/tokenizer.json').write_text('{"model": {"type": "Magic"}}')
    library('index')
    result = library('search', 'red')
    assert result.status == 1 and 'tokenizer.json' in result.err


def test_other_model_files_are_another_space(library, pictures, models, fake_model):
    pictures('1.jpg', 1)
    library('index', pictures.folder)
    fake_model(seed=99)
    result = library('search', 'red')
    assert result.status == 1 and 'fovea index' in result.err
    assert library('index').status == 0 and len(found(library('search', '--json', 'red'))) == 1
    assert len(status(library)['spaces']) == 2


def test_half_precision_is_another_space(library, pictures):
    """As the settings say, and only where they let a provider be used that heeds them."""
    pictures('1.jpg', 1)
    half = {'MACHINE_LEARNING_OPENVINO_PRECISION': 'FP16'}
    library('index', pictures.folder)
    for same in ({**half, 'FOVEA_PROVIDER': 'cpu'}, {**half, 'FOVEA_PROVIDER': 'migraphx'},
                 {'MACHINE_LEARNING_ROCM_PRECISION': 'FP16', 'FOVEA_PROVIDER': 'openvino'}):
        assert len(found(library('search', '--json', 'red', **same))) == 1
    for other in (half, {**half, 'FOVEA_PROVIDER': 'openvino'}, {'MACHINE_LEARNING_ROCM_PRECISION': 'fp16'}):
        result = library('search', 'red', **other)
        assert result.status == 1 and 'fovea index' in result.err
    assert library('index', **half).status == 0
    assert len(found(library('search', '--json', 'red', **half))) == 1
    assert len(found(library('search', '--json', 'red'))) == 1 and len(status(library)['spaces']) == 2


def start(library_run, build, environment, models, *args):
    env = {**environment, 'FOVEA_LIBRARY': str(library_run.folder), 'FOVEA_MODEL': 'fake',
           'MACHINE_LEARNING_CACHE_FOLDER': str(models)}
    return subprocess.Popen([build / 'fovea', *map(str, args)], env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_until(true, timeout_s=60):
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, 'it did not come'
        time.sleep(0.05)


def test_one_writer_and_readers_beside_it(library, pictures, build, environment, models, fake_model):
    pictures('first.jpg', 99)
    library('index', pictures.folder)
    for i in range(40):
        pictures(f'{i}.jpg', i)
    fake_model('slow', delay_ms=700)
    slow = start(library, build, environment, models, 'index', '--model', 'slow', '-j1', pictures.folder)
    try:
        wait_until(lambda: any(s['model'] == 'slow' and s['vectors'] >= 8 for s in status(library)['spaces']))
        second = library('index')
        assert second.status == 1 and f'process {slow.pid}' in second.err
        assert found(library('search', '--json', 'red')) == ['first.jpg']
        slow.send_signal(signal.SIGINT)
        out, err = slow.communicate(timeout=60)
    finally:
        slow.kill()
    assert slow.returncode == 1 and 'run again' in out, (out, err)
    assert counts(library('index', '--model', 'slow'))['unchanged'] >= 8  # what was done is kept


def test_kill_9_loses_nothing(library, pictures, build, environment, models, fake_model):
    for i in range(60):
        pictures(f'{i}.jpg', i)
    fake_model(delay_ms=30)
    for wait in (0.05, 0.1, 0.2, 0.3):
        victim = start(library, build, environment, models, 'index', pictures.folder)
        time.sleep(wait)
        victim.kill()
        victim.communicate()
    assert library('index', pictures.folder).status == 0
    s = status(library)
    assert s['photos'] == 60 and s['spaces'][0]['vectors'] == 60 and s['spaces'][0]['in_sidecar'] == 60


@pytest.mark.parametrize('args, word', [
    (('search', '--nonsense', 'x'), '--nonsense'),
    (('search', '-person'), '--'),
    (('search', '-n', '0', 'x'), '0'),
    (('search', '-n', 'many', 'x'), 'many'),
    (('search', 'x', '--library'), '--library'),
    (('similar',), 'image'),
    (('embed',), '--text'),
    (('index', '--quiet=yes'), 'quiet'),
])
def test_usage_errors(library, args, word):
    result = library(*args)
    assert result.status == 2 and word in result.err and result.err.count('\n') == 1 and not result.out


def test_queries_that_mean_nothing(library, pictures):
    pictures('1.jpg', 1)
    library('index', pictures.folder)
    for query in (('',), ('  ',), ('0:red',), ('image:',), ('red', '--', '-red')):
        result = library('search', *query)
        assert result.status == 1 and result.err.count('\n') == 1, (query, result)


def test_no_library_yet(library):
    for command in (('search', 'red'), ('status',)):
        result = library(*command)
        assert result.status == 1 and 'fovea index' in result.err


def test_help_everywhere(fovea):
    for name in ('index', 'search', 'similar', 'embed', 'status', 'doctor', 'check', 'forget', 'vacuum',
                 'export', 'import'):
        result = fovea(name, '--help')
        assert result.status == 0 and result.out.startswith(f'usage: fovea {name}') and not result.err
    assert fovea('--version').out.startswith('fovea ')


def test_output_to_a_full_disk_is_an_error(library, pictures, build, environment, models):
    pictures('1.jpg', 1)
    library('index', pictures.folder)
    env = {**environment, 'FOVEA_LIBRARY': str(library.folder), 'FOVEA_MODEL': 'fake',
           'MACHINE_LEARNING_CACHE_FOLDER': str(models)}
    with open('/dev/full', 'w') as full:
        done = subprocess.run([build / 'fovea', 'status'], env=env, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and b'cannot write' in done.stderr


def test_doctor_finds_a_model_that_does_not_load(library, models):
    assert library('doctor').status == 0
    (models / 'clip/fake/textual/tokenizer.json').write_text('{}')
    result = library('doctor')
    assert result.status == 1 and 'FAULT  model' in result.out and 'tokenizer.json' in result.out


def test_doctor_misses_a_model_where_a_library_needs_it(library, pictures):
    """Who runs the service alone needs none: it fetches what it is asked for."""
    result = library('doctor', FOVEA_MODEL='absent')
    assert result.status == 0 and '--     model            model "absent" is not there' in result.out, result.out
    pictures('1.jpg', 1)
    assert library('index', pictures.folder).status == 0
    result = library('doctor', FOVEA_MODEL='absent')
    assert result.status == 1 and 'FAULT  vectors          model "absent" is not there' in result.out, result.out


def test_doctor_finds_towers_that_are_not_of_one_model(library, models):
    network = models / 'clip/fake/textual/model.onnx'
    network.write_text(network.read_text().replace('embedding f32 -1 24', 'embedding f32 -1 20'))
    result = library('doctor')
    assert result.status == 1 and 'FAULT  model' in result.out
    assert '24 dimensions, its textual/ of 20' in result.out and 'both folders of one model' in result.out


def test_what_a_newcomer_reads(library, tmp_path):
    (tmp_path / 'empty').mkdir()
    assert 'fovea index ~/Pictures' in library('index').err
    assert library('index', tmp_path / 'empty').out.startswith('no photos there')
    assert 'none was needed yet' in library('status').out
