"""The command line as scripts see it: exit statuses, and which words go to which stream."""


def test_help_is_output_and_no_error(fovea):
    result = fovea('help')
    assert result.status == 0 and 'fovea index' in result.out and result.err == ''


def test_a_wrong_command_is_a_usage_error(fovea):
    result = fovea('nonsense')
    assert result.status == 2 and result.out == '' and 'nonsense' in result.err
