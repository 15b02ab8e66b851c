"""Header fields as they came, to be asked for by name."""

from __future__ import annotations


class Fields:
    """Of a message that keeps them as `fields`, bytes as latin-1."""

    fields: list[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        """The only value of a field; None when it is absent."""
        values = self.values(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def names(self) -> list[str]:
        return [name.lower() for name, _ in self.fields]
