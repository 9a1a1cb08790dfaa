"""Makes the sign-in at a provider from the settings, for chat and console."""

from __future__ import annotations

from pipeline.access.people import People
from pipeline.http.oidc import Client, Provider
from pipeline.http.provider_sign_in import ProviderSignIn
from pipeline.settings import Settings


def provider_sign_in(settings: Settings, people: People) -> ProviderSignIn | None:
    """Return it, or None when no provider is configured."""
    oidc = settings.auth.oidc
    if oidc.issuer is None:
        return None
    client = Client(
        issuer=oidc.issuer,
        client_id=oidc.client_id,
        client_secret=oidc.client_secret.get_secret_value(),
        scopes=oidc.scopes,
        name_claim=oidc.name_claim,
        role_claim=oidc.role_claim,
        roles=oidc.roles,
        default_role=oidc.default_role,
        workspace_claim=oidc.workspace_claim,
    )
    return ProviderSignIn(Provider(client), people, settings.chat.name)
