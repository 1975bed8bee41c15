"""The check of the notebook about the setup accepts the number of bugs only."""

import numpy as np
import pytest

from tlkeras.teaching import NotYet, check


class Images:
    class_names = ("bird", "bug")

    def counts(self):
        return np.array([3, 2])

    def __len__(self):
        return 5


@pytest.mark.parametrize("right", [2, np.int64(2), 2.0])
def test_the_number_of_bugs_is_right(right, capsys):
    check("00.1", right, Images())
    assert "00.1 is right" in capsys.readouterr().out


@pytest.mark.parametrize("wrong, hint", [(3, "not the number of drawings of bugs"), (5, "all drawings"), (..., "...")])
def test_other_numbers_are_not(wrong, hint):
    with pytest.raises(NotYet, match=hint):
        check("00.1", wrong, Images())
