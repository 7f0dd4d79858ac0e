"""Which layers the figures of neurons show."""

from wnexp.figures.neurons import spread_layers


def test_of_many_layers_some_from_first_to_last():
    assert spread_layers([0, 1, 2]) == [0, 1, 2] and spread_layers(range(14)) == [0, 4, 9, 13]
