"""The architecture page draws the layers that the import contracts enforce."""

from tests.docs.layers import PAGE, with_layers


def test_the_layers_are_those_of_the_contracts() -> None:
    text = PAGE.read_text("utf-8")
    assert "<!-- layers" in text
    assert with_layers(text) == text, "make docs rewrites it"
