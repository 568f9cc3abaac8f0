"""How somebody logs in. A declaration: labs import it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """A form that is posted to `path`; the cookies of the answer are sent from then on."""

    path: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def who(self) -> str:
        """The form's first field."""
        return self.fields[0][1]

    def commands(self, base_url: str) -> tuple[str, ...]:
        """What a person types instead; the cookies are in the file COOKIES then, those of an earlier login gone."""
        import shlex
        from urllib.parse import urlencode

        form = shlex.quote(urlencode(self.fields))
        return "COOKIES=$(mktemp)", f"curl -s -o /dev/null -c $COOKIES -d {form} {base_url}{self.path}"
