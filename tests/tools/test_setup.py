"""tools/setup must name all that the build asks for, and cost nothing where nothing is missing."""
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).parents[2]
SETUP = ROOT / 'tools/setup'


def test_the_libraries_of_the_build_are_those_of_the_list(build):
    meson = subprocess.run(['meson', 'introspect', build, '--dependencies'], check=True, stdout=subprocess.PIPE)
    asked = {dependency['name'] for dependency in json.loads(meson.stdout)}
    packaged = set(re.findall(r'^build +pc:(\S+)', SETUP.read_text(), re.M))
    assert packaged == asked - {'threads'}


def test_nothing_missing_says_nothing():
    done = subprocess.run([SETUP, 'build', 'starter', 'test'], text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_no_group_is_an_error():
    done = subprocess.run([SETUP], text=True, capture_output=True)
    assert done.returncode == 1 and 'say which groups' in done.stderr


def test_a_group_that_is_none_is_an_error():
    done = subprocess.run([SETUP, 'build', 'nonsense'], text=True, capture_output=True)
    assert done.returncode == 1 and 'no group nonsense' in done.stderr


def test_dev_asks_only_for_groups_that_there_are():
    known = set(re.search(r'say which groups: ([a-z ]+)', SETUP.read_text())[1].split())
    for script in (ROOT / 'dev', ROOT / 'deploy/build-deb'):
        for line in re.findall(r'^ *tools/setup (.+)$', script.read_text(), re.M):
            assert set(line.split()) <= known, (script, line)
    assert all(f'wants {group}' in SETUP.read_text() or re.search(rf'^{group} ', SETUP.read_text(), re.M)
               for group in known)
