"""check, vacuum, export and import: the library looked after, and carried elsewhere."""
import json
import os
import pathlib
import shutil
import sqlite3

import pytest


def content(folder):
    """What a library holds, free of row numbers: files by path, photos and vectors by content."""
    db = sqlite3.connect(f'file:{folder}/library.db?mode=ro', uri=True)
    files = db.execute("SELECT r.path, f.path, f.size_bytes, f.mtime_ns, hex(p.content), f.error, f.retry,"
                       " f.gone_ns FROM file f JOIN root r ON r.id = f.root_id LEFT JOIN photo p"
                       " ON p.id = f.photo_id ORDER BY 1, 2").fetchall()
    photos = db.execute('SELECT hex(content), size_bytes, format, width_px, height_px, taken_ns, latitude,'
                        ' longitude, camera, n_live FROM photo ORDER BY 1').fetchall()
    vectors = db.execute('SELECT hex(s.hash), s.model, hex(p.content), hex(v.v) FROM vector v JOIN space s'
                         ' ON s.id = v.space_id JOIN photo p ON p.id = v.photo_id ORDER BY 1, 3').fetchall()
    return files, photos, vectors


@pytest.fixture
def filled(library, pictures):
    """A library with all there is: photos, a copy, an odd name, a failure, a tombstone, a date and place."""
    from PIL import Image
    for i in range(5):
        pictures(f'{i}.jpg', i)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = '2019:07:14 18:30:00'
    exif.get_ifd(0x8825).update({1: 'N', 2: (63.0, 4.0, 12.0), 3: 'W', 4: (151.0, 0.0, 30.0)})
    exif[0x010f] = 'Maker'
    pictures('dated.jpg', 7, exif=exif)
    shutil.copy(pictures.folder / '1.jpg', pictures.folder / 'copy.jpg')
    pictures(b'odd \xff\n.jpg', 8)
    (pictures.folder / 'bad.jpg').write_text('no photo')
    library('index', pictures.folder)
    os.remove(pictures.folder / '4.jpg')
    library('index')
    return library


def test_a_whole_library_is_said_to_be_whole(filled):
    result = filled('check')
    assert result.status == 0 and 'all is whole' in result.out
    assert filled('check').out == result.out


def test_check_mends_what_is_derived(filled):
    before = content(filled.folder)
    want = filled('search', '--json', 'red').out
    sidecar = next(filled.folder.glob('vectors-*.i8'))
    good = sidecar.read_bytes()
    damaged = bytearray(good)
    damaged[-65] ^= 0x55
    sidecar.write_bytes(damaged)  # a value of a row, which the header cannot tell
    (filled.folder / 'vectors-0123456789abcdef.i8').write_bytes(b'of no space')
    (filled.folder / 'vectors-0123456789abcdef.i8.tmp-abcdef').write_bytes(b'of a run that was killed')
    with sqlite3.connect(filled.folder / 'library.db') as db:
        db.execute('DROP TRIGGER file_update')
        db.execute('UPDATE photo SET n_live = 9 WHERE id = 2')
    result = filled('check')
    assert result.status == 0 and 'mended' in result.out
    for word in ('1 count of', '1 sidecar\n', '2 leftover files'):
        assert word in result.out
    assert sidecar.read_bytes() == good and len(list(filled.folder.glob('vectors-*'))) == 1
    assert content(filled.folder) == before and filled('search', '--json', 'red').out == want
    assert 'all is whole' in filled('check').out


def test_vectors_that_cannot_be_are_computed_again(filled):
    before = content(filled.folder)
    with sqlite3.connect(filled.folder / 'library.db') as db:
        db.execute("UPDATE vector SET v = x'0011' WHERE photo_id = 1")
        db.execute("UPDATE vector SET v = zeroblob(48) WHERE photo_id = 2")
    result = filled('check')
    assert result.status == 0 and '2 vectors' in result.out
    filled('index')
    assert content(filled.folder) == before and 'all is whole' in filled('check').out


def test_check_of_a_damaged_database_changes_nothing(filled):
    db = filled.folder / 'library.db'
    filled('vacuum')
    broken = bytearray(db.read_bytes())
    broken[5 * 4096:7 * 4096] = os.urandom(2 * 4096)
    db.write_bytes(broken)
    result = filled('check')
    assert result.status == 1 and str(db) in result.err and result.err.count('\n') == 1
    assert db.read_bytes() == broken


