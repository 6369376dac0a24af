"""Options: unknown names and values out of range are errors with a sentence."""

import pytest

from josh_core.errors import SettingsError
from josh_core.settings import Settings


def test_unknown_option_is_named():
    with pytest.raises(SettingsError, match=r"Unknown option 'colour'.*known options"):
        Settings().with_options(colour="red")


@pytest.mark.parametrize(
    "option",
    [
        {"mode": "turbo"},
        {"tier": "cloud"},
        {"start": -1.0},
        {"seconds": 0.0},
        {"people": 0},
        {"height_m": 17.0},
        {"focal_px": 1.0},
        {"static_camera": "maybe"},
        {"turn": 45},
        {"turn": False},
        {"start": "soon"},
        {"people": 2.5},
        {"use_match": "yes"},
        {"max_seconds": float("nan")},
    ],
)
def test_values_out_of_range_are_refused(option):
    with pytest.raises(SettingsError, match=next(iter(option))[1:].split("_")[0]):
        Settings().with_options(**option)


def test_options_come_back_as_plain_values():
    changed = Settings().with_options(mode="refine", seconds=3.0)
    assert Settings(**changed.to_dict()) == changed
    assert changed != Settings()
