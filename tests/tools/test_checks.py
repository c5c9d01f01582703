"""The checks of the conventions must find what they are for: each is shown one wrong file."""
import pathlib
import shutil
import subprocess
import sys

import pytest

TOOLS = pathlib.Path(__file__).parents[2] / 'tools'


@pytest.fixture
def tree(tmp_path):
    """tree({name: text}) makes a source tree and gives its root."""
    def make(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path
    return make


def run(check, *args):
    done = subprocess.run([sys.executable, TOOLS / check, *args], text=True, stdout=subprocess.PIPE)
    return done.returncode, done.stdout


@pytest.mark.parametrize('name, line, why', [
    ('base/err.c', '#include "sys/file.h"', 'base may not see'),
    ('http/http.c', '#include "store/store.h"', 'http may not see'),
    ('api/api.c', '#include "http/parse.h"', 'is private to http'),
    ('search/search.c', '#include <sqlite3.h>', 'belongs to store/'),
    ('index/scan.c', '#include <glib.h>', 'has no home'),
    ('index/scan.c', '#include "index/topk.c"', 'is a source file'),
    ('task/clip.c', 'int f(void) { printf("hello"); }', 'may call printf'),
    ('newfolder/x.c', '', 'has no row'),
])
def test_layers_finds(tree, name, line, why):
    status, out = run('check_layers', tree({f'src/{name}': line + '\n'}))
    assert status == 1 and why in out


@pytest.mark.parametrize('name, line', [
    ('infer/ort.c', '#include <onnxruntime_c_api.h>'),
    ('index/scan.c', '#include "index/topk.h"'),
    ('index/scan.c', '/* printf("x") */ int f(void) { return p->exit(0); }'),
    ('app/main.c', 'int main(void) { printf("hello"); }'),
])
def test_layers_lets_pass(tree, name, line):
    status, out = run('check_layers', tree({f'src/{name}': line + '\n'}))
    assert status == 0, out


def build_library(tree, files):
    root = tree({f'build/src/{name}': text for name, text in files.items()})
    for folder in {name.split('/')[0] for name in files}:
        sources = [root / 'build/src' / name for name in files if name.startswith(folder + '/')]
        for source in sources:
            subprocess.run(['cc', '-c', source, '-o', source.with_suffix('.c.o')], check=True)
        archive = root / f'build/src/{folder}/lib{folder}.a'
        subprocess.run(['ar', 'rc', archive, *(s.with_suffix('.c.o') for s in sources)], check=True)
    return root / 'build'


def test_symbols_finds_a_name_without_its_module(tree):
    build = build_library(tree, {'index/topk.c': 'int topk_push; int index_x; int stray;'})
    status, out = run('check_symbols', build)
    assert status == 1 and 'stray' in out and 'topk_push' not in out and 'index_x' not in out


def test_symbols_finds_a_name_defined_twice(tree):
    build = build_library(tree, {'index/scan.c': 'int scan_rows;', 'library/scan.c': 'int scan_rows;'})
    status, out = run('check_symbols', build)
    assert status == 1 and 'src/index/scan, src/library/scan' in out


def test_headers_finds_one_that_needs_another(tree):
    root = tree({'src/base/good.h': '#pragma once\nstruct a { int b; };\n', 'src/base/bad.h': 'size_t n_x(void);\n'})
    status, out = run('check_headers', root, 'cc')
    assert status == 1 and 'base/bad.h' in out and 'base/good.h' not in out


@pytest.mark.skipif(not shutil.which('git'), reason='no git')
@pytest.mark.parametrize('name, text, why', [
    ('src/base/long.c', '\n' * 1001, '1001 lines'),
    ('README.md', 'pip install -i https://' + 'pypi' + '.org/simple\n', 'a registry host'),
    ('docs/x.md', 'see ' + '/home' + '/anna/src\n', 'a path of one machine'),
    ('src/base/x.c', 'int x; \n', 'white space'),
])
def test_text_finds(tree, name, text, why):
    root = tree({'ARCHITECTURE.md': 'base\n', 'src/base/ok.c': '\n', name: text})
    subprocess.run(['git', 'init', '-q', root], check=True)
    subprocess.run(['git', '-C', root, 'add', '-A'], check=True)
    status, out = run('check_text', root)
    assert status == 1 and why in out