# What somebody else's hand can write into a database, and the commands that must say that it cannot be.
EDITED = {
    'UPDATE space SET dim = 100000; UPDATE vector SET v = zeroblob(200000)': ('search', 'index', 'check'),
    'UPDATE space SET dim = 12; UPDATE vector SET v = zeroblob(24)': ('search', 'index'),
    'UPDATE root SET id = -1; UPDATE file SET root_id = -1': ('export',),
    'UPDATE root SET id = 1 << 40; UPDATE file SET root_id = 1 << 40': ('export',),
    'UPDATE file SET photo_id = NULL, error = NULL': ('index', 'export'),
    'UPDATE photo SET id = id + (1 << 61); UPDATE file SET photo_id = photo_id + (1 << 61);'
    'UPDATE vector SET photo_id = photo_id + (1 << 61)': ('index',),
}


@pytest.mark.parametrize('edit', EDITED)
def test_an_edited_database(filled, pictures, tmp_path, edit):
    with sqlite3.connect(filled.folder / 'library.db') as db:
        db.executescript(f'PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; {edit}')
    pictures('new.jpg', 9)
    for command in ('search', 'status', 'export', 'index', 'check', 'doctor'):
        args = {'search': ('red',), 'export': (tmp_path / 'out',)}.get(command, ())
        result = filled(command, *args)
        if command in EDITED[edit]:
            assert result.status == 1 and result.out == '' and result.err.count('\n') == 1, (command, result)
        else:
            assert result.status in (0, 1) and 'Sanitizer' not in result.err, (command, result)


def test_a_photo_that_is_purged_during_a_search_is_left_out(filled):
    before = json.loads(filled('search', '--json', 'red').out)['results']
    with sqlite3.connect(filled.folder / 'library.db') as db:  # as a search finds it that was opened before
        db.execute('DROP TRIGGER file_delete')
        db.execute('DELETE FROM file WHERE photo_id = ?', (before[1]['id'],))
    assert json.loads(filled('search', '--json', 'red').out)['results'] == before[:1] + before[2:]


def test_what_the_database_says_cannot_break_a_line(filled):
    with sqlite3.connect(filled.folder / 'library.db') as db:
        db.execute("UPDATE file SET error = char(27) || '[2J' || char(10) WHERE error IS NOT NULL")
        db.execute("UPDATE space SET model = char(27) || '[2J'")
        db.execute("UPDATE root SET offline = char(27) || '[2J'")
    for command in (('status',), ('status', '--failed'), ('index',)):
        assert '\x1b' not in filled(*command).out


def test_no_command_makes_a_library_by_looking(library):
    for command in (('check',), ('forget', '/'), ('vacuum',), ('export', library.folder.parent / 'out')):
        assert library(*command).status == 1 and not library.folder.exists()


def test_vacuum_purges_only_when_told(filled):
    assert filled('vacuum').status == 0 and json.loads(filled('status', '--json').out)['gone'] == 1
    result = filled('vacuum', '--purge')
    assert result.status == 0 and 'forgot 1 file that had gone and 1 photo that' in result.out
    assert json.loads(filled('status', '--json').out)['gone'] == 0
    assert 'all is whole' in filled('check').out and filled('search', 'red').status == 0


def test_a_folder_is_forgotten_and_comes_back(filled, pictures, tmp_path):
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    shutil.copy(pictures.folder / '1.jpg', elsewhere / 'one.jpg')
    (pictures.folder / 'part').mkdir()
    assert filled('index', elsewhere).status == 0
    for path, why in ((pictures.folder / 'part', f'a part of {pictures.folder}'), (tmp_path, 'fovea status'),
                      ('nowhere', 'fovea status')):
        result = filled('forget', path)
        assert result.status == 1 and result.err.count('\n') == 1 and why in result.err
    gone = tmp_path / 'gone'
    os.rename(pictures.folder, gone)
    before = sorted(gone.iterdir())
    result = filled('forget', pictures.folder)
    assert result == (0, f'forgot {pictures.folder}: 8 files, with 5 photos that no other folder holds\n', '')
    assert sorted(gone.iterdir()) == before
    status = json.loads(filled('status', '--json').out)
    assert (status['photos'], status['files'], status['failed'], status['gone']) == (1, 1, 0, 0)
    assert [r['path'] for r in status['roots']] == [str(elsewhere)]
    assert [r['path'] for r in json.loads(filled('search', '--json', 'red').out)['results']] == [f'{elsewhere}/one.jpg']
    assert 'all is whole' in filled('check').out
    assert filled('index').status == 0
    result = filled('index', gone)
    assert '0 added, 7 copied or moved, 0 unchanged, 1 failed' in result.out
    assert filled('forget', gone, elsewhere).status == 0
    assert 'forgot 0 files that had gone and 7 photos' in filled('vacuum', '--purge').out
    assert json.loads(filled('status', '--json').out)['spaces'][0]['vectors'] == 0
    assert 'name one' in filled('index').err and filled('search', 'red')[:2] == (0, '')
    assert 'no photos now' in filled('search', 'red').err and 'none: `fovea index' in filled('status').out


