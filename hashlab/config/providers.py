"""The names of the providers, for every module that offers or checks one. Imports nothing."""

AUTO = "auto"
# Machines of this provider exist without hashlab; "auto" never takes it.
HOSTS = "hosts"
PROVIDERS = ("docker", "libvirt", "virtualbox", HOSTS)


def unknown_provider(name: str) -> tuple[str, str] | None:
    """Return the message and the advice for an unknown provider; None if the name is valid."""
    known = [AUTO, *PROVIDERS]
    if name in known:
        return None
    from hashlab.config.report import suggestion  # noqa: PLC0415 - imported only for wrong names

    hint = suggestion(name, known, otherwise=f"Use one of: {', '.join(known)}.")
    return f"unknown provider '{name}'", hint
