"""`answerdeck alerts …`: what fires now, and whether the webhooks hear of it."""

from __future__ import annotations

from typing import Annotated

import typer

alerts_app = typer.Typer(no_args_is_help=True, help="What is wrong now, and who is told.")


def register(app: typer.Typer) -> None:
    app.add_typer(alerts_app, name="alerts")


@alerts_app.command()
def check(
    post: Annotated[bool, typer.Option("--post", help="Tell the webhooks what is new and over.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the alerts that fire now; exit 1 when there are any. Run it by cron with --post."""
    from dataclasses import asdict

    from console import alerts
    from console.commands.screen import emit, failed
    from pipeline.settings import load

    settings = load()
    found = alerts.find(settings)
    if json:
        emit([asdict(alert) for alert in found])
    else:
        print("\n".join(alert.text for alert in found) or "Nothing fires.")
    if post and (failures := alerts.tell(settings.data_dir, found, settings.alerts.webhooks)):
        raise failed("; ".join(failures))
    if found:
        raise typer.Exit(1)


@alerts_app.command("test")
def send_test() -> None:
    """Send a test message to every webhook."""
    from console import alerts
    from console.commands.screen import failed
    from pipeline.settings import load

    urls = load().alerts.webhooks
    if not urls:
        raise failed("alerts.webhooks is empty, so nobody would be told")
    if failures := alerts.post(urls, "Answerdeck: this is a test of the alerts."):
        raise failed("; ".join(failures))
    print(f"Sent to {len(urls)} webhook{'s' if len(urls) > 1 else ''}.")