def test_export_and_import_give_the_same_library(filled, library, tmp_path):
    out = tmp_path / 'out'
    result = filled('export', out)
    assert result.status == 0 and 'exported 7 photos, 9 files, 7 vectors' in result.out, result
    lines = [json.loads(l) for l in (out / 'library.jsonl').read_text().splitlines()]
    assert lines[0] == {'type': 'fovea', 'version': 1}
    photo = next(l for l in lines if 'taken_ns' in l)
    assert photo['taken_ns'] == 1563129000 * 10**9 and round(photo['longitude'], 3) == -151.008
    assert any('path_hex' in l for l in lines)
    other = {'FOVEA_LIBRARY': str(tmp_path / 'other')}
    assert library('import', out, **other).status == 0
    assert content(tmp_path / 'other') == content(filled.folder)
    assert library('import', out, **other).status == 0  # a second time changes nothing
    assert content(tmp_path / 'other') == content(filled.folder)
    assert library('search', '--json', 'red', **other).out.count('path') == 7 - 1
    assert 'all is whole' in library('check', **other).out
    counts = library('index', **other)
    assert '0 added, 7 unchanged' in counts.out


def test_the_documented_way_to_read_it(filled, tmp_path):
    numpy = pytest.importorskip('numpy')
    filled('export', tmp_path / 'out')
    page = (pathlib.Path(__file__).resolve().parents[2] / 'docs/export.md').read_text()
    code = page.split('```python\n')[1].split('```')[0]
    scope = {}
    was = os.getcwd()
    os.chdir(tmp_path / 'out')
    try:
        exec(code, scope)
    finally:
        os.chdir(was)
    assert len(scope['rows']) == 7
    assert numpy.allclose(numpy.linalg.norm(scope['rows']['vector'].astype('f4'), axis=1), 1, atol=2e-3)


def test_an_export_is_not_written_over(filled, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/library.jsonl').write_text('mine')
    result = filled('export', tmp_path / 'out')
    assert result.status == 1 and (tmp_path / 'out/library.jsonl').read_text() == 'mine'


def test_a_vector_of_another_length_is_left_out(filled, tmp_path):
    filled('export', tmp_path / 'out')
    vectors, = (tmp_path / 'out').glob('vectors-*')
    data = bytearray(vectors.read_bytes())
    data[32:32 + 48] = b'\xff\x7b' * 24  # the greatest number of half precision
    vectors.write_bytes(data)
    shutil.rmtree(filled.folder)
    assert filled('import', tmp_path / 'out').status == 0
    n = len(data) // (32 + 48)
    assert filled('check').out == f'{n} photos, {n - 1} vectors: all is whole\n'


HOSTILE = {
    'empty': b'',
    'no header': b'{"type":"root","path":"/x"}\n',
    'newer': b'{"type":"fovea","version":99}\n',
    'no JSON': b'{"type":"fovea","version":1}\nnonsense\n',
    'no type': b'{"type":"fovea","version":1}\n{"path":"/x"}\n',
    'relative root': b'{"type":"fovea","version":1}\n{"type":"root","path":"x"}\n',
    'NUL in a path': b'{"type":"fovea","version":1}\n{"type":"root","path":"/x\\u0000y"}\n',
    'short hash': b'{"type":"fovea","version":1}\n{"type":"photo","content":"00"}\n',
    'unknown content': b'{"type":"fovea","version":1}\n{"type":"file","root":"/x","path":"y","size_bytes":1,'
                       b'"mtime_ns":0,"content":"' + b'00' * 32 + b'"}\n',
    'path out of the folder': b'{"type":"fovea","version":1}\n{"type":"space","hash":"' + b'11' * 32 +
                              b'","model":"m","dim":4,"rows":1,"vectors":"../../etc/passwd"}\n',
    'dim of a giant': b'{"type":"fovea","version":1}\n{"type":"space","hash":"' + b'11' * 32 +
                      b'","model":"m","dim":4000000000,"rows":1,"vectors":"v"}\n',
    'rows that are not there': b'{"type":"fovea","version":1}\n{"type":"space","hash":"' + b'11' * 32 +
                               b'","model":"m","dim":4,"rows":9223372036854775807,"vectors":"library.jsonl"}\n',
    'a long line': b'{"type":"fovea","version":1}\n{"type":"' + b'x' * (2 << 20) + b'"}\n',
}


@pytest.mark.parametrize('what', HOSTILE)
def test_hostile_imports_change_nothing(filled, tmp_path, what):
    before = content(filled.folder)
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in/library.jsonl').write_bytes(HOSTILE[what])
    result = filled('import', tmp_path / 'in')
    assert result.status == 1 and result.err.count('\n') == 1 and str(tmp_path / 'in') in result.err, result
    assert content(filled.folder) == before
