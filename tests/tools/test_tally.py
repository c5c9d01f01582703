"""tools/test_tally decides whether a run passed, so what it must never read as a pass is tested."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

TALLY = pathlib.Path(__file__).parents[2] / 'tools/test_tally'
OK_RUN = {'name': 'fovea:unit / base', 'result': 'OK', 'returncode': 0, 'stdout': '1..2\nok 1 - a\nok 2 - b\n'}


@pytest.fixture
def tally(tmp_path):
    """tally(run, ...) gives (exit status, closing line, all lines) for these runs of a meson log."""
    def close(*runs, status=0, cut=None, pytest_xml=None, pytest_status=0, ci='false'):
        (tmp_path / 'build/meson-logs').mkdir(parents=True, exist_ok=True)
        logs = ['build/meson-logs/testlog.json']
        (tmp_path / logs[0]).write_text(''.join(json.dumps(run) + '\n' for run in runs)[:cut])
        statuses = [status, pytest_status]
        if pytest_xml is not None:
            logs.append('build/pytest.xml')
            (tmp_path / logs[1]).write_text(pytest_xml)
        args = [f'{log}={status}' for log, status in zip(logs, statuses)]
        done = subprocess.run([sys.executable, TALLY, *args], cwd=tmp_path, env={**os.environ, 'CI': ci}, text=True,
                              stdout=subprocess.PIPE)
        lines = done.stdout.splitlines()
        return done.returncode, lines[-1], lines
    return close


def test_each_tap_case_counts(tally):
    assert tally(OK_RUN)[:2] == (0, '2 passed, 0 failed, 0 skipped')


def test_pytest_counts_with_them(tally):
    xml = ('<testsuites><testsuite><testcase classname="wire.test_a" name="one"/>'
           '<testcase classname="wire.test_a" name="two"><error message="x"/></testcase></testsuite></testsuites>')
    assert tally(OK_RUN, pytest_xml=xml)[:2] == (1, '3 passed, 1 failed, 0 skipped')


@pytest.mark.parametrize('run', [
    {'result': 'ERROR', 'returncode': -6, 'stdout': '1..2\nok 1 - a\n'},
    {'result': 'ERROR', 'returncode': 3, 'stdout': '1..1\nok 1 - a\n'},
    {'result': 'TIMEOUT', 'returncode': -15, 'stdout': '1..2\nok 1 - a\n'},
    {'result': 'FAIL', 'returncode': 1, 'stdout': '1..2\nok 1 - a\nnot ok 2 - b\n'},
    {'result': 'FAIL', 'returncode': 1, 'stdout': ''},
    {'result': 'SKIP', 'returncode': 0, 'stdout': ''},
], ids=['crash', 'status', 'timeout', 'case', 'no TAP', 'silent'])
def test_what_did_not_pass_fails(tally, run):
    status, line, _ = tally(OK_RUN, {'name': 'fovea:unit / bad', **run})
    assert status == 1 and ', 1 failed, ' in line


def test_no_test_executed_fails(tally):
    assert tally()[:2] == (1, '0 passed, 1 failed, 0 skipped')
    skip = {'name': 'fovea:unit / gpu', 'result': 'SKIP', 'returncode': 0, 'stdout': '1..0 # SKIP no GPU\n'}
    assert tally(skip)[:2] == (1, '0 passed, 1 failed, 1 skipped')


def test_a_skip_says_why(tally):
    run = {'name': 'fovea:kernels / dot', 'result': 'OK', 'returncode': 0,
           'stdout': '1..2\nok 1 - c\nok 2 - vnni # SKIP this CPU lacks it\n'}
    status, line, lines = tally(run, ci='true')
    assert (status, line) == (0, '1 passed, 0 failed, 1 skipped')
    assert 'skipped 1: this CPU lacks it' in lines


def test_ci_refuses_a_skip_that_nobody_listed(tally):
    run = {'name': 'fovea:unit / base', 'result': 'OK', 'returncode': 0,
           'stdout': '1..2\nok 1 - a\nok 2 - b # SKIP not today\n'}
    assert tally(run)[0] == 0
    assert tally(run, ci='true')[:2] == (1, '1 passed, 1 failed, 0 skipped')


def test_a_missing_log_fails(tmp_path):
    done = subprocess.run([sys.executable, TALLY, 'build/pytest.xml=0'], cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE)
    assert done.returncode == 1 and 'did not finish' in done.stdout


def test_a_run_that_broke_off_fails(tally):
    """meson was killed or raised an exception: what its log has passed, and the rest was not run."""
    status, line, lines = tally(OK_RUN, status=137)
    assert (status, line) == (1, '2 passed, 1 failed, 0 skipped')
    assert 'FAILED build: testlog.json (the run did not finish, exit status 137: no test in its log failed)' in lines
    xml = '<testsuites><testsuite><testcase classname="wire.test_a" name="one"/></testsuite></testsuites>'
    assert tally(OK_RUN, pytest_xml=xml, pytest_status=3)[:2] == (1, '3 passed, 1 failed, 0 skipped')


def test_a_log_that_ends_within_a_line_fails(tally):
    status, line, lines = tally(OK_RUN, OK_RUN, cut=-9)
    assert (status, line) == (1, '2 passed, 1 failed, 0 skipped') and 'its log cannot be read' in ' '.join(lines)


@pytest.mark.parametrize('xml', ['', '<testsuites><testsuite><testcase classname="a" na', '<testsuites/>',
                                 '<testsuites><testcase/></testsuites>'], ids=['empty', 'cut', 'no case', 'no name'])
def test_a_broken_report_of_pytest_fails(tally, xml):
    status, line, _ = tally(OK_RUN, pytest_xml=xml, pytest_status=1)
    assert (status, line) == (1, '2 passed, 1 failed, 0 skipped')


@pytest.mark.parametrize('names, at', [(('nonsense',), 'nonsense'), (('base', 'nonsense'), 'nonsense'),
                                       (('base', 'tests/none.py::test'), 'tests/none.py')])
def test_a_name_that_names_nothing_is_an_error(names, at):
    done = subprocess.run([TALLY.parents[1] / 'dev', 'check', *names], text=True, capture_output=True)
    assert done.returncode == 2 and at in done.stderr and 'passed' not in done.stdout, done
