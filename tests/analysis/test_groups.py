"""Records by group: every record in its group, in order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.groups import Grouping


@given(
    codes=st.lists(st.integers(-1, 129), max_size=40),
    keys=st.just([f"group {number:03}" for number in range(130)]).flatmap(st.permutations),
    kind=st.sampled_from([np.int16, np.int32]),
)
def test_every_record_is_in_its_group_alone_in_order(codes: list[int], keys: list[str], kind: type[np.integer]) -> None:
    rows = Grouping(np.array(codes, dtype=kind), tuple(keys)).rows()

    expected: dict[str, list[int]] = {}
    for row, code in enumerate(codes):
        if code >= 0:
            expected.setdefault(keys[code], []).append(row)
    assert {key: found.tolist() for key, found in rows.items()} == expected
    assert list(rows) == sorted(rows)
