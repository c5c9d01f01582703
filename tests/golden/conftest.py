"""What several of these tests drive."""
import os
import subprocess

import pytest


@pytest.fixture(scope='module')
def tool(build):
    """tool('decode', path) runs pixels_tool and gives its output; failed ones raise with its words."""
    def run(*args, level=''):
        done = subprocess.run([build / 'tests/pixels_tool', *map(str, args)],
                              env={**os.environ, 'FOVEA_SIMD': level}, capture_output=True, timeout=120)
        if done.returncode:
            raise ValueError(done.stderr.decode())
        return done.stdout
    return run
