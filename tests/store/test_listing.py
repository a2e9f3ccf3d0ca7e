import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from saescope.store.listing import Listing

values = st.lists(st.sampled_from([0.0, 1.0, 2.0, float("nan"), None]), min_size=1, max_size=60)


@given(values, st.sampled_from(["asc", "desc"]), st.integers(0, 8))
def test_a_page_is_the_beginning_of_the_whole_list(column: list[float | None], order: str, limit: int) -> None:
    table = pa.table({"index": pa.array(np.arange(len(column)), pa.int32()), "max": pa.array(column, pa.float64())})
    listing = Listing(table, lambda: pa.chunked_array([], pa.list_(pa.int32())))
    _, whole = listing.rows(sort="max", order=order)  # type: ignore[arg-type]
    _, page = listing.rows(sort="max", order=order, limit=limit)  # type: ignore[arg-type]
    assert page.column("index").to_pylist() == whole.column("index").to_pylist()[:limit]
    present = [(value, index) for index, value in enumerate(column) if value is not None and value == value]
    sign = 1 if order == "asc" else -1
    expected = [index for _, index in sorted(present, key=lambda pair: (sign * pair[0], pair[1]))]
    assert whole.column("index").to_pylist()[: len(expected)] == expected
