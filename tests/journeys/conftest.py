import pytest

from saescope.studio import Studio
from support.small import small_studio


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """The small home, made once."""
    return small_studio(tmp_path_factory.mktemp("journey"))
